/* Sums over trees: the loops of prediction that are worth compiling. traverse.py holds the same in NumPy.

   A step down a tree is a jump that no processor foresees and a load that waits for the one before it. So eight walks
   that know nothing of each other are made at once, eight rows through a tree or a row through eight trees, and a step is
   a comparison of whole numbers and an addition: what is asked of a row is made into such numbers beforehand, once for all
   trees. Leaves hold numbers whose sums are exact, so the order of the trees does not matter.

   Many rows go through a small tree without any jump: 64 of them are the bits of a word. What trees ask is asked once
   for all rows and trees, a word of answers each, and then a node hands the bits that came to it on to its two children
   (after QuickScorer, Lucchese et al. 2015, doi:10.1145/2766462.2767733, turned by a quarter). Where a row ended is read
   from the words that its leaves' numbers make up, bit by bit.

   Nothing is checked here but a few sizes; node_table.py and tree_plan.py have seen to the rest when the table was
   made. */

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

/* -- many rows through small trees ------------------------------------------------------------------------- */

#define MOST_LEAVES 256
#define NOT_PLANNED UINT32_MAX
#define ENOUGH_ROWS 16

/* Whether an answer to a question is at most a threshold; in the order of questions, then of thresholds. */
typedef struct {
    uint32_t question;
    int32_t threshold;
} Test;

/* Where the bits of an inner node go: those that pass the test to the left. Inner nodes have the places from 0 on, in
   which children come after their parents, and leaves those from MOST_LEAVES on. */
typedef struct {
    uint16_t left;
    uint16_t right;
    uint32_t test;
} Step;

typedef struct {
    const Test *tests;
    Py_ssize_t count;
    const Step *steps;
    const uint32_t *inner;
    const uint32_t *places;
    int is_whole;
} Plan;

/* The different levels that a column has among some rows, and which rows have each. */
typedef struct {
    int count;
    uint32_t level[ROWS_AT_ONCE];
    uint64_t rows[ROWS_AT_ONCE];
} Levels;

static void find_levels(Levels *levels, const float *values, Py_ssize_t rows, Py_ssize_t columns)
{
    levels->count = 0;
    for (Py_ssize_t row = 0; row < rows; row++) {
        float value = values[row * columns];
        if (!(value > -1.0f && value < 2147483648.0f))
            continue;
        uint32_t level = (uint32_t)value;
        int i = 0;
        while (i < levels->count && levels->level[i] != level)
            i++;
        if (i == levels->count) {
            levels->level[i] = level;
            levels->rows[i] = 0;
            levels->count++;
        }
        levels->rows[i] |= (uint64_t)1 << row;
    }
}

static uint64_t rows_inside(const Levels *levels, const uint32_t *set)
{
    uint64_t inside = 0;
    for (int i = 0; i < levels->count; i++) {
        uint32_t level = levels->level[i], word = level >> 5;
        if (word < set[0] && (set[1 + word] >> (level & 31) & 1))
            inside |= levels->rows[i];
    }
    return inside;
}

/* Each row passes the tests from the first threshold on that is not below its answer. */
static void compare(const Test *tests, Py_ssize_t count, uint32_t kind, const float *values, Py_ssize_t rows,
                    Py_ssize_t columns, uint64_t *passed)
{
    memset(passed, 0, sizeof *passed * (size_t)count);
    for (Py_ssize_t row = 0; row < rows; row++) {
        float value = values[row * columns];
        int32_t answer = value == value ? ordered(value) : kind == MISSING_IS_LEAST ? INT32_MIN : INT32_MAX;
        Py_ssize_t low = 0, left = count;
        while (left > 0) {
            Py_ssize_t half = left >> 1;
            int is_below = tests[low + half].threshold < answer;
            low = is_below ? low + half + 1 : low;
            left = is_below ? left - half - 1 : half;
        }
        if (low < count)
            passed[low] |= (uint64_t)1 << row;
    }
    for (Py_ssize_t i = 1; i < count; i++)
        passed[i] |= passed[i - 1];
}

static void make_tests(const Table *table, const Plan *plan, const float *matrix, Py_ssize_t rows, Py_ssize_t columns,
                       uint64_t *passed)
{
    Levels levels;
    const Question *last = NULL;
    for (Py_ssize_t first = 0, end; first < plan->count; first = end) {
        const Question *question = table->questions + plan->tests[first].question;
        const float *values = matrix + question->column;
        for (end = first + 1; end < plan->count && plan->tests[end].question == plan->tests[first].question; end++)
            ;
        if (question->kind != IS_CATEGORY) {
            compare(plan->tests + first, end - first, question->kind, values, rows, columns, passed + first);
            continue;
        }
        if (last == NULL || last->column != question->column)
            find_levels(&levels, values, rows, columns);
        last = question;
        for (Py_ssize_t i = first; i < end; i++)
            passed[i] = rows_inside(&levels, table->sets + question->set);
    }
}

