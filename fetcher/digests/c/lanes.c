/* fetcher.digests._lanes: MD5 of many bodies at a time, for Python.

   Bytes are read where they lie: their owners are held (PyObject_GetBuffer) for as long as they are,
   so that none can shrink meanwhile. Everything that can be refused is refused before the first
   byte is taken, so that a call either feeds all of its digests, or none.

   Above RELEASE bytes, the work is done without the interpreter's lock. A digest is marked as busy
   meanwhile, and who else touches it gets a RuntimeError. There is no state besides the digests
   but which kernels are the best ones here, found out when the module is loaded.

   Only the stable interface of Python 3.11 is used, so one build serves all versions since. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "schedule.h"

enum { RELEASE = 4096 };

static const Kernels *best;

static void work(const Kernels *kernels, Job *jobs, Py_ssize_t count, size_t bytes)
{
    if (bytes < RELEASE) {
        do_jobs(kernels, jobs, (size_t)count);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    do_jobs(kernels, jobs, (size_t)count);
    Py_END_ALLOW_THREADS
}

/* Zeroed; at least one. NULL and MemoryError if there is no room. */
static void *room_for(Py_ssize_t count, size_t size)
{
    void *room = PyMem_Calloc(count > 0 ? (size_t)count : 1, size);
    if (!room)
        PyErr_NoMemory();
    return room;
}

/* Whole bodies. */

typedef struct {
    Py_buffer view;
    uint32_t state[4];
    uint8_t tail[2 * BLOCK];
} Body;

static Job digesting(Body *body)
{
    const uint8_t *const data = body->view.buf;
    const size_t size = (size_t)body->view.len, blocks = size / BLOCK;
    memcpy(body->state, MD5_START, sizeof body->state);
    if (size % BLOCK)
        memcpy(body->tail, data + blocks * BLOCK, size % BLOCK);
    const size_t padded = md5_pad(body->tail, size);
    return (Job){body->state, {{data, blocks}, {body->tail, padded}, {NULL, 0}}};
}

static PyObject *digest_in(const Kernels *kernels, PyObject *bodies)
{
    PyObject *const items = PySequence_Tuple(bodies);
    if (!items)
        return NULL;
    const Py_ssize_t count = PyTuple_Size(items);
    Body *const body = room_for(count, sizeof *body);
    Job *const jobs = body ? room_for(count, sizeof *jobs) : NULL;
    PyObject *digests = NULL;
    Py_ssize_t held = 0;
    size_t bytes = 0;
    if (!jobs)
        goto done;
    for (; held < count; held++) {
        Py_buffer *const view = &body[held].view;
        if (PyObject_GetBuffer(PyTuple_GetItem(items, held), view, PyBUF_SIMPLE) < 0)
            goto done;
        bytes += (size_t)view->len;
        jobs[held] = digesting(&body[held]);
    }
    work(kernels, jobs, count, bytes);
    digests = PyList_New(count);
    for (Py_ssize_t n = 0; digests && n < count; n++) {
        PyObject *const digest = PyBytes_FromStringAndSize((const char *)body[n].state, DIGEST);
        if (!digest || PyList_SetItem(digests, n, digest) < 0)
            Py_CLEAR(digests);
    }
done:
    while (held > 0)
        PyBuffer_Release(&body[--held].view);
    PyMem_Free(jobs);
    PyMem_Free(body);
    Py_DECREF(items);
    return digests;
}

/* Digests in the making. */

typedef struct {
    PyObject_HEAD
    uint64_t length;
    uint32_t state[4];
    uint8_t rest[BLOCK]; /* the bytes behind the last whole block */
    char busy;
} Md5;

typedef struct {
    PyTypeObject *md5;
} State;

static int claim(Md5 *digest)
{
    if (digest->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the digest is being fed by another thread");
        return -1;
    }
    digest->busy = 1;
    return 0;
}

static Job feeding(Md5 *digest, const Py_buffer *view)
{
    const uint8_t *data = view->buf;
    size_t size = (size_t)view->len, first = 0;
    const size_t held = (size_t)(digest->length % BLOCK);
    if (held) {
        const size_t taken = size < BLOCK - held ? size : BLOCK - held;
        if (taken)
            memcpy(digest->rest + held, data, taken);
        first = held + taken == BLOCK;
        data += taken;
        size -= taken;
    }
    return (Job){digest->state, {{digest->rest, first}, {data, size / BLOCK}, {NULL, 0}}};
}

/* After the job is done: what remains, and how much that makes. */
static void fed(Md5 *digest, const Py_buffer *view)
{
    const size_t size = (size_t)view->len;
    digest->length += size;
    const size_t held = (size_t)(digest->length % BLOCK);
    if (held && held <= size)
        memcpy(digest->rest, (const uint8_t *)view->buf + size - held, held);
    digest->busy = 0;
}

