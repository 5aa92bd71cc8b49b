/* Where the records of a CSV file end, and what their values begin with. delimited_records.py holds the same in NumPy.

   Only what is as it should be is told here: all records with as many fields as there are columns, quotes around whole
   fields, no blank lines. Whatever else there is, is left to the twin, which names it. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define HAS_SSE2 1
#endif
#if defined(_MSC_VER)
#include <intrin.h>
#endif

#define BLOCK 64

typedef const unsigned char *Bytes;

typedef struct {
    unsigned char separator;
    unsigned char quote;
    Py_ssize_t width;
} Form;

/* `used` bytes are `records` whole records, of `lines` lines. */
typedef struct {
    Py_ssize_t used;
    Py_ssize_t records;
    Py_ssize_t lines;
    int has_quotes;
} Found;

static inline int lowest_bit(uint64_t bits)
{
#if defined(_MSC_VER) && defined(_WIN64)
    unsigned long place;
    _BitScanForward64(&place, bits);
    return (int)place;
#elif defined(_MSC_VER)
    int place = 0;
    for (; !(bits & 1); bits >>= 1)
        place++;
    return place;
#else
    return __builtin_ctzll(bits);
#endif
}

/* Separators, quotes and ends of lines among the 64 bytes from `at` on, a bit for each. */
static inline uint64_t specials(Bytes at, Bytes end, const Form *form)
{
    uint64_t bits = 0;
#ifdef HAS_SSE2
    if (end - at >= BLOCK) {
        const __m128i separators = _mm_set1_epi8((char)form->separator);
        const __m128i quotes = _mm_set1_epi8((char)form->quote);
        const __m128i newlines = _mm_set1_epi8('\n');
        for (int i = 0; i < BLOCK; i += 16) {
            __m128i here = _mm_loadu_si128((const __m128i *)(at + i));
            __m128i same = _mm_or_si128(_mm_cmpeq_epi8(here, separators), _mm_cmpeq_epi8(here, newlines));
            same = _mm_or_si128(same, _mm_cmpeq_epi8(here, quotes));
            bits |= (uint64_t)(unsigned)_mm_movemask_epi8(same) << i;
        }
        return bits;
    }
#endif
    Py_ssize_t length = end - at < BLOCK ? end - at : BLOCK;
    for (Py_ssize_t i = 0; i < length; i++)
        bits |= (uint64_t)(at[i] == form->separator || at[i] == '\n' || at[i] == form->quote) << i;
    return bits;
}

/* Goes from one separator, quote or end of a line to the next. */
typedef struct {
    Bytes base;
    Bytes end;
    uint64_t bits;
} Walk;

static inline void walk_from(Walk *walk, Bytes at, const Form *form)
{
    walk->base = at;
    walk->bits = specials(at, walk->end, form);
}

/* `end` where there is none. */
static inline Bytes next_special(Walk *walk, const Form *form)
{
    while (walk->bits == 0) {
        if (walk->end - walk->base <= BLOCK)
            return walk->end;
        walk_from(walk, walk->base + BLOCK, form);
    }
    Bytes found = walk->base + lowest_bit(walk->bits);
    walk->bits &= walk->bits - 1;
    return found;
}

static inline int is_digit(unsigned char byte)
{
    return (unsigned char)(byte - '0') < 10;
}

/* Whether a value begins with a blank, a plus, or a zero before another digit. */
static inline int is_odd(Bytes at, Bytes end)
{
    unsigned char first = at < end ? at[0] : 0;
    at += first == '-';
    int zero = end - at > 1 && at[0] == '0' && is_digit(at[1]);
    return zero | (first == ' ') | (first == '\t') | (first == '+');
}

/* The place after a field that `at` is the opening quote of; NULL where it is not closed, or goes on after that. */
static Bytes after_quotes(Bytes at, Bytes end, const Form *form, Found *found)
{
    Bytes from = at + 1;
    for (;;) {
        Bytes closing = memchr(from, form->quote, (size_t)(end - from));
        if (closing == NULL)
            return NULL;
        if (closing + 1 == end || closing[1] != form->quote) {
            for (Bytes line = at; (line = memchr(line, '\n', (size_t)(closing - line))) != NULL; line++)
                found->lines++;
            return closing + 1;
        }
        from = closing + 2;
    }
}

/* Whether all is as it should be. `odd` has a byte for each column. */
static int look(Bytes data, Bytes end, const Form *form, Found *found, unsigned char *odd)
{
    Bytes at = data;
    Py_ssize_t field = 0, lines = 0;
    Walk walk = {data, end, 0};
    walk_from(&walk, data, form);
    while (at < end) {
        if (*at == form->quote) {
            found->has_quotes = 1;
            odd[field] |= (unsigned char)is_odd(at + 1, end);
            at = after_quotes(at, end, form, found);
            if (at == NULL || at == end)
                break;
            if (*at != form->separator && *at != '\n' && *at != '\r')
                return 0;
            walk_from(&walk, at, form);
        } else {
            odd[field] |= (unsigned char)is_odd(at, end);
        }
        Bytes cut = next_special(&walk, form);
        if (cut == end)
            break;
        if (*cut == form->quote)
            return 0;
        if (*cut == '\n') {
            if (field != form->width - 1)
                return 0;
            field = 0;
            found->records++;
            found->lines++;
            lines = found->lines;
            found->used = cut + 1 - data;
        } else if (++field == form->width) {
            return 0;
        }
        at = cut + 1;
    }
    found->lines = lines;
    return 1;
}

PyDoc_STRVAR(whole_records_doc,
             "whole_records(data, separator, quote, width)\n\n"
             "How many bytes whole records are, how many they are, of how many lines, whether there are quotes, and for\n"
             "each of `width` columns whether a value in it is odd; None where not all is as it should be.");

static PyObject *whole_records(PyObject *module, PyObject *args)
{
    PyObject *object;
    int separator, quote;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(args, "Oiin", &object, &separator, &quote, &width))
        return NULL;
    if (width < 1) {
        PyErr_SetString(PyExc_ValueError, "there is a column at least");
        return NULL;
    }
    Form form = {(unsigned char)separator, (unsigned char)quote, width};
    Found found = {0, 0, 0, 0};
    int is_regular;
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    unsigned char *odd = PyMem_Calloc((size_t)width, 1);
    if (odd == NULL) {
        PyBuffer_Release(&view);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    is_regular = look(view.buf, (Bytes)view.buf + view.len, &form, &found, odd);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    PyObject *answer = is_regular ? Py_BuildValue("nnniy#", found.used, found.records, found.lines, found.has_quotes,
                                                  (const char *)odd, width)
                                  : Py_BuildValue("");
    PyMem_Free(odd);
    return answer;
}

static PyMethodDef methods[] = {
    {"whole_records", whole_records, METH_VARARGS, whole_records_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_records", "Ends of records, compiled; see delimited_records.py.", 0, methods, NULL, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__records(void)
{
    return PyModule_Create(&definition);
}
