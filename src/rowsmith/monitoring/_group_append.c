/* Group commit of records to a file. group_append.py holds the same in Python.

   A thread that hands in a record gives the interpreter's lock away once, and takes it back when its record is durable:
   queueing, writing and waking go on without it. While one thread writes, the records of the others gather; the first of
   them then writes them all. Each waits on a lock of its own, so that a write wakes those whose records it held and the
   one that writes next, and nobody else. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <pythread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_POOLED 64

typedef struct Waiting {
    struct Waiting *next;
    const char *bytes;
    size_t length;
    PyThread_type_lock turn; /* is let go of when the record is done, or when its thread is to write */
    int leads;
    int is_done;
    int error;
} Waiting;

/* `queue` guards what stands above it. `file` is held while there is a write, and guards what stands below. */
typedef struct {
    PyObject_HEAD
    Waiting *first, *last;
    int is_busy;
    PyThread_type_lock pool[MOST_POOLED]; /* locks that are held and on which nobody waits */
    int pooled;
    PyThread_type_lock queue, file;
    int descriptor;
    char *path;
    unsigned long long number;
    off_t end, prepared;
    char *gathered;
    size_t room;
    PY_TIMEOUT_T patience;
} GroupAppend;

/* -- the file ---------------------------------------------------------------------------------------------- */

/* A file that was deleted can be written to without an error as long as it is open. Only its number is asked for: who
   asks for its times makes the next write note one, which takes a transaction in some file systems. */
static int check_place(const GroupAppend *self)
{
#ifdef STATX_INO
    struct statx found;
    if (statx(AT_FDCWD, self->path, 0, STATX_INO, &found) < 0)
        return errno;
    return found.stx_ino == self->number ? 0 : ENOENT;
#else
    struct stat found;
    if (stat(self->path, &found) < 0)
        return errno;
    return found.st_ino == self->number ? 0 : ENOENT;
#endif
}

static int write_at(int descriptor, const char *bytes, size_t length, off_t place)
{
    while (length > 0) {
        ssize_t written = pwrite(descriptor, bytes, length, place);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        bytes += written;
        length -= (size_t)written;
        place += written;
    }
#ifndef O_DSYNC
    if (fsync(descriptor) < 0)
        return errno;
#endif
    return 0;
}

/* What a failed write may have left; nobody is told that it is kept, so it must not be found later. */
static void forget(const GroupAppend *self, size_t length)
{
    char *zeros;
    if (self->end + (off_t)length > self->prepared) {
        if (ftruncate(self->descriptor, self->end) == 0)
            return;
    } else if ((zeros = calloc(length, 1)) != NULL) {
        write_at(self->descriptor, zeros, length, self->end);
        free(zeros);
    }
}

/* Bytes of a group one after the other; those of a record that is alone stay where they are. NULL without memory. */
static const char *gather(GroupAppend *self, const Waiting *group, size_t *length)
{
    *length = 0;
    for (const Waiting *each = group; each != NULL; each = each->next)
        *length += each->length;
    if (group->next == NULL)
        return group->bytes;
    if (*length > self->room) {
        char *larger = realloc(self->gathered, *length);
        if (larger == NULL)
            return NULL;
        self->gathered = larger;
        self->room = *length;
    }
    size_t place = 0;
    for (const Waiting *each = group; each != NULL; place += each->length, each = each->next)
        memcpy(self->gathered + place, each->bytes, each->length);
    return self->gathered;
}

static int write_group(GroupAppend *self, const Waiting *group)
{
    size_t length;
    const char *bytes = gather(self, group, &length);
    if (bytes == NULL)
        return ENOMEM;
    int error = check_place(self);
    if (error == 0)
        error = write_at(self->descriptor, bytes, length, self->end);
    if (error == 0)
        self->end += (off_t)length;
    else
        forget(self, length);
    return error;
}

/* -- taking turns ------------------------------------------------------------------------------------------ */

static void lead(GroupAppend *self)
{
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    Waiting *group = self->first;
    self->first = self->last = NULL;
    PyThread_release_lock(self->queue);

    PyThread_acquire_lock(self->file, WAIT_LOCK);
    int error = write_group(self, group);
    PyThread_release_lock(self->file);

    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    Waiting *following = self->first;
    self->is_busy = following != NULL;
    if (following != NULL) {
        following->leads = 1;
        PyThread_release_lock(following->turn);
    }
    PyThread_release_lock(self->queue);
    while (group != NULL) {
        Waiting *done = group;
        group = done->next; /* its thread goes on, and what it waited with is gone, once its turn is let go of */
        done->error = error;
        done->is_done = 1;
        if (!done->leads)
            PyThread_release_lock(done->turn);
    }
}