static PyObject *md5_update(PyObject *self, PyObject *data)
{
    Md5 *const digest = (Md5 *)self;
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (claim(digest) < 0) {
        PyBuffer_Release(&view);
        return NULL;
    }
    Job job = feeding(digest, &view);
    work(best, &job, 1, (size_t)view.len);
    fed(digest, &view);
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

static PyObject *md5_digest(PyObject *self, PyObject *Py_UNUSED(none))
{
    Md5 *const digest = (Md5 *)self;
    if (claim(digest) < 0)
        return NULL;
    uint32_t state[4];
    uint8_t tail[2 * BLOCK];
    memcpy(state, digest->state, sizeof state);
    memcpy(tail, digest->rest, BLOCK);
    const size_t padded = md5_pad(tail, digest->length);
    Job job = {state, {{tail, padded}, {NULL, 0}, {NULL, 0}}};
    do_jobs(best, &job, 1);
    digest->busy = 0;
    return PyBytes_FromStringAndSize((const char *)state, DIGEST);
}

static void md5_dealloc(PyObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef md5_methods[] = {
    {"update", md5_update, METH_O, NULL},
    {"digest", md5_digest, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot md5_slots[] = {
    {Py_tp_doc, "One MD5 in the making."},
    {Py_tp_methods, md5_methods},
    {Py_tp_dealloc, md5_dealloc},
    {0, NULL},
};

static PyType_Spec md5_spec = {
    .name = "fetcher.digests._lanes.Md5",
    .basicsize = sizeof(Md5),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = md5_slots,
};

static PyObject *module_new(PyObject *module, PyObject *Py_UNUSED(none))
{
    const State *const state = PyModule_GetState(module);
    PyObject *const self = PyType_GenericAlloc(state->md5, 0);
    if (self)
        memcpy(((Md5 *)self)->state, MD5_START, sizeof MD5_START);
    return self;
}

/* Whether `digest` is in one of the first `count` pairs. */
static int is_among(PyObject *pairs, Py_ssize_t count, PyObject *digest)
{
    for (Py_ssize_t n = 0; n < count; n++)
        if (PyTuple_GetItem(PyTuple_GetItem(pairs, n), 0) == digest)
            return 1;
    return 0;
}

/* Holds a pair's data and claims its digest; or does neither, and says why. */
static Md5 *taken(const State *state, PyObject *pairs, Py_ssize_t n, Py_buffer *view)
{
    PyObject *const pair = PyTuple_GetItem(pairs, n);
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "a pair is a tuple of a digest and its data");
        return NULL;
    }
    PyObject *const digest = PyTuple_GetItem(pair, 0);
    if (Py_TYPE(digest) != state->md5) {
        PyErr_SetString(PyExc_TypeError, "a digest is one that this module has made");
        return NULL;
    }
    if (((Md5 *)digest)->busy && is_among(pairs, n, digest)) {
        PyErr_SetString(PyExc_ValueError, "one digest twice in a call");
        return NULL;
    }
    if (PyObject_GetBuffer(PyTuple_GetItem(pair, 1), view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (claim((Md5 *)digest) < 0) {
        PyBuffer_Release(view);
        return NULL;
    }
    return (Md5 *)digest;
}

static PyObject *module_update_together(PyObject *module, PyObject *given)
{
    PyObject *const pairs = PySequence_Tuple(given);
    if (!pairs)
        return NULL;
    const Py_ssize_t count = PyTuple_Size(pairs);
    Py_buffer *const views = room_for(count, sizeof *views);
    Md5 **const digests = views ? room_for(count, sizeof *digests) : NULL;
    Job *const jobs = digests ? room_for(count, sizeof *jobs) : NULL;
    PyObject *result = NULL;
    Py_ssize_t held = 0;
    size_t bytes = 0;
    if (!jobs)
        goto done;
    for (; held < count; held++) {
        digests[held] = taken(PyModule_GetState(module), pairs, held, &views[held]);
        if (!digests[held])
            goto done;
        bytes += (size_t)views[held].len;
    }
    for (Py_ssize_t n = 0; n < count; n++)
        jobs[n] = feeding(digests[n], &views[n]);
    work(best, jobs, count, bytes);
    for (Py_ssize_t n = 0; n < count; n++)
        fed(digests[n], &views[n]);
    result = Py_NewRef(Py_None);
done:
    while (held > 0) {
        digests[--held]->busy = 0;
        PyBuffer_Release(&views[held]);
    }
    PyMem_Free(jobs);
    PyMem_Free(digests);
    PyMem_Free(views);
    Py_DECREF(pairs);
    return result;
}

static PyObject *module_digest_together(PyObject *Py_UNUSED(module), PyObject *bodies)
{
    return digest_in(best, bodies);
}

/* For tests. */

static PyObject *module_digest_in(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_ssize_t width;
    PyObject *bodies;
    if (!PyArg_ParseTuple(arguments, "nO", &width, &bodies))
        return NULL;
    for (size_t n = 0; n < WIDTHS; n++)
        if (runs_here(&BY_WIDTH[n]) && BY_WIDTH[n].width == (size_t)width)
            return digest_in(&BY_WIDTH[n], bodies);
    PyErr_SetString(PyExc_ValueError, "no vectors of this width here");
    return NULL;
}

static PyObject *module_padding(PyObject *Py_UNUSED(module), PyObject *given)
{
    const unsigned long long length = PyLong_AsUnsignedLongLong(given);
    if (PyErr_Occurred())
        return NULL;
    uint8_t tail[2 * BLOCK] = {0};
    const size_t count = (size_t)(length % BLOCK), blocks = md5_pad(tail, length);
    return PyBytes_FromStringAndSize((const char *)tail + count,
                                     (Py_ssize_t)(blocks * BLOCK - count));
}

/* A compiler's mistake would make every image another one, so nothing is used before it has shown
   that it is right: one digest that is known, and blocks that are all different, in each number of
   lanes, the last time with some that have to wait. */
static int is_right(const Kernels *kernels)
{
    static const uint8_t known[DIGEST] = { /* RFC 1321, A.5, of "abc" */
        0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0,
        0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72,
    };
    enum { MOST = MOST_LANES + 3 };
    uint32_t states[MOST][4], alone[MOST][4];
    uint8_t tail[2 * BLOCK] = "abc", text[MOST + BLOCK];
    Job jobs[MOST] = {{states[0], {{tail, md5_pad(tail, 3)}, {NULL, 0}, {NULL, 0}}}};
    memcpy(states[0], MD5_START, sizeof MD5_START);
    do_jobs(kernels, jobs, 1);
    if (memcmp(states[0], known, DIGEST) != 0)
        return 0;
    for (unsigned n = 0; n < sizeof text; n++)
        text[n] = (uint8_t)(n * n + n / 16);
    for (size_t n = 0; n < MOST; n++) {
        memcpy(alone[n], MD5_START, sizeof MD5_START);
        jobs[0] = (Job){alone[n], {{text + n, 1}, {NULL, 0}, {NULL, 0}}};
        do_jobs(kernels, jobs, 1);
    }
    for (size_t count = 2; count <= MOST; count++) {
        for (size_t n = 0; n < count; n++) {
            memcpy(states[n], MD5_START, sizeof MD5_START);
            jobs[n] = (Job){states[n], {{text + n, 1}, {NULL, 0}, {NULL, 0}}};
        }
        do_jobs(kernels, jobs, count);
        if (memcmp(states, alone, count * sizeof *alone) != 0)
            return 0;
    }
    return 1;
}

static int module_exec(PyObject *module)
{
    State *const state = PyModule_GetState(module);
    PyObject *const widths = PyList_New(0);
    int failed = !widths;
    for (size_t n = WIDTHS; !failed && n-- > 0;) {
        const Kernels *const kernels = &BY_WIDTH[n];
        if (!runs_here(kernels))
            continue;
        if (!is_right(kernels)) {
            PyErr_SetString(PyExc_ImportError, "this build gets MD5 wrong");
            failed = 1;
            break;
        }
        PyObject *const width = PyLong_FromSize_t(kernels->width);
        failed = !width || PyList_Append(widths, width) < 0;
        Py_XDECREF(width);
        best = kernels;
    }
    failed = failed || PyModule_AddObjectRef(module, "WIDTHS", widths) < 0 ||
             PyModule_AddIntConstant(module, "LANES", 2 * (long)best->width) < 0;
    Py_XDECREF(widths);
    if (failed)
        return -1;
    state->md5 = (PyTypeObject *)PyType_FromModuleAndSpec(module, &md5_spec, NULL);
    return state->md5 ? 0 : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    const State *const state = PyModule_GetState(module);
    if (state)
        Py_VISIT(state->md5);
    return 0;
}

static int module_clear(PyObject *module)
{
    State *const state = PyModule_GetState(module);
    if (state)
        Py_CLEAR(state->md5);
    return 0;
}

static PyMethodDef methods[] = {
    {"new", module_new, METH_NOARGS, NULL},
    {"update_together", module_update_together, METH_O, NULL},
    {"digest_together", module_digest_together, METH_O, NULL},
    {"digest_in", module_digest_in, METH_VARARGS, NULL},
    {"padding", module_padding, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_lanes",
    .m_doc = "MD5 of many bodies at a time.",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__lanes(void)
{
    return PyModuleDef_Init(&definition);
}
