/* fetcher.lines._lines: ordinary lines of a table, for Python.

   What is ordinary is the business of cut(), and of nothing else: a column's kind says which bytes a
   cell of it may have, and a line that has another one is nobody's line here. The rest works on what
   cut() found (cuts.h).

   Only the stable interface of Python 3.11 is used, so one build serves all versions since. There is
   no state but the table of what each byte may be part of, the same for everybody. */

#include "cuts.h"

/* What a byte may be part of. */
enum { NAME = 1, ORIGIN = 2, URL = 4, BASE64 = 8, DIGIT = 16 };

static uint8_t part_of_a[256];

static void mark(const char *bytes, uint8_t kind)
{
    for (; *bytes; bytes++)
        part_of_a[(uint8_t)*bytes] |= kind;
}

static void learn_bytes(void)
{
    static const char LOWER[] = "abcdefghijklmnopqrstuvwxyz", DIGITS[] = "0123456789",
                      UPPER[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    mark(LOWER, NAME | ORIGIN | BASE64);
    mark(UPPER, NAME | BASE64);
    mark(DIGITS, NAME | ORIGIN | BASE64 | DIGIT);
    mark("_-", NAME);
    mark(".:-", ORIGIN);
    mark("+/", BASE64);
    for (int byte = '!'; byte <= '~'; byte++)
        if (byte != '"' && byte != ',')
            part_of_a[byte] |= URL;
}

static const char *past(const char *at, const char *end, uint8_t kind)
{
    while (at < end && part_of_a[(uint8_t)*at] & kind)
        at++;
    return at;
}

/* Where a cell that begins at `at` ends; NULL if there is none of its kind. What is behind it was
   not looked at: a delimiter, or `end`, has to be there. */

static const char *past_name(const char *at, const char *end, Py_ssize_t least)
{
    const char *const stop = past(at, end, NAME);
    return stop - at >= least && stop - at <= 64 ? stop : NULL;
}

/* Also tells where scheme and authority end. */
static const char *past_url(const char *at, const char *end, const char **origin)
{
    static const char HTTP[] = "http";
    if (end - at < 8 || memcmp(at, HTTP, 4) != 0)
        return NULL;
    at += at[4] == 's' ? 5 : 4;
    if (end - at < 3 || memcmp(at, "://", 3) != 0)
        return NULL;
    at += 3;
    *origin = past(at, end, ORIGIN);
    return *origin > at && *origin < end && **origin == '/' ? past(*origin, end, URL) : NULL;
}

static const char *past_size(const char *at, const char *end)
{
    const char *const stop = past(at, end, DIGIT);
    return stop == at || (*at != '0' && stop - at <= 15) ? stop : NULL;
}

static const char *past_md5(const char *at, const char *end, char delimiter)
{
    if (at == end || *at == delimiter)
        return at;
    /* 128 bits are 21 digits of six, and one of two that has the higher ones of a digit's. */
    return end - at >= 24 && past(at, at + 21, BASE64) == at + 21 && memchr("AQgw", at[21], 4) &&
                   at[22] == '=' && at[23] == '='
               ? at + 24
               : NULL;
}

static const char *past_any(const char *at, const char *end, char delimiter)
{
    if (at < end && *at == '"') {
        const char *const quote = memchr(at + 1, '"', (size_t)(end - at - 1));
        return quote ? quote + 1 : NULL;
    }
    const char *const stop = memchr(at, delimiter, (size_t)(end - at));
    return stop ? stop : end;
}

/* A table's columns: what each is, and how its cells are cut. */
typedef struct {
    const char *kinds;
    Py_ssize_t count, width;
    char delimiter;
} Columns;

/* Whether the column at `at` lies in one cut with the one before it. */
static int joins(const Columns *columns, Py_ssize_t at)
{
    return at > 0 && columns->kinds[at] == 'x' && columns->kinds[at - 1] == 'x';
}

/* One line without its end; its cuts, or 0 if it is not ordinary. */
static int cut_line(const Columns *columns, const char *text, const char *at, const char *end,
                    Cut *cut)
{
    for (Py_ssize_t n = 0; n < columns->count; n++) {
        if (n > 0) {
            if (at == end || *at != columns->delimiter)
                return 0;
            at++;
        }
        const char *const start = at, *origin = NULL;
        switch (columns->kinds[n]) {
        case 'i': at = past_name(at, end, 1); break;
        case 's': at = past_name(at, end, 0); break;
        case 'u': at = past_url(at, end, &origin); break;
        case 'n': at = past_size(at, end); break;
        case 'd': at = past_md5(at, end, columns->delimiter); break;
        default: at = past_any(at, end, columns->delimiter);
        }
        if (!at)
            return 0;
        if (joins(columns, n))
            cut[-1].end = (uint32_t)(at - text);
        else
            *cut++ = (Cut){(uint32_t)(start - text), (uint32_t)(at - text)};
        if (origin)
            *cut++ = (Cut){(uint32_t)(start - text), (uint32_t)(origin - text)};
    }
    return at == end;
}

/* All lines of a text that ends with one; how many, or -1 if one is not ordinary. */
static Py_ssize_t cut_lines(const Columns *columns, const char *text, const char *end, Cut *cuts)
{
    Py_ssize_t lines = 0;
    for (const char *at = text; at < end; lines++) {
        const char *const feed = memchr(at, '\n', (size_t)(end - at));
        const char *const stop = feed > at && feed[-1] == '\r' ? feed - 1 : feed;
        if (memchr(at, '\r', (size_t)(stop - at)) ||
            !cut_line(columns, text, at, stop, cuts + lines * columns->width))
            return -1;
        at = feed + 1;
    }
    return lines;
}

static Py_ssize_t count_of(const char *text, Py_ssize_t length, char byte)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t n = 0; n < length; n++)
        count += text[n] == byte;
    return count;
}