/* Unless it is being written, or its own thread is to write. Called with `queue` held. */
static int take_back(GroupAppend *self, Waiting *waiting)
{
    Waiting *before = NULL;
    for (Waiting *each = self->first; each != NULL; before = each, each = each->next) {
        if (each != waiting)
            continue;
        if (waiting->leads)
            return 0;
        *(before == NULL ? &self->first : &before->next) = waiting->next;
        if (self->last == waiting)
            self->last = before;
        return 1;
    }
    return 0;
}

/* A lock that is held. Called with `queue` held. */
static PyThread_type_lock new_turn(GroupAppend *self)
{
    if (self->pooled > 0)
        return self->pool[--self->pooled];
    PyThread_type_lock turn = PyThread_allocate_lock();
    if (turn != NULL)
        PyThread_acquire_lock(turn, WAIT_LOCK);
    return turn;
}

static void wait_for_turn(GroupAppend *self, Waiting *waiting)
{
    if (PyThread_acquire_lock_timed(waiting->turn, self->patience, 0) == PY_LOCK_ACQUIRED)
        return;
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    int is_back = take_back(self, waiting);
    PyThread_release_lock(self->queue);
    if (is_back) {
        waiting->error = ETIMEDOUT;
        waiting->is_done = 1;
    } else {
        PyThread_acquire_lock(waiting->turn, WAIT_LOCK);
    }
}

static void add(GroupAppend *self, Waiting *waiting)
{
    PyThread_acquire_lock(self->queue, WAIT_LOCK);
    if (!self->is_busy) {
        self->is_busy = waiting->leads = 1;
    } else if ((waiting->turn = new_turn(self)) == NULL) {
        waiting->error = ENOMEM;
        PyThread_release_lock(self->queue);
        return;
    }
    *(self->last == NULL ? &self->first : &self->last->next) = waiting;
    self->last = waiting;
    PyThread_release_lock(self->queue);

    if (waiting->turn != NULL)
        wait_for_turn(self, waiting);
    if (!waiting->is_done)
        lead(self);
    if (waiting->turn != NULL) {
        PyThread_acquire_lock(self->queue, WAIT_LOCK);
        if (self->pooled < MOST_POOLED) {
            self->pool[self->pooled++] = waiting->turn;
            waiting->turn = NULL;
        }
        PyThread_release_lock(self->queue);
        if (waiting->turn != NULL)
            PyThread_free_lock(waiting->turn);
    }
}

/* -- the type ---------------------------------------------------------------------------------------------- */

static PyObject *append(PyObject *object, PyObject *record)
{
    GroupAppend *self = (GroupAppend *)object;
    Waiting waiting = {0};
    char *bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(record, &bytes, &length) < 0)
        return NULL;
    waiting.bytes = bytes;
    waiting.length = (size_t)length;
    Py_BEGIN_ALLOW_THREADS
    add(self, &waiting);
    Py_END_ALLOW_THREADS
    if (waiting.error != 0) {
        errno = waiting.error;
        return PyErr_SetFromErrno(PyExc_OSError);
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
    PyThread_acquire_lock(self->file, WAIT_LOCK);
    free(self->path);
    before = self->end;
    self->descriptor = descriptor;
    self->path = kept;
    self->number = number;
    self->end = (off_t)end;
    PyThread_release_lock(self->file);
    Py_END_ALLOW_THREADS
    return PyLong_FromLongLong((long long)before);
}

static PyObject *get_end(PyObject *object, void *closure)
{
    return PyLong_FromLongLong((long long)((GroupAppend *)object)->end);
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
    self->descriptor = -1;
    self->prepared = (off_t)prepared;
    self->patience = (PY_TIMEOUT_T)(patience * 1e6);
    self->queue = PyThread_allocate_lock();
    self->file = PyThread_allocate_lock();
    self->path = strdup("");
    if (self->queue == NULL || self->file == NULL || self->path == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
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
    if (self->file != NULL)
        PyThread_free_lock(self->file);
    free(self->path);
    free(self->gathered);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"append", append, METH_O, "Returns when the record is on the disk. Raises OSError; ETIMEDOUT says it was not tried."},
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