/* Bit i of byte j becomes bit j of byte i (Warren 2013, Hacker's Delight, 7-3). */
static inline uint64_t turned(uint64_t x)
{
    uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAu;
    x ^= t ^ (t << 7);
    t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCu;
    x ^= t ^ (t << 14);
    t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0u;
    return x ^ t ^ (t << 28);
}

/* The number of the leaf that each row has reached. */
static void read_leaves(const uint64_t *leaves, Py_ssize_t count, uint8_t *reached)
{
    uint64_t words[8] = {0};
    for (int bit = 0; (Py_ssize_t)1 << bit < count; bit++) {
        Py_ssize_t run = (Py_ssize_t)1 << bit;
        for (Py_ssize_t start = run; start < count; start += 2 * run) {
            Py_ssize_t end = start + run < count ? start + run : count;
            for (Py_ssize_t leaf = start; leaf < end; leaf++)
                words[bit] |= leaves[leaf];
        }
    }
    for (int group = 0; group < 8; group++) {
        uint64_t square = 0;
        for (int bit = 0; bit < 8; bit++)
            square |= (words[bit] >> (8 * group) & 0xFF) << (8 * bit);
        square = turned(square);
        for (int row = 0; row < 8; row++)
            reached[8 * group + row] = (uint8_t)(square >> (8 * row));
    }
}

static void small_tree(const Table *table, const Step *steps, Py_ssize_t inner, const uint32_t *places,
                       const uint64_t *passed, Py_ssize_t rows, double *sums, Py_ssize_t outputs)
{
    uint64_t reach[2 * MOST_LEAVES];
    uint8_t reached[ROWS_AT_ONCE];
    reach[inner ? 0 : MOST_LEAVES] = UINT64_MAX;
    for (Py_ssize_t i = 0; i < inner; i++) {
        uint64_t here = reach[i], pass = passed[steps[i].test];
        reach[steps[i].left] = here & pass;
        reach[steps[i].right] = here & ~pass;
    }
    read_leaves(reach + MOST_LEAVES, inner + 1, reached);
    for (Py_ssize_t row = 0; row < rows; row++) {
        const double *held = table->values + places[reached[row]];
        for (Py_ssize_t k = 0; k < table->width; k++)
            sums[row * outputs + k] += held[k];
    }
}

/* The trees in their order, those that are not planned by walking. */
static void block(const Table *table, const Plan *plan, const float *matrix, Py_ssize_t rows, Py_ssize_t columns,
                  double *sums, Py_ssize_t outputs, uint64_t *passed, int32_t *answers)
{
    const Step *steps = plan->steps;
    const uint32_t *places = plan->places;
    make_tests(table, plan, matrix, rows, columns, passed);
    if (!plan->is_whole)
        for (Py_ssize_t row = 0; row < rows; row++)
            answer(table, matrix + row * columns, answers + row * table->asked);
    for (Py_ssize_t tree = 0; tree < table->trees; tree++) {
        uint32_t inner = plan->inner[tree];
        if (inner == NOT_PLANNED) {
            Table one = *table;
            one.roots += tree;
            one.outputs += tree;
            one.trees = 1;
            some_rows(&one, answers, rows, sums, outputs);
            continue;
        }
        small_tree(table, steps, inner, places, passed, rows, sums + table->outputs[tree], outputs);
        steps += inner;
        places += inner + 1;
    }
}

static void all_rows_planned(const Table *table, const Plan *plan, const float *matrix, Py_ssize_t rows,
                             Py_ssize_t columns, double *sums, Py_ssize_t outputs, uint64_t *passed, int32_t *answers)
{
    Py_ssize_t start = 0;
    for (; rows - start >= ENOUGH_ROWS; start += ROWS_AT_ONCE) {
        Py_ssize_t some = rows - start < ROWS_AT_ONCE ? rows - start : ROWS_AT_ONCE;
        block(table, plan, matrix + start * columns, some, columns, sums + start * outputs, outputs, passed, answers);
    }
    if (start < rows)
        all_rows(table, matrix + start * columns, rows - start, columns, sums + start * outputs, outputs, answers);
}

PyDoc_STRVAR(add_leaves_doc,
             "add_leaves(questions, sets, nodes, values, width, roots, outputs, matrix, rows, sums)\n\n"
             "Adds what the leaves hold that each row reaches to sums, shape (rows, all outputs).");

