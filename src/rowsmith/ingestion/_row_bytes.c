/* What the hash of rows is made over: the values of a column as bytes. row_hash.py holds the same in polars and NumPy.

   A column comes as a stream of Arrow's C interface (https://arrow.apache.org/docs/format/CStreamInterface.html), so that
   its buffers are read where they lie. Types other than the plain ones are left to the twin. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define INLINE 12 /* a text of so many bytes stands in its view */
#define VIEW 16

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

typedef enum { OTHER, BITS, TEXT, NUMBERS } Kind;

typedef struct {
    Kind kind;
    size_t width; /* bytes of a value; of its length, where it is text */
} Form;

typedef struct {
    struct ArrowArray *chunks;
    Py_ssize_t count, room;
    size_t rows, nulls, text;
} Column;

static Form form_of(const char *format)
{
    if (strcmp(format, "l") == 0 || strcmp(format, "g") == 0 || strncmp(format, "tsu:", 4) == 0)
        return (Form){NUMBERS, 8};
    if (strcmp(format, "tdD") == 0)
        return (Form){NUMBERS, 4};
    if (strcmp(format, "b") == 0)
        return (Form){BITS, 1};
    if (strcmp(format, "vu") == 0)
        return (Form){TEXT, 4};
    return (Form){OTHER, 0};
}

static inline int bit(const uint8_t *bits, int64_t place)
{
    return bits[place >> 3] >> (place & 7) & 1;
}

/* The bits that say which values are there; NULL where all are. */
static const uint8_t *validity(const struct ArrowArray *chunk)
{
    return chunk->null_count == 0 ? NULL : chunk->buffers[0];
}

static inline const uint8_t *view_at(const struct ArrowArray *chunk, int64_t row)
{
    return (const uint8_t *)chunk->buffers[1] + (chunk->offset + row) * VIEW;
}

static inline uint32_t length_of(const uint8_t *view)
{
    uint32_t length;
    memcpy(&length, view, sizeof length);
    return length;
}

/* How many rows, missing values and bytes of text there are. */
static void measure(Column *column, const Form *form)
{
    for (Py_ssize_t place = 0; place < column->count; place++) {
        const struct ArrowArray *chunk = &column->chunks[place];
        const uint8_t *valid = validity(chunk);
        column->rows += (size_t)chunk->length;
        if (valid != NULL)
            for (int64_t row = 0; row < chunk->length; row++)
                column->nulls += !bit(valid, chunk->offset + row);
        if (form->kind == TEXT)
            for (int64_t row = 0; row < chunk->length; row++)
                if (valid == NULL || bit(valid, chunk->offset + row))
                    column->text += length_of(view_at(chunk, row));
    }
}

/* A bit for each missing value, the first row in the highest bit of the first byte. */
static void put_nulls(const Column *column, uint8_t *out)
{
    size_t at = 0;
    for (Py_ssize_t place = 0; place < column->count; place++) {
        const struct ArrowArray *chunk = &column->chunks[place];
        const uint8_t *valid = validity(chunk);
        for (int64_t row = 0; valid != NULL && row < chunk->length; row++)
            if (!bit(valid, chunk->offset + row))
                out[(at + (size_t)row) >> 3] |= (uint8_t)(0x80 >> ((at + (size_t)row) & 7));
        at += (size_t)chunk->length;
    }
}

/* Values of a fixed width; zero for a missing one. */
static void put_numbers(const Column *column, const Form *form, uint8_t *out)
{
    size_t width = form->width;
    for (Py_ssize_t place = 0; place < column->count; place++) {
        const struct ArrowArray *chunk = &column->chunks[place];
        const uint8_t *valid = validity(chunk);
        const uint8_t *values = chunk->buffers[1];
        if (form->kind == BITS)
            for (int64_t row = 0; row < chunk->length; row++)
                out[row] = (uint8_t)bit(values, chunk->offset + row);
        else if (chunk->length)
            memcpy(out, values + (size_t)chunk->offset * width, (size_t)chunk->length * width);
        for (int64_t row = 0; valid != NULL && row < chunk->length; row++)
            if (!bit(valid, chunk->offset + row))
                memset(out + (size_t)row * width, 0, width);
        out += (size_t)chunk->length * width;
    }
}

