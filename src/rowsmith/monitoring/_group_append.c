/* Group commit of records to a file. group_append.py holds the same in Python.

   A record that comes while nothing is written is written by the thread that brings it. What comes meanwhile gathers, and
   the writer (a thread of its own, see `keep_writing`) then writes it all at once, over and over until nothing is left.
   A thread either waits for its record, on a lock of its own, or leaves a function that is told, and goes its way. The
   writer takes the interpreter's lock once to tell all functions of a group, and for nothing else. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <time.h>

#include "_records_file.h"

#define MOST_POOLED 64
#define LONGEST_WAIT 3600.0 /* seconds; the clock of locks does not take any */

/* `queue` guards what stands above it; who holds it never waits for the interpreter's lock. `writing` is held while there
   is a write, and guards what stands below. */
typedef struct {
    PyObject_HEAD
    Record *first, *last;
    int is_busy;              /* somebody writes, or is about to */
    int has_writer, is_over;  /* whether its thread is there, and is to end */
    int is_woken, leads_next; /* whether `wake` was let go of, and whether what has gathered is the writer's */
    PyThread_type_lock wake;
    PyThread_type_lock queue;
    PyThread_type_lock writing;
    File file;
    double patience;
    PyThread_type_lock pool[MOST_POOLED]; /* locks that are held and on which nobody waits */
    int pooled;
} GroupAppend;

/* -- records ----------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Called with `queue` held. */
static void enqueue(GroupAppend *self, Record *record)
{
    *(self->last == NULL ? &self->first : &self->last->next) = record;
    self->last = record;
}

/* What has gathered, or NULL: then nobody writes. */
static Record *take_all(GroupAppend *self)
{
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    Record *group = self->first;
    self->first = self->last = NULL;
    self->is_busy = group != NULL;
    PyThread_release_lock(self->queue);
    return group;
}

/* Called with the interpreter's lock. */
static void tell(Record *record)
{
    PyObject *answer = PyObject_CallFunction(record->told, "i", record->error);
    if (answer == NULL)
        PyErr_WriteUnraisable(record->told);
    Py_XDECREF(answer);
    Py_DECREF(record->told);
    Py_DECREF(record->held);
    free(record);
}

/* A lock that is held. The pool is guarded by the interpreter's lock; to allocate may need that, too. */
static PyThread_type_lock take_turn(GroupAppend *self)
{
    if (self->pooled > 0)
        return self->pool[--self->pooled];
    PyThread_type_lock turn = PyThread_allocate_lock();
    if (turn != NULL)
        PyThread_acquire_lock(turn, WAIT_LOCK);
    return turn;
}

static void give_back(GroupAppend *self, PyThread_type_lock turn)
{
    if (self->pooled < MOST_POOLED)
        self->pool[self->pooled++] = turn;
    else
        PyThread_free_lock(turn);
}

/* -- writing ----------------------------------------------------------------------------------------------- */

/* Called with `queue` held. */
static void wake_writer(GroupAppend *self)
{
    if (!self->is_woken)
        PyThread_release_lock(self->wake);
    self->is_woken = 1;
}

/* Of a thread that brought a record and has written it. 0 where it has to go on, since there is no writer. */
static int leave(GroupAppend *self)
{
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    int leaves = self->first == NULL || self->has_writer;
    if (self->first == NULL) {
        self->is_busy = 0;
    } else if (self->has_writer) {
        self->leads_next = 1;
        wake_writer(self);
    }
    PyThread_release_lock(self->queue);
    return leaves;
}

/* A record that is waited for is gone once its turn is let go of. */
static void finish(Record *group, int error, PyThreadState **state)
{
    Record *to_tell = NULL, **last = &to_tell;
    while (group != NULL) {
        Record *record = group;
        group = record->next;
        record->error = error;
        if (record->told != NULL) {
            *last = record;
            last = &record->next;
        } else if (record->turn != NULL) {
            PyThread_release_lock(record->turn);
        }
    }
    *last = NULL;
    if (to_tell == NULL)
        return;
    PyEval_RestoreThread(*state);
    while (to_tell != NULL) {
        Record *record = to_tell;
        to_tell = record->next;
        tell(record);
    }
    *state = PyEval_SaveThread();
}

