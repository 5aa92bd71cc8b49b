/* Trees whose nodes are a table, and walks through them: of a row through all of them, or of rows through one.

   A step down a tree is a jump that no processor foresees and a load that waits for the one before it. So eight walks
   that know nothing of each other are made at once, eight rows through a tree or a row through eight trees, and a step is
   a comparison of whole numbers and an addition: what is asked of a row is made into such numbers beforehand, once for all
   trees. */

#ifndef ROWSMITH_WALKS
#define ROWSMITH_WALKS

#include <Python.h>
#include <limits.h>
#include <stdint.h>
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

/* Where sums stand: those of the next row, and the next output, are so many numbers further on. */
typedef struct {
    double *of;
    Py_ssize_t row, output;
} Sums;

static inline void add_leaf(const Table *table, const Node *leaf, Sums sums, Py_ssize_t row, Py_ssize_t output)
{
    const double *held = table->values + leaf->place;
    double *into = sums.of + row * sums.row + output * sums.output;
    for (Py_ssize_t k = 0; k < table->width; k++)
        into[k * sums.output] += held[k];
}

static void one_row(const Table *table, const int32_t *answers, Sums sums, Py_ssize_t row)
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
            add_leaf(table, table->nodes + at[lane], sums, row, table->outputs[tree + lane]);
    }
    for (; tree < table->trees; tree++) {
        uint32_t at = table->roots[tree], before;
        do {
            before = at;
            at = step(table->nodes, at, answers);
        } while (at != before);
        add_leaf(table, table->nodes + at, sums, row, table->outputs[tree]);
    }
}

static void some_rows(const Table *table, const int32_t *answers, Py_ssize_t rows, Sums sums)
{
    for (Py_ssize_t tree = 0; tree < table->trees; tree++) {
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
                add_leaf(table, table->nodes + at[lane], sums, row + lane, table->outputs[tree]);
        }
    }
    for (Py_ssize_t row = rows - rows % LANES; row < rows; row++)
        one_row(table, answers + row * table->asked, sums, row);
}

static void all_rows(const Table *table, const float *matrix, Py_ssize_t rows, Py_ssize_t columns, Sums sums,
                     int32_t *answers)
{
    for (Py_ssize_t start = 0; start < rows; start += ROWS_AT_ONCE) {
        Py_ssize_t some = rows - start < ROWS_AT_ONCE ? rows - start : ROWS_AT_ONCE;
        for (Py_ssize_t row = 0; row < some; row++)
            answer(table, matrix + (start + row) * columns, answers + row * table->asked);
        some_rows(table, answers, some, (Sums){sums.of + start * sums.row, sums.row, sums.output});
    }
}

#endif