PyDoc_STRVAR(add_leaves_of_many_doc,
             "add_leaves_of_many(questions, sets, nodes, values, width, roots, outputs, matrix, rows, sums, tests, steps, "
             "inner, places)\n\n"
             "The same for many rows, by a plan.");

enum { QUESTIONS, SETS, NODES, VALUES, ROOTS, OUTPUTS, MATRIX, SUMS, TESTS, STEPS, INNER, PLACES, ARRAYS };

static Py_ssize_t length(const Py_buffer *view, size_t size)
{
    return view->len / (Py_ssize_t)size;
}

static Plan plan_of(const Py_buffer *views)
{
    Plan plan = {
        .tests = views[TESTS].buf,
        .count = length(&views[TESTS], sizeof(Test)),
        .steps = views[STEPS].buf,
        .inner = views[INNER].buf,
        .places = views[PLACES].buf,
        .is_whole = 1,
    };
    for (Py_ssize_t tree = 0; tree < length(&views[INNER], sizeof(uint32_t)); tree++)
        plan.is_whole &= plan.inner[tree] != NOT_PLANNED;
    return plan;
}

static PyObject *add(PyObject *args, const char *format, int arrays)
{
    PyObject *objects[ARRAYS];
    Py_ssize_t width, rows;
    if (!PyArg_ParseTuple(args, format, &objects[QUESTIONS], &objects[SETS], &objects[NODES], &objects[VALUES], &width,
                          &objects[ROOTS], &objects[OUTPUTS], &objects[MATRIX], &rows, &objects[SUMS], &objects[TESTS],
                          &objects[STEPS], &objects[INNER], &objects[PLACES]))
        return NULL;
    Py_buffer views[ARRAYS];
    int held = 0;
    int32_t *answers = NULL;
    uint64_t *passed = NULL;
    for (; held < arrays; held++)
        if (PyObject_GetBuffer(objects[held], &views[held], PyBUF_C_CONTIGUOUS | (held == SUMS ? PyBUF_WRITABLE : 0)) < 0)
            goto done;
    Table table = {
        .questions = views[QUESTIONS].buf,
        .asked = length(&views[QUESTIONS], sizeof(Question)),
        .sets = views[SETS].buf,
        .nodes = views[NODES].buf,
        .values = views[VALUES].buf,
        .width = width,
        .roots = views[ROOTS].buf,
        .outputs = views[OUTPUTS].buf,
        .trees = length(&views[ROOTS], sizeof(uint32_t)),
    };
    int is_planned = arrays == ARRAYS;
    if (views[ROOTS].len != views[OUTPUTS].len || rows < 1 || (is_planned && views[ROOTS].len != views[INNER].len)) {
        PyErr_SetString(PyExc_ValueError, "each tree has one root and one place for its output, and there are rows");
        goto done;
    }
    Py_ssize_t columns = length(&views[MATRIX], sizeof(float)) / rows;
    Py_ssize_t outputs = length(&views[SUMS], sizeof(double)) / rows;
    answers = malloc(sizeof *answers * (size_t)table.asked * (size_t)(rows < ROWS_AT_ONCE ? rows : ROWS_AT_ONCE));
    if (is_planned)
        passed = malloc(sizeof *passed * ((size_t)length(&views[TESTS], sizeof(Test)) + 1));
    if (answers == NULL || (is_planned && passed == NULL)) {
        PyErr_NoMemory();
        goto done;
    }
    if (rows == 1) {
        answer(&table, views[MATRIX].buf, answers);
        one_row(&table, answers, views[SUMS].buf);
    } else if (is_planned) {
        Plan plan = plan_of(views);
        Py_BEGIN_ALLOW_THREADS
        all_rows_planned(&table, &plan, views[MATRIX].buf, rows, columns, views[SUMS].buf, outputs, passed, answers);
        Py_END_ALLOW_THREADS
    } else {
        Py_BEGIN_ALLOW_THREADS
        all_rows(&table, views[MATRIX].buf, rows, columns, views[SUMS].buf, outputs, answers);
        Py_END_ALLOW_THREADS
    }
done:
    free(answers);
    free(passed);
    while (held > 0)
        PyBuffer_Release(&views[--held]);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *add_leaves(PyObject *module, PyObject *args)
{
    return add(args, "OOOOnOOOnO", TESTS);
}

static PyObject *add_leaves_of_many(PyObject *module, PyObject *args)
{
    return add(args, "OOOOnOOOnOOOOO", ARRAYS);
}

static PyMethodDef methods[] = {
    {"add_leaves", add_leaves, METH_VARARGS, add_leaves_doc},
    {"add_leaves_of_many", add_leaves_of_many, METH_VARARGS, add_leaves_of_many_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_traverse", "Sums over trees, compiled; see traverse.py.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__traverse(void)
{
    return PyModule_Create(&definition);
}
