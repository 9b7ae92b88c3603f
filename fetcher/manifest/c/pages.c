/* fetcher.manifest._pages: rows of a table as pages of an SQLite database, for Python.

   To bind values and to step through an INSERT costs some ten times as much as what comes out of it:
   a few hundred bytes, in a format that is laid down for good (sqlite.org/fileformat2.html, from
   which all numbers here are). So rows that are ready are written as the pages that they end up in:
   leaves, and the page above them, which is the table's root. Rows are numbered from 1.

   A leaf has its cells at its end, the last one first, and at its front the offsets of all in the
   order of their rows. No byte of a page is reserved: all of it is of use (the U of that text). What would not fit into a leaf by itself, or into one root, is refused: it
   can come in by way of SQLite.

   Only the stable interface of Python 3.11 is used. There is no state. */

#include "../../lines/c/cuts.h"

enum {
    INTERIOR = 5,
    LEAF = 13,
    INTERIOR_HEADER = 12,
    LEAF_HEADER = 8,
    LEAST_PAGE = 512,
    MOST_PAGE = 32768, /* offsets of 65536 would have to be written as 0 */
    BESIDE = 35,       /* a record of more than U - 35 bytes is not kept whole (section 1.6) */
    VARINT = 9,
    MOST_COLUMNS = 16,
};

static void put_big_endian(uint8_t *at, uint64_t value, int bytes)
{
    for (int n = 0; n < bytes; n++)
        at[n] = (uint8_t)(value >> (8 * (bytes - 1 - n)));
}

/* Seven bits a byte, the highest first; all but the last one marked. Enough for 56 bits. */
static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    int count = 1;
    while (value >> (7 * count))
        count++;
    while (count-- > 0)
        *at++ = (uint8_t)(((value >> (7 * count)) & 127) | (count ? 128 : 0));
    return at;
}

/* What a column has in a row. */

typedef enum { NOTHING, TEXT, TEXT_IF_ANY, NUMBER_IF_ANY, CODED } Kind;

typedef struct {
    Kind kind;
    Py_ssize_t place;      /* of a text or number */
    const uint32_t *codes; /* of each row */
    int64_t *numbers;      /* of each code */
} Column;

typedef struct {
    Py_ssize_t count;
    Column column[MOST_COLUMNS];
} Columns;

typedef struct {
    const char *text; /* or else it is `number`, of so many bytes */
    size_t length;
    int64_t number;
    uint64_t type;
} Value;

static Value nothing(void)
{
    return (Value){NULL, 0, 0, 0};
}

static Value number(int64_t value)
{
    static const int8_t BYTES[] = {1, 2, 3, 4, 6, 8};
    if (value == 0 || value == 1)
        return (Value){NULL, 0, 0, value ? 9 : 8};
    uint64_t type = 0;
    while (type < 5 && (value < -(INT64_C(1) << (8 * BYTES[type] - 1)) ||
                        value >= INT64_C(1) << (8 * BYTES[type] - 1)))
        type++;
    return (Value){NULL, (size_t)BYTES[type], value, type + 1};
}

static Value text(const char *at, size_t length)
{
    return (Value){at, length, 0, 13 + 2 * (uint64_t)length};
}

static Value value_of(const Column *column, const Part *part, const Cut *cuts, Py_ssize_t row)
{
    if (column->kind == NOTHING)
        return nothing();
    if (column->kind == CODED)
        return number(column->numbers[column->codes[row]]);
    const Cut cut = cuts[column->place];
    const char *const at = part->text + cut.start;
    const size_t length = cut.end - cut.start;
    if (!length && column->kind != TEXT)
        return nothing();
    return column->kind == NUMBER_IF_ANY ? number(number_of(at, length)) : text(at, length);
}

/* A table in the making. */

typedef struct {
    uint8_t *pages; /* leaves, the last one of which is open */
    size_t room, count;
    size_t page, cells, low; /* of the open leaf: how many cells, and where the last one begins */
    size_t first;            /* the first leaf's number in the database */
    uint8_t *root, *root_low;
    size_t root_cells;
} Table;

