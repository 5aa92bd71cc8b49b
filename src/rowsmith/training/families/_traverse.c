/* Sums over trees: the loops of prediction that are worth compiling. traverse.py holds the same in NumPy.

   A step down a tree is a jump that no processor foresees and a load that waits for the one before it. So eight walks
   that know nothing of each other are made at once, eight rows through a tree or a row through eight trees, and a step is
   a comparison of whole numbers and an addition: what is asked of a row is made into such numbers beforehand, once for all
   trees. Leaves hold numbers whose sums are exact, so the order of the trees does not matter. Nothing is checked here but
   a few sizes; node_table.py has seen to the rest when the table was made. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
#define ROWS_AT_ONCE 64

/* What trees ask of a row: the value of a column, a missing one taken for the least or the largest of all, or whether its
   level is in a set (a count of words, then the words, from `set` on): 0 where it is, 1 where it is not. */
enum { MISSING_IS_LEAST = 0, MISSING_IS_LARGEST = 1, IS_CATEGORY = 2 };

typedef struct {
    uint32_t column;
    uint32_t kind;
    uint32_t set;
} Question;

/* A row goes on to `child` where its answer is at most the threshold, otherwise to the node after it. A leaf is its own
   child, and `place` is where its numbers begin. */
typedef struct {
    int32_t threshold;
    uint32_t child;
    uint32_t question;
    uint32_t place;
} Node;

typedef struct {
    const Question *questions;
    Py_ssize_t asked;
    const uint32_t *sets;
    const Node *nodes;
    const double *values;
    Py_ssize_t width;
    const uint32_t *roots;
    const uint32_t *outputs;
    Py_ssize_t trees;
} Table;

