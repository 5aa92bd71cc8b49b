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
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_AVX2 1 /* for the compiler; whether the processor has it shows when it runs */
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

/* How far a chunk was looked at: `at` begins the field of this number. `lines` are those of whole records. */
typedef struct {
    Bytes data, at, end;
    Py_ssize_t field, lines;
    Found *found;
    unsigned char *odd; /* a byte for each column */
} Look;

static inline int end_record(Look *look, const Form *form, Bytes next)
{
    if (look->field != form->width - 1)
        return 0;
    look->field = 0;
    look->found->records++;
    look->lines = ++look->found->lines;
    look->found->used = next - look->data;
    return 1;
}

#ifdef HAS_AVX2
#define AVX2 __attribute__((target("avx2,bmi,popcnt")))
#define LEFT_TO_FIELDS 1024 /* bytes from a quote on: where there is one, there are others */

typedef struct {
    __m256i low, high;
} Block;

AVX2 static inline Block block_at(Bytes at)
{
    return (Block){_mm256_loadu_si256((const __m256i *)at), _mm256_loadu_si256((const __m256i *)(at + BLOCK / 2))};
}

AVX2 static inline Block are(const Block *block, unsigned char byte)
{
    __m256i same = _mm256_set1_epi8((char)byte);
    return (Block){_mm256_cmpeq_epi8(block->low, same), _mm256_cmpeq_epi8(block->high, same)};
}

AVX2 static inline Block are_digits(const Block *block)
{
    __m256i zero = _mm256_set1_epi8('0'), nine = _mm256_set1_epi8(9);
    __m256i low = _mm256_sub_epi8(block->low, zero), high = _mm256_sub_epi8(block->high, zero);
    return (Block){_mm256_cmpeq_epi8(_mm256_min_epu8(low, nine), low), _mm256_cmpeq_epi8(_mm256_min_epu8(high, nine), high)};
}

AVX2 static inline Block either(Block one, Block other)
{
    return (Block){_mm256_or_si256(one.low, other.low), _mm256_or_si256(one.high, other.high)};
}

AVX2 static inline Block both(Block one, Block other)
{
    return (Block){_mm256_and_si256(one.low, other.low), _mm256_and_si256(one.high, other.high)};
}

/* A bit for each byte, the lowest for the first. */
AVX2 static inline uint64_t bits_of(Block block)
{
    uint64_t low = (uint32_t)_mm256_movemask_epi8(block.low), high = (uint32_t)_mm256_movemask_epi8(block.high);
    return high << 32 | low;
}

/* Fields in blocks of 64 bytes, as far as there are whole ones without quotes. Whether all was as it should be. */
AVX2 static int skim(Look *look, const Form *form)
{
    Bytes at = look->at;
    uint64_t begins_next = 1, zero_next = 0; /* whether the next block begins with a field, or after a minus that does */
    for (; look->end - at > BLOCK; at += BLOCK) {
        Block here = block_at(at), after = block_at(at + 1);
        if (bits_of(are(&here, form->quote)))
            break;
        uint64_t separators = bits_of(are(&here, form->separator)), newlines = bits_of(are(&here, '\n'));
        uint64_t begins = (separators | newlines) << 1 | begins_next;
        uint64_t zeros = bits_of(both(are(&here, '0'), are_digits(&after)));
        uint64_t minus = begins & bits_of(are(&here, '-'));
        uint64_t signs = bits_of(either(either(are(&here, ' '), are(&here, '\t')), are(&here, '+')));
        uint64_t odd = (begins & (signs | zeros)) | ((minus << 1 | zero_next) & zeros);
        begins_next = (separators | newlines) >> 63;
        zero_next = minus >> 63;
        for (uint64_t cuts = newlines;; cuts &= cuts - 1) {
            /* What comes before the end of this record, or of the block. */
            uint64_t record = cuts ? cuts ^ (cuts - 1) : ~(uint64_t)0;
            for (; odd & record; odd &= odd - 1) {
                Py_ssize_t place = look->field + __builtin_popcountll(separators & ((odd & -odd) - 1));
                if (place >= form->width)
                    return 0;
                look->odd[place] = 1;
            }
            look->field += __builtin_popcountll(separators & record);
            separators &= ~record;
            if (cuts == 0)
                break;
            if (!end_record(look, form, at + lowest_bit(cuts) + 1))
                return 0;
        }
        if (look->field >= form->width)
            return 0;
    }
    /* Back to where the field begins. */
    while (at > look->at && at[-1] != form->separator && at[-1] != '\n')
        at--;
    look->at = at;
    return 1;
}
#endif

/* Field by field, at least as far as `until`. Whether all is as it should be. */
static int walk_fields(Look *look, const Form *form, Bytes until)
{
    Found *found = look->found;
    Bytes at = look->at, end = look->end;
    Walk walk = {at, end, 0};
    walk_from(&walk, at, form);
    while (at < until) {
        if (*at == form->quote) {
            found->has_quotes = 1;
            look->odd[look->field] |= (unsigned char)is_odd(at + 1, end);
            at = after_quotes(at, end, form, found);
            if (at == NULL || at == end) {
                at = end;
                break;
            }
            if (*at != form->separator && *at != '\n' && *at != '\r')
                return 0;
            walk_from(&walk, at, form);
        } else {
            look->odd[look->field] |= (unsigned char)is_odd(at, end);
        }
        Bytes cut = next_special(&walk, form);
        if (cut == end) {
            at = end;
            break;
        }
        if (*cut == form->quote)
            return 0;
        if (*cut == '\n') {
            if (!end_record(look, form, cut + 1))
                return 0;
        } else if (++look->field == form->width) {
            return 0;
        }
        at = cut + 1;
    }
    look->at = at;
    return 1;
}

static int look_through(Look *look, const Form *form)
{
#ifdef HAS_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
        while (look->end - look->at > BLOCK)
            if (!skim(look, form) ||
                !walk_fields(look, form,
                             look->end - look->at > LEFT_TO_FIELDS ? look->at + LEFT_TO_FIELDS : look->end))
                return 0;
#endif
    return walk_fields(look, form, look->end);
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
    Look look = {view.buf, view.buf, (Bytes)view.buf + view.len, 0, 0, &found, odd};
    is_regular = look_through(&look, &form);
    found.lines = look.lines;
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