static PyObject *module_cut(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    const char *text;
    Columns columns;
    int delimiter;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(arguments, "y#y#C", &text, &length, &columns.kinds, &columns.count,
                          &delimiter))
        return NULL;
    columns.delimiter = (char)delimiter;
    columns.width = 0;
    for (Py_ssize_t n = 0; n < columns.count; n++) {
        if (!columns.kinds[n] || !strchr("isundlx", columns.kinds[n])) {
            PyErr_SetString(PyExc_ValueError, "a column of no kind");
            return NULL;
        }
        columns.width += (columns.kinds[n] == 'u') + !joins(&columns, n);
    }
    if (columns.width < 1 || columns.width > WIDEST || delimiter < 1 || delimiter > 127 ||
        strchr("\"\r\n", delimiter)) {
        PyErr_SetString(PyExc_ValueError, "no columns, too many, or no such delimiter");
        return NULL;
    }
    if ((uint64_t)length > UINT32_MAX || length < 1 || text[length - 1] != '\n')
        Py_RETURN_NONE;
    const Py_ssize_t most = count_of(text, length, '\n');
    PyObject *cuts = PyBytes_FromStringAndSize(
        NULL, most * columns.width * (Py_ssize_t)sizeof(Cut));
    if (!cuts)
        return NULL;
    if (cut_lines(&columns, text, text + length, (Cut *)(void *)PyBytes_AsString(cuts)) >= 0)
        return cuts;
    Py_DECREF(cuts);
    Py_RETURN_NONE;
}

static PyObject *text_of(const Part *part, Cut cut)
{
    return PyUnicode_DecodeUTF8(part->text + cut.start, (Py_ssize_t)(cut.end - cut.start), NULL);
}

static PyObject *cells_of(const Part *part, Py_ssize_t width, Py_ssize_t line)
{
    PyObject *cells = PyTuple_New(width);
    for (Py_ssize_t n = 0; cells && n < width; n++) {
        PyObject *const cell = text_of(part, part->cuts[line * width + n]);
        if (!cell || PyTuple_SetItem(cells, n, cell) < 0)
            Py_CLEAR(cells);
    }
    return cells;
}

static PyObject *module_cells(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *given, *all = NULL;
    Py_ssize_t width;
    Parts parts;
    if (!PyArg_ParseTuple(arguments, "On", &given, &width))
        return NULL;
    if (parts_of(given, width, &parts) == 0)
        all = PyList_New(parts.lines);
    for (Py_ssize_t p = 0, row = 0; all && p < parts.count; p++)
        for (Py_ssize_t line = 0; all && line < parts.part[p].lines; line++, row++) {
            PyObject *const cells = cells_of(&parts.part[p], width, line);
            if (!cells || PyList_SetItem(all, row, cells) < 0)
                Py_CLEAR(all);
        }
    parts_release(&parts);
    return all;
}

/* What is known of one text of a column. */
typedef struct {
    const char *text;
    size_t length;
    Py_ssize_t first, rows;
    int64_t size;
} Told;

/* The number of a text among those that were met, which it may be the next of; -1 on errors. */
static Py_ssize_t number_in(PyObject *numbers, const Part *part, Cut cut)
{
    PyObject *const text = text_of(part, cut);
    if (!text)
        return -1;
    PyObject *const known = PyDict_GetItemWithError(numbers, text);
    Py_ssize_t number = -1;
    if (known) {
        number = PyLong_AsSsize_t(known);
    } else if (!PyErr_Occurred()) {
        number = PyDict_Size(numbers);
        PyObject *const next = PyLong_FromSsize_t(number);
        if (!next || PyDict_SetItem(numbers, text, next) < 0)
            number = -1;
        Py_XDECREF(next);
    }
    Py_DECREF(text);
    return number;
}

