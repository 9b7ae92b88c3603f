/* Cuts: where the cells of lines lie in their text.

   A line has `width` of them, each a pair of offsets into the text, which is UTF-8, and lines follow
   each other. That is all there is to it, so cuts are plain bytes for Python, which can take lines off
   either end of them. A *part* is a text with its cuts, and lines that come in together are of
   several: they are taken as one sequence of lines.

   Cuts come from fetcher.lines.cut, but through Python's hands: nothing is read by them that was not
   compared with the length of its text before. */

#ifndef FETCHER_CUTS_H
#define FETCHER_CUTS_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

enum { WIDEST = 64 }; /* cuts of a line */

/* Offsets and counts of 32 bits are compared, and multiplied, without a further look. Elsewhere this
   does not compile, which is as good as no compiler. */
_Static_assert(sizeof(Py_ssize_t) >= 8, "made for 64 bits");

typedef struct {
    uint32_t start, end;
} Cut;

typedef struct {
    const char *text;
    const Cut *cuts;
    Py_ssize_t lines;
} Part;

typedef struct {
    PyObject *held; /* owns all texts and cuts */
    Part *part;
    Py_ssize_t count, lines, width;
} Parts;

static void parts_release(Parts *parts)
{
    PyMem_Free(parts->part);
    Py_CLEAR(parts->held);
}

static int part_of(PyObject *pair, Py_ssize_t width, Part *part)
{
    PyObject *text, *cuts;
    Py_ssize_t length, size;
    char *bytes;
    if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "SS", &text, &cuts)) {
        PyErr_SetString(PyExc_TypeError, "a part is a tuple of a text and its cuts, both bytes");
        return -1;
    }
    if (PyBytes_AsStringAndSize(text, &bytes, &length) < 0)
        return -1;
    part->text = bytes;
    if (PyBytes_AsStringAndSize(cuts, &bytes, &size) < 0)
        return -1;
    const Py_ssize_t line = width * (Py_ssize_t)sizeof(Cut);
    if (size % line) {
        PyErr_SetString(PyExc_ValueError, "cuts of a line that is not whole");
        return -1;
    }
    part->cuts = (const Cut *)(const void *)bytes;
    part->lines = size / line;
    for (Py_ssize_t n = 0; n < part->lines * width; n++)
        if (part->cuts[n].start > part->cuts[n].end || (Py_ssize_t)part->cuts[n].end > length) {
            PyErr_SetString(PyExc_ValueError, "cuts of another text");
            return -1;
        }
    return 0;
}

/* Holds what is in a sequence of parts; release them in the end, also after -1. */
static int parts_of(PyObject *given, Py_ssize_t width, Parts *parts)
{
    *parts = (Parts){.width = width};
    if (width < 1 || width > WIDEST) {
        PyErr_SetString(PyExc_ValueError, "lines of no cells, or of too many");
        return -1;
    }
    parts->held = PySequence_Tuple(given);
    if (!parts->held)
        return -1;
    const Py_ssize_t count = PyTuple_Size(parts->held);
    parts->part = PyMem_Calloc(count > 0 ? (size_t)count : 1, sizeof *parts->part);
    if (!parts->part) {
        PyErr_NoMemory();
        return -1;
    }
    for (; parts->count < count; parts->count++) {
        Part *const part = &parts->part[parts->count];
        if (part_of(PyTuple_GetItem(parts->held, parts->count), width, part) < 0)
            return -1;
        parts->lines += part->lines;
    }
    return 0;
}

/* Whether lines have a cut at `place`; IndexError if not. */
static int parts_have(const Parts *parts, Py_ssize_t place)
{
    if (place >= 0 && place < parts->width)
        return 1;
    PyErr_SetString(PyExc_IndexError, "a cell that lines do not have");
    return 0;
}

/* The number in up to 15 digits, which is what cut() lets pass. */
static int64_t number_of(const char *digits, size_t count)
{
    int64_t number = 0;
    for (size_t n = 0; n < count && n < 15; n++)
        number = number * 10 + (digits[n] & 15);
    return number;
}

#endif