/* The lengths of all texts, zero for a missing one, and then the texts. */
static void put_texts(const Column *column, uint8_t *lengths, uint8_t *out, const uint8_t *end)
{
    for (Py_ssize_t place = 0; place < column->count; place++) {
        const struct ArrowArray *chunk = &column->chunks[place];
        const uint8_t *valid = validity(chunk);
        for (int64_t row = 0; row < chunk->length; row++, lengths += sizeof(uint32_t)) {
            const uint8_t *view = view_at(chunk, row);
            uint32_t length = valid == NULL || bit(valid, chunk->offset + row) ? length_of(view) : 0;
            memcpy(lengths, &length, sizeof length);
            if (length > INLINE) {
                int32_t where[2];
                memcpy(where, view + 8, sizeof where);
                memcpy(out, (const uint8_t *)chunk->buffers[2 + where[0]] + where[1], length);
            } else if (end - out >= INLINE) {
                memcpy(out, view + 4, INLINE); /* of one length, which is quicker; the next text overwrites the rest */
            } else {
                memcpy(out, view + 4, length);
            }
            out += length;
        }
    }
}

static void let_go(Column *column)
{
    for (Py_ssize_t place = 0; place < column->count; place++)
        column->chunks[place].release(&column->chunks[place]);
    PyMem_Free(column->chunks);
}

/* All chunks of the stream. 0, or -1 with an exception. */
static int take(struct ArrowArrayStream *stream, Column *column)
{
    for (;;) {
        if (column->count == column->room) {
            Py_ssize_t room = column->room ? 2 * column->room : 16;
            struct ArrowArray *chunks = PyMem_Realloc(column->chunks, (size_t)room * sizeof *chunks);
            if (chunks == NULL) {
                PyErr_NoMemory();
                return -1;
            }
            column->chunks = chunks;
            column->room = room;
        }
        struct ArrowArray *chunk = &column->chunks[column->count];
        if (stream->get_next(stream, chunk) != 0) {
            const char *problem = stream->get_last_error(stream);
            PyErr_SetString(PyExc_ValueError, problem ? problem : "this column cannot be read");
            return -1;
        }
        if (chunk->release == NULL)
            return 0;
        column->count++;
    }
}

static PyObject *bytes_of(Column *column, const Form *form)
{
    Py_BEGIN_ALLOW_THREADS
    measure(column, form);
    Py_END_ALLOW_THREADS
    uint64_t missing = column->nulls ? (column->rows + 7) / 8 : 0;
    size_t size = sizeof missing + (size_t)missing + column->rows * form->width + column->text;
    PyObject *answer = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (answer == NULL)
        return NULL;
    uint8_t *out = (uint8_t *)PyBytes_AsString(answer);
    Py_BEGIN_ALLOW_THREADS
    memcpy(out, &missing, sizeof missing);
    uint8_t *nulls = out + sizeof missing, *values = nulls + missing;
    memset(nulls, 0, (size_t)missing);
    if (missing)
        put_nulls(column, nulls);
    if (form->kind == TEXT)
        put_texts(column, values, values + column->rows * form->width, out + size);
    else
        put_numbers(column, form, values);
    Py_END_ALLOW_THREADS
    return answer;
}

PyDoc_STRVAR(row_bytes_doc, "row_bytes(stream)\n\n"
                            "The bytes that a column is hashed over; None where its type is not plain.");

static PyObject *row_bytes(PyObject *module, PyObject *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    if (stream == NULL)
        return NULL;
    struct ArrowSchema schema;
    if (stream->get_schema(stream, &schema) != 0) {
        PyErr_SetString(PyExc_ValueError, "the type of this column cannot be read");
        return NULL;
    }
    Form form = form_of(schema.format);
    schema.release(&schema);
    if (form.kind == OTHER)
        Py_RETURN_NONE;
    Column column = {NULL, 0, 0, 0, 0, 0};
    PyObject *answer = take(stream, &column) < 0 ? NULL : bytes_of(&column, &form);
    let_go(&column);
    return answer;
}

static PyMethodDef methods[] = {
    {"row_bytes", row_bytes, METH_O, row_bytes_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_row_bytes", "Columns as bytes, compiled; see row_hash.py.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__row_bytes(void)
{
    return PyModule_Create(&definition);
}