/* Called without the interpreter's lock, by one thread at a time. */
static void lead(GroupAppend *self, Record *group, int is_writer, PyThreadState **state)
{
    while (group != NULL) {
        PyThread_acquire_lock(self->writing, WAIT_LOCK);
        int error = write_group(&self->file, group);
        PyThread_release_lock(self->writing);
        int leaves = !is_writer && leave(self);
        finish(group, error, state);
        group = leaves ? NULL : take_all(self);
    }
}

/* Unless it is being written. */
static int take_back(GroupAppend *self, const Record *record)
{
    int is_back = 0;
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    Record *before = NULL;
    for (Record *each = self->first; each != NULL; before = each, each = each->next) {
        if (each != record)
            continue;
        *(before == NULL ? &self->first : &before->next) = each->next;
        if (self->last == each)
            self->last = before;
        is_back = 1;
        break;
    }
    PyThread_release_lock(self->queue);
    return is_back;
}

static void add(GroupAppend *self, Record *record, PyThread_type_lock turn, PyThreadState **state)
{
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    int leads = !self->is_busy;
    self->is_busy = 1;
    if (!leads) {
        record->turn = turn;
        enqueue(self, record);
    }
    PyThread_release_lock(self->queue);

    if (leads) {
        lead(self, record, 0, state);
    } else if (PyThread_acquire_lock_timed(turn, (PY_TIMEOUT_T)(self->patience * 1e6), 0) != PY_LOCK_ACQUIRED) {
        if (take_back(self, record))
            record->error = ETIMEDOUT;
        else
            PyThread_acquire_lock(turn, WAIT_LOCK);
    }
}

/* -- the type ---------------------------------------------------------------------------------------------- */

static PyObject *append(PyObject *object, PyObject *bytes)
{
    GroupAppend *self = (GroupAppend *)object;
    Record record = {0};
    char *content;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(bytes, &content, &length) < 0)
        return NULL;
    record.bytes = content;
    record.length = (size_t)length;
    PyThread_type_lock turn = take_turn(self);
    if (turn == NULL)
        return PyErr_NoMemory();
    PyThreadState *state = PyEval_SaveThread();
    add(self, &record, turn, &state);
    PyEval_RestoreThread(state);
    give_back(self, turn);
    if (record.error != 0) {
        errno = record.error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *append_later(PyObject *object, PyObject *args)
{
    GroupAppend *self = (GroupAppend *)object;
    PyObject *bytes, *told;
    char *content;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "OO", &bytes, &told) || PyBytes_AsStringAndSize(bytes, &content, &length) < 0)
        return NULL;
    Record *record = calloc(1, sizeof(Record));
    if (record == NULL)
        return PyErr_NoMemory();
    record->bytes = content;
    record->length = (size_t)length;
    record->held = Py_NewRef(bytes);
    record->told = Py_NewRef(told);
    record->since = now();

    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    int leads = !self->is_busy;
    self->is_busy = 1;
    if (!leads)
        enqueue(self, record);
    PyThread_release_lock(self->queue);
    if (leads) {
        PyThreadState *state = PyEval_SaveThread();
        lead(self, record, 0, &state);
        PyEval_RestoreThread(state);
    }
    Py_RETURN_NONE;
}

static PyObject *keep_writing(PyObject *object, PyObject *nothing)
{
    GroupAppend *self = (GroupAppend *)object;
    PyThreadState *state = PyEval_SaveThread();
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    self->has_writer = 1;
    while (!self->is_over || self->leads_next) {
        int leads = self->leads_next;
        self->leads_next = 0;
        PyThread_release_lock(self->queue);
        if (leads)
            lead(self, take_all(self), 1, &state);
        else
            PyThread_acquire_lock(self->wake, WAIT_LOCK);
        PyThread_acquire_lock(self->queue, WAIT_LOCK);
        if (!leads)
            self->is_woken = 0;
    }
    self->has_writer = self->is_over = 0;
    PyThread_release_lock(self->queue);
    PyEval_RestoreThread(state);
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *object, PyObject *nothing)
{
    GroupAppend *self = (GroupAppend *)object;
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    self->is_over = 1;
    wake_writer(self);
    PyThread_release_lock(self->queue);
    Py_RETURN_NONE;
}