/* Fills `told` and `codes`; how many texts there are, or -1. Without a `place`, all are empty. */
static Py_ssize_t tell(const Parts *parts, Py_ssize_t place, Py_ssize_t sizes, PyObject *numbers,
                       Told *told, uint32_t *codes)
{
    Py_ssize_t count = 0, row = 0, code = -1;
    for (Py_ssize_t p = 0; p < parts->count; p++)
        for (Py_ssize_t line = 0; line < parts->part[p].lines; line++, row++) {
            const Part *const part = &parts->part[p];
            const Cut *const cuts = part->cuts + line * parts->width;
            const Cut cut = place < 0 ? (Cut){0, 0} : cuts[place];
            const char *const text = part->text + cut.start;
            const size_t length = cut.end - cut.start;
            /* Rows of one text often follow each other. */
            if (code < 0 || told[code].length != length ||
                memcmp(told[code].text, text, length) != 0) {
                code = number_in(numbers, part, cut);
                if (code < 0)
                    return -1;
                if (code == count)
                    told[count++] = (Told){text, length, row, 0, 0};
            }
            codes[row] = (uint32_t)code; /* texts of 4 GiB have fewer lines */
            told[code].rows++;
            if (sizes < 0)
                continue;
            const int64_t size = number_of(part->text + cuts[sizes].start,
                                           cuts[sizes].end - cuts[sizes].start);
            if (told[code].size > INT64_MAX - size) {
                PyErr_SetString(PyExc_OverflowError, "a sum of more than 63 bits");
                return -1;
            }
            told[code].size += size;
        }
    return count;
}

static PyObject *module_tally(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *given, *codes = NULL, *all = NULL;
    Py_ssize_t width, place, sizes, count = -1;
    Parts parts = {.width = 0};
    if (!PyArg_ParseTuple(arguments, "Onnn", &given, &width, &place, &sizes))
        return NULL;
    PyObject *const numbers = PyDict_New();
    Told *told = NULL;
    if (!numbers || parts_of(given, width, &parts) < 0 ||
        (place >= 0 && !parts_have(&parts, place)) || (sizes >= 0 && !parts_have(&parts, sizes)))
        goto done;
    codes = PyBytes_FromStringAndSize(NULL, parts.lines * (Py_ssize_t)sizeof(uint32_t));
    told = PyMem_Calloc((size_t)parts.lines + 1, sizeof *told);
    if (!told)
        PyErr_NoMemory();
    if (codes && told)
        count = tell(&parts, place, sizes, numbers, told,
                     (uint32_t *)(void *)PyBytes_AsString(codes));
    if (count >= 0)
        all = PyList_New(count);
    for (Py_ssize_t n = 0; all && n < count; n++) {
        PyObject *const one = Py_BuildValue(
            "s#nnL", told[n].text, (Py_ssize_t)told[n].length, told[n].first, told[n].rows,
            (long long)told[n].size);
        if (!one || PyList_SetItem(all, n, one) < 0)
            Py_CLEAR(all);
    }
done:
    PyMem_Free(told);
    parts_release(&parts);
    Py_XDECREF(numbers);
    PyObject *const result = all ? PyTuple_Pack(2, all, codes) : NULL;
    Py_XDECREF(all);
    Py_XDECREF(codes);
    return result;
}

/* Passages: what further cells of lines say, put together as long as it is short enough. */

typedef struct {
    const char *empty; /* stands for a line that has nothing */
    Py_ssize_t places[WIDEST], count, most;
    char delimiter;
} Further;

/* A line's further cells behind `at`, if they end before `end`; where they do, or NULL. */
static char *put_line(const Further *further, const Part *part, const Cut *cuts, char *at,
                      const char *end)
{
    char *const start = at;
    for (Py_ssize_t n = 0; n < further->count; n++) {
        const Cut cut = cuts[further->places[n]];
        const size_t length = cut.end - cut.start;
        if ((size_t)(end - at) < length + (n > 0))
            return NULL;
        if (n > 0)
            *at++ = further->delimiter;
        memcpy(at, part->text + cut.start, length);
        at += length;
    }
    if (at == start) {
        const size_t length = strlen(further->empty);
        if ((size_t)(end - at) < length)
            return NULL;
        memcpy(at, further->empty, length);
        at += length;
    }
    return at;
}

static size_t longest_of(const Further *further, const Cut *cuts)
{
    size_t length = strlen(further->empty);
    for (Py_ssize_t n = 0; n < further->count; n++)
        length += 1 + cuts[further->places[n]].end - cuts[further->places[n]].start;
    return length;
}