static int open_leaf(Table *table)
{
    if (table->count == table->room) {
        const size_t room = table->room ? 2 * table->room : 64;
        uint8_t *const pages = PyMem_Realloc(table->pages, room * table->page);
        if (!pages) {
            PyErr_NoMemory();
            return -1;
        }
        table->pages = pages;
        table->room = room;
    }
    memset(table->pages + table->count * table->page, 0, table->page);
    table->count++;
    table->cells = 0;
    table->low = table->page;
    return 0;
}

static void close_leaf(Table *table)
{
    uint8_t *const leaf = table->pages + (table->count - 1) * table->page;
    leaf[0] = LEAF;
    put_big_endian(leaf + 3, table->cells, 2);
    put_big_endian(leaf + 5, table->low, 2);
}

/* Has the root lead to the leaf that was closed, whose last row is `row`; whether it could. */
static int add_to_root(Table *table, Py_ssize_t row)
{
    uint8_t cell[4 + VARINT];
    put_big_endian(cell, table->first + table->count - 1, 4);
    const size_t length = (size_t)(put_varint(cell + 4, (uint64_t)row) - cell);
    uint8_t *const offset = table->root + INTERIOR_HEADER + 2 * table->root_cells;
    if (table->root_low < offset + 2 + length)
        return 0;
    table->root_low -= length;
    memcpy(table->root_low, cell, length);
    put_big_endian(offset, (uint64_t)(table->root_low - table->root), 2);
    table->root_cells++;
    return 1;
}

/* Above leaves that were all closed, the last of which it leads to in another way. */
static void close_root(Table *table)
{
    if (table->count == 1) { /* a root with nothing to choose from would be none */
        memcpy(table->root, table->pages, table->page);
        table->count = 0;
        return;
    }
    table->root[0] = INTERIOR;
    put_big_endian(table->root + 3, table->root_cells, 2);
    put_big_endian(table->root + 5, (uint64_t)(table->root_low - table->root), 2);
    put_big_endian(table->root + 8, table->first + table->count - 1, 4);
}

/* 1 if the row is in, 0 if it cannot be, -1 on errors. Rows count from 0 here. */
static int put_row(Table *table, const Columns *columns, const Part *part, const Cut *cuts,
                   Py_ssize_t row)
{
    Value values[MOST_COLUMNS];
    uint8_t types[MOST_COLUMNS * VARINT], head[2 * VARINT], *type = types;
    size_t length = 0;
    for (Py_ssize_t n = 0; n < columns->count; n++) {
        values[n] = value_of(&columns->column[n], part, cuts, row);
        type = put_varint(type, values[n].type);
        length += values[n].length;
    }
    const size_t typed = (size_t)(type - types);
    if (typed > 126)
        return 0; /* the header's own length takes one byte */
    length += 1 + typed;
    if (length > table->page - BESIDE)
        return 0;
    uint8_t *const numbered = put_varint(put_varint(head, length), (uint64_t)row + 1);
    const size_t whole = (size_t)(numbered - head) + length;
    if (table->low < LEAF_HEADER + 2 * (table->cells + 1) + whole) {
        close_leaf(table);
        if (!add_to_root(table, row))
            return 0;
        if (open_leaf(table) < 0)
            return -1;
    }
    table->low -= whole;
    uint8_t *const leaf = table->pages + (table->count - 1) * table->page;
    put_big_endian(leaf + LEAF_HEADER + 2 * table->cells++, table->low, 2);
    uint8_t *at = leaf + table->low;
    memcpy(at, head, (size_t)(numbered - head));
    at += numbered - head;
    *at++ = (uint8_t)(1 + typed);
    memcpy(at, types, typed);
    at += typed;
    for (Py_ssize_t n = 0; n < columns->count; n++) {
        if (values[n].text)
            memcpy(at, values[n].text, values[n].length);
        else
            put_big_endian(at, (uint64_t)values[n].number, (int)values[n].length);
        at += values[n].length;
    }
    return 1;
}

/* As put_row. */
static int put_rows(Table *table, const Columns *columns, const Parts *parts)
{
    if (open_leaf(table) < 0)
        return -1;
    for (Py_ssize_t p = 0, row = 0; p < parts->count; p++)
        for (Py_ssize_t line = 0; line < parts->part[p].lines; line++, row++) {
            const Part *const part = &parts->part[p];
            const int put = put_row(table, columns, part, part->cuts + line * parts->width, row);
            if (put <= 0)
                return put;
        }
    close_leaf(table);
    close_root(table);
    return 1;
}