static PyObject *give_up(PyObject *object, PyObject *nothing)
{
    GroupAppend *self = (GroupAppend *)object;
    double latest = now() - self->patience;
    Record *late = NULL, **last_late = &late;
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    Record *record = self->first, **last = &self->first;
    self->last = NULL;
    while (record != NULL) {
        Record *following = record->next;
        if (record->told != NULL && record->since < latest) {
            *last_late = record;
            last_late = &record->next;
        } else {
            *last = self->last = record;
            last = &record->next;
        }
        record = following;
    }
    *last = *last_late = NULL;
    PyThread_release_lock(self->queue);
    while (late != NULL) {
        record = late;
        late = record->next;
        record->error = ETIMEDOUT;
        tell(record);
    }
    Py_RETURN_NONE;
}

static PyObject *turn_to(PyObject *object, PyObject *args)
{
    GroupAppend *self = (GroupAppend *)object;
    int descriptor;
    const char *path;
    unsigned long long number;
    long long end;
    if (!PyArg_ParseTuple(args, "iyKL", &descriptor, &path, &number, &end))
        return NULL;
    char *kept = strdup(path);
    if (kept == NULL)
        return PyErr_NoMemory();
    off_t before;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(self->writing, WAIT_LOCK);
    free(self->file.path);
    before = self->file.end;
    self->file.descriptor = descriptor;
    self->file.path = kept;
    self->file.number = number;
    self->file.end = (off_t)end;
    PyThread_release_lock(self->writing);
    Py_END_ALLOW_THREADS
    return PyLong_FromLongLong((long long)before);
}

static PyObject *get_end(PyObject *object, void *closure)
{
    return PyLong_FromLongLong((long long)((GroupAppend *)object)->file.end);
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *names)
{
    long long prepared;
    double patience;
    if (!PyArg_ParseTuple(args, "Ld", &prepared, &patience))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    GroupAppend *self = (GroupAppend *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->file.descriptor = -1;
    self->file.prepared = (off_t)prepared;
    self->patience = patience < LONGEST_WAIT ? patience : LONGEST_WAIT;
    self->queue = PyThread_allocate_lock();
    self->writing = PyThread_allocate_lock();
    self->wake = PyThread_allocate_lock();
    self->file.path = strdup("");
    if (self->queue == NULL || self->writing == NULL || self->wake == NULL || self->file.path == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    PyThread_acquire_lock(self->wake, WAIT_LOCK);
    return (PyObject *)self;
}

static void destroy(PyObject *object)
{
    GroupAppend *self = (GroupAppend *)object;
    PyTypeObject *type = Py_TYPE(object);
    while (self->pooled > 0)
        PyThread_free_lock(self->pool[--self->pooled]);
    if (self->queue != NULL)
        PyThread_free_lock(self->queue);
    if (self->writing != NULL)
        PyThread_free_lock(self->writing);
    if (self->wake != NULL)
        PyThread_free_lock(self->wake);
    free(self->file.path);
    free(self->file.gathered);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"append", append, METH_O,
     "Returns when the record is on the disk. Raises OSError; ETIMEDOUT says it was not tried."},
    {"append_later", append_later, METH_VARARGS,
     "Returns at once; the function is called with 0 when the record is on the disk, else with an error number."},
    {"keep_writing", keep_writing, METH_NOARGS, "The thread of the writer: returns after `stop`."},
    {"stop", stop, METH_NOARGS, "The writer ends when nothing is left."},
    {"give_up", give_up, METH_NOARGS, "Records that are not waited for and whose turn did not come in time are told so."},
    {"turn_to", turn_to, METH_VARARGS, "What follows goes to another file. Returns where the records of this one end."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"end", get_end, NULL, "Where the records of the file end.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, make},
    {Py_tp_dealloc, destroy},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_doc, "GroupAppend(prepared, patience): see group_append.py."},
    {0, NULL},
};

static PyType_Spec spec = {
    "rowsmith.monitoring._group_append.GroupAppend", sizeof(GroupAppend), 0, Py_TPFLAGS_DEFAULT, slots,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_group_append", "Group commit of records to a file, compiled; see group_append.py.", -1, NULL,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__group_append(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *type = module == NULL ? NULL : PyType_FromSpec(&spec);
    if (type == NULL || PyModule_AddObjectRef(module, "GroupAppend", type) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(module);
        return NULL;
    }
    Py_DECREF(type);
    return module;
}