typedef struct {
    char *text, *at;
    size_t room;
    Py_ssize_t first, rows;
} Passage;

/* Adds it to the list, and begins the next one. */
static int end_passage(PyObject *passages, Passage *passage, char delimiter)
{
    PyObject *const one = Py_BuildValue("nns#", passage->first, passage->rows, passage->text,
                                        (Py_ssize_t)(passage->at - passage->text));
    const int failed = !one || PyList_Append(passages, one) < 0;
    Py_XDECREF(one);
    passage->first += passage->rows;
    passage->rows = 0;
    passage->at = passage->text;
    *passage->at++ = delimiter;
    return failed ? -1 : 0;
}

/* A line that is too long for any passage has one of its own. */
static int put_alone(const Further *further, const Part *part, const Cut *cuts, Passage *passage)
{
    const size_t room = 1 + longest_of(further, cuts);
    if (room > passage->room) {
        char *const text = PyMem_Realloc(passage->text, room);
        if (!text) {
            PyErr_NoMemory();
            return -1;
        }
        *passage = (Passage){text, text + 1, room, passage->first, 0};
    }
    passage->at = put_line(further, part, cuts, passage->at, passage->text + passage->room);
    passage->rows = 1;
    return 0;
}

/* Puts a line behind those that are there, if the passage stays short enough. */
static int put_behind(const Further *further, const Part *part, const Cut *cuts, Passage *passage)
{
    const char *const end = passage->text + further->most;
    if (passage->rows && passage->at == end)
        return 0;
    char *const at = put_line(further, part, cuts, passage->at + (passage->rows > 0), end);
    if (!at)
        return 0;
    if (passage->rows)
        *passage->at = '\n';
    passage->at = at;
    passage->rows++;
    return 1;
}

static int put_lines(const Further *further, const Parts *parts, PyObject *passages,
                     Passage *passage)
{
    for (Py_ssize_t p = 0; p < parts->count; p++)
        for (Py_ssize_t line = 0; line < parts->part[p].lines; line++) {
            const Part *const part = &parts->part[p];
            const Cut *const cuts = part->cuts + line * parts->width;
            if (put_behind(further, part, cuts, passage))
                continue;
            if (passage->rows && end_passage(passages, passage, further->delimiter) < 0)
                return -1;
            if (put_behind(further, part, cuts, passage))
                continue;
            if (put_alone(further, part, cuts, passage) < 0 ||
                end_passage(passages, passage, further->delimiter) < 0)
                return -1;
        }
    return passage->rows ? end_passage(passages, passage, further->delimiter) : 0;
}

static PyObject *module_passages(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *given, *places, *passages = NULL;
    Py_ssize_t width;
    Further further = {.count = 0};
    int delimiter;
    Parts parts;
    if (!PyArg_ParseTuple(arguments, "OnO!Csn", &given, &width, &PyTuple_Type, &places, &delimiter,
                          &further.empty, &further.most))
        return NULL;
    further.delimiter = (char)delimiter;
    Passage passage = {NULL, NULL, 0, 1, 0};
    if (parts_of(given, width, &parts) < 0)
        goto done;
    if (PyTuple_Size(places) > WIDEST || further.most < 1) {
        PyErr_SetString(PyExc_ValueError, "too many cells, or no room");
        goto done;
    }
    for (; further.count < PyTuple_Size(places); further.count++) {
        const Py_ssize_t place = PyLong_AsSsize_t(PyTuple_GetItem(places, further.count));
        if (PyErr_Occurred() || !parts_have(&parts, place))
            goto done;
        further.places[further.count] = place;
    }
    passage.room = (size_t)further.most;
    passage.text = PyMem_Malloc(passage.room);
    if (!passage.text) {
        PyErr_NoMemory();
        goto done;
    }
    passage.at = passage.text;
    *passage.at++ = further.delimiter;
    passages = PyList_New(0);
    if (passages && put_lines(&further, &parts, passages, &passage) < 0)
        Py_CLEAR(passages);
done:
    PyMem_Free(passage.text);
    parts_release(&parts);
    return passages;
}

static int module_exec(PyObject *Py_UNUSED(module))
{
    learn_bytes();
    return 0;
}

static PyMethodDef methods[] = {
    {"cut", module_cut, METH_VARARGS, NULL},
    {"cells", module_cells, METH_VARARGS, NULL},
    {"tally", module_tally, METH_VARARGS, NULL},
    {"passages", module_passages, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_lines",
    .m_doc = "Ordinary lines of a table.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__lines(void)
{
    return PyModuleDef_Init(&definition);
}