/* What Python says of a column. */

static int coded(PyObject *codes, PyObject *numbers, const Parts *parts, Column *column)
{
    const Py_ssize_t count = PyList_Size(numbers);
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(codes, &bytes, &size) < 0)
        return -1;
    column->kind = CODED;
    column->codes = (const uint32_t *)(const void *)bytes;
    if (size != parts->lines * (Py_ssize_t)sizeof *column->codes) {
        PyErr_SetString(PyExc_ValueError, "not a code for each line");
        return -1;
    }
    for (Py_ssize_t n = 0; n < parts->lines; n++)
        if ((Py_ssize_t)column->codes[n] >= count) {
            PyErr_SetString(PyExc_ValueError, "a code that has no number");
            return -1;
        }
    column->numbers = PyMem_Calloc((size_t)count + 1, sizeof *column->numbers);
    if (!column->numbers) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t n = 0; n < count; n++)
        column->numbers[n] = PyLong_AsLongLong(PyList_GetItem(numbers, n));
    return PyErr_Occurred() ? -1 : 0;
}

static int column_of(PyObject *given, const Parts *parts, Column *column)
{
    PyObject *codes, *numbers;
    int kind;
    if (given == Py_None)
        return 0;
    if (!PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "a column is None or a tuple");
        return -1;
    }
    if (PyArg_ParseTuple(given, "SO!", &codes, &PyList_Type, &numbers))
        return coded(codes, numbers, parts, column);
    PyErr_Clear();
    if (!PyArg_ParseTuple(given, "Cn", &kind, &column->place) || !parts_have(parts, column->place))
        return -1;
    switch (kind) {
    case 't': column->kind = TEXT; return 0;
    case '?': column->kind = TEXT_IF_ANY; return 0;
    case 'n': column->kind = NUMBER_IF_ANY; return 0;
    default: PyErr_SetString(PyExc_ValueError, "a column of no kind"); return -1;
    }
}

static int columns_of(PyObject *given, const Parts *parts, Columns *columns)
{
    if (PyTuple_Size(given) > MOST_COLUMNS) {
        PyErr_SetString(PyExc_ValueError, "too many columns");
        return -1;
    }
    for (; columns->count < PyTuple_Size(given); columns->count++)
        if (column_of(PyTuple_GetItem(given, columns->count), parts,
                      &columns->column[columns->count]) < 0) {
            columns->count++; /* it may hold numbers already */
            return -1;
        }
    return 0;
}

static PyObject *module_lay(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *given, *kinds, *result = NULL;
    Py_ssize_t width, page, first;
    Parts parts = {.width = 0};
    Columns columns = {.count = 0};
    Table table = {.pages = NULL};
    if (!PyArg_ParseTuple(arguments, "OnO!nn", &given, &width, &PyTuple_Type, &kinds, &page,
                          &first))
        return NULL;
    if (page < LEAST_PAGE || page > MOST_PAGE || (page & (page - 1)) || first < 2 ||
        first > UINT32_MAX / 2) {
        PyErr_SetString(PyExc_ValueError, "pages of no such size, or number");
        return NULL;
    }
    if (parts_of(given, width, &parts) < 0 || columns_of(kinds, &parts, &columns) < 0)
        goto done;
    table.page = (size_t)page;
    table.first = (size_t)first;
    table.root = PyMem_Calloc(1, table.page);
    if (!table.root) {
        PyErr_NoMemory();
        goto done;
    }
    table.root_low = table.root + table.page;
    const int put = put_rows(&table, &columns, &parts);
    if (put == 0)
        result = Py_NewRef(Py_None);
    if (put > 0)
        result = Py_BuildValue("y#y#", (const char *)table.root, page, (const char *)table.pages,
                               (Py_ssize_t)(table.count * table.page));
done:
    for (Py_ssize_t n = 0; n < columns.count; n++)
        PyMem_Free(columns.column[n].numbers);
    PyMem_Free(table.pages);
    PyMem_Free(table.root);
    parts_release(&parts);
    return result;
}

static PyMethodDef methods[] = {
    {"lay", module_lay, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_pages",
    .m_doc = "Rows of a table as pages of an SQLite database.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__pages(void)
{
    return PyModuleDef_Init(&definition);
}