/* Whole numbers in the order of the floats; -0 is 0. */
static inline int32_t ordered(float value)
{
    int32_t bits;
    value += 0.0f;
    memcpy(&bits, &value, sizeof bits);
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

static inline int32_t is_outside(float value, const uint32_t *set)
{
    if (!(value > -1.0f && value < 2147483648.0f))
        return 1;
    uint32_t level = (uint32_t)value, word = level >> 5;
    return word >= set[0] || !(set[1 + word] >> (level & 31) & 1);
}

static void answer(const Table *table, const float *row, int32_t *answers)
{
    for (Py_ssize_t i = 0; i < table->asked; i++) {
        const Question *question = table->questions + i;
        float value = row[question->column];
        if (question->kind == IS_CATEGORY)
            answers[i] = is_outside(value, table->sets + question->set);
        else if (value != value)
            answers[i] = question->kind == MISSING_IS_LEAST ? INT32_MIN : INT32_MAX;
        else
            answers[i] = ordered(value);
    }
}

static inline uint32_t step(const Node *nodes, uint32_t at, const int32_t *answers)
{
    const Node *node = nodes + at;
    return node->child + (answers[node->question] > node->threshold);
}

static inline void add_leaf(const Node *leaf, const double *values, Py_ssize_t width, double *sums)
{
    const double *held = values + leaf->place;
    for (Py_ssize_t k = 0; k < width; k++)
        sums[k] += held[k];
}

static void one_row(const Table *table, const int32_t *answers, double *sums)
{
    Py_ssize_t tree = 0;
    for (; tree + LANES <= table->trees; tree += LANES) {
        uint32_t at[LANES], moved;
        memcpy(at, table->roots + tree, sizeof at);
        do {
            moved = 0;
            for (int lane = 0; lane < LANES; lane++) {
                uint32_t next = step(table->nodes, at[lane], answers);
                moved |= next ^ at[lane];
                at[lane] = next;
            }
        } while (moved);
        for (int lane = 0; lane < LANES; lane++)
            add_leaf(table->nodes + at[lane], table->values, table->width, sums + table->outputs[tree + lane]);
    }
    for (; tree < table->trees; tree++) {
        uint32_t at = table->roots[tree], before;
        do {
            before = at;
            at = step(table->nodes, at, answers);
        } while (at != before);
        add_leaf(table->nodes + at, table->values, table->width, sums + table->outputs[tree]);
    }
}

static void some_rows(const Table *table, const int32_t *answers, Py_ssize_t rows, double *sums, Py_ssize_t outputs)
{
    for (Py_ssize_t tree = 0; tree < table->trees; tree++) {
        double *of_tree = sums + table->outputs[tree];
        for (Py_ssize_t row = 0; row + LANES <= rows; row += LANES) {
            const int32_t *first = answers + row * table->asked;
            uint32_t at[LANES], moved;
            for (int lane = 0; lane < LANES; lane++)
                at[lane] = table->roots[tree];
            do {
                moved = 0;
                for (int lane = 0; lane < LANES; lane++) {
                    uint32_t next = step(table->nodes, at[lane], first + lane * table->asked);
                    moved |= next ^ at[lane];
                    at[lane] = next;
                }
            } while (moved);
            for (int lane = 0; lane < LANES; lane++)
                add_leaf(table->nodes + at[lane], table->values, table->width, of_tree + (row + lane) * outputs);
        }
    }
    for (Py_ssize_t row = rows - rows % LANES; row < rows; row++)
        one_row(table, answers + row * table->asked, sums + row * outputs);
}

static void all_rows(const Table *table, const float *matrix, Py_ssize_t rows, Py_ssize_t columns, double *sums,
                     Py_ssize_t outputs, int32_t *answers)
{
    for (Py_ssize_t start = 0; start < rows; start += ROWS_AT_ONCE) {
        Py_ssize_t some = rows - start < ROWS_AT_ONCE ? rows - start : ROWS_AT_ONCE;
        for (Py_ssize_t row = 0; row < some; row++)
            answer(table, matrix + (start + row) * columns, answers + row * table->asked);
        some_rows(table, answers, some, sums + start * outputs, outputs);
    }
}

PyDoc_STRVAR(add_leaves_doc,
             "add_leaves(questions, sets, nodes, values, width, roots, outputs, matrix, rows, sums)\n\n"
             "Adds what the leaves hold that each row reaches to sums, shape (rows, all outputs).");

enum { QUESTIONS, SETS, NODES, VALUES, ROOTS, OUTPUTS, MATRIX, SUMS, ARRAYS };

static PyObject *add_leaves(PyObject *module, PyObject *args)
{
    PyObject *objects[ARRAYS];
    Py_ssize_t width, rows;
    if (!PyArg_ParseTuple(args, "OOOOnOOOnO", &objects[QUESTIONS], &objects[SETS], &objects[NODES], &objects[VALUES],
                          &width, &objects[ROOTS], &objects[OUTPUTS], &objects[MATRIX], &rows, &objects[SUMS]))
        return NULL;
    Py_buffer views[ARRAYS];
    int held = 0;
    int32_t *answers = NULL;
    for (; held < ARRAYS; held++)
        if (PyObject_GetBuffer(objects[held], &views[held], PyBUF_C_CONTIGUOUS | (held == SUMS ? PyBUF_WRITABLE : 0)) < 0)
            goto done;
    Table table = {
        .questions = views[QUESTIONS].buf,
        .asked = views[QUESTIONS].len / (Py_ssize_t)sizeof(Question),
        .sets = views[SETS].buf,
        .nodes = views[NODES].buf,
        .values = views[VALUES].buf,
        .width = width,
        .roots = views[ROOTS].buf,
        .outputs = views[OUTPUTS].buf,
        .trees = views[ROOTS].len / (Py_ssize_t)sizeof(uint32_t),
    };
    if (views[ROOTS].len != views[OUTPUTS].len || rows < 1) {
        PyErr_SetString(PyExc_ValueError, "each tree has one root and one place for its output, and there are rows");
        goto done;
    }
    Py_ssize_t columns = views[MATRIX].len / (Py_ssize_t)sizeof(float) / rows;
    Py_ssize_t outputs = views[SUMS].len / (Py_ssize_t)sizeof(double) / rows;
    answers = malloc(sizeof *answers * (size_t)table.asked * (size_t)(rows < ROWS_AT_ONCE ? rows : ROWS_AT_ONCE));
    if (answers == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    if (rows == 1) {
        answer(&table, views[MATRIX].buf, answers);
        one_row(&table, answers, views[SUMS].buf);
    } else {
        Py_BEGIN_ALLOW_THREADS
        all_rows(&table, views[MATRIX].buf, rows, columns, views[SUMS].buf, outputs, answers);
        Py_END_ALLOW_THREADS
    }
done:
    free(answers);
    while (held > 0)
        PyBuffer_Release(&views[--held]);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"add_leaves", add_leaves, METH_VARARGS, add_leaves_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_traverse", "Sums over trees, compiled; see traverse.py.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__traverse(void)
{
    return PyModule_Create(&definition);
}
