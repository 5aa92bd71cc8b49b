/* Many rows through small trees, without any jump: 256 rows are the bits of a few words, a plane.

   What trees ask is asked once for all rows and trees, a plane of answers each, and then a node hands the bits that came
   to it on to its two children (after QuickScorer, Lucchese et al. 2015, doi:10.1145/2766462.2767733, turned by a
   quarter). The number of the leaf that each row has reached is read from planes, one for each bit of it; in a symmetric
   tree the answers are these bits.

   Row i of a block is bit 8 * (i / 32) + i % 8 of word i / 8 % 4: so the bytes that planes turn into lie in the order of
   the rows. */

#ifndef ROWSMITH_PLANES
#define ROWSMITH_PLANES

#include "_walks.h"

#define WORDS 4
#define ROWS_OF_A_BLOCK (64 * WORDS)
#define MOST_LEAVES 256
#define NOT_PLANNED UINT32_MAX
#define ENOUGH_ROWS 16
#define LEVELS_OF_A_WORD 32
#define NIBBLES 8

/* The compiler makes a word of several, where the processor has wider ones. */
#if defined(__GNUC__) && defined(__x86_64__) && defined(__linux__)
#define FOR_WIDER_PROCESSORS __attribute__((target_clones("avx2", "default")))
#else
#define FOR_WIDER_PROCESSORS
#endif

typedef struct {
    uint64_t of[WORDS];
} Plane;

/* Whether an answer to a question is at most a threshold; in the order of questions, then of thresholds. */
typedef struct {
    uint32_t question;
    int32_t threshold;
} Test;

/* Of the rows in a slot, those that pass a test stay, and the others go to a new one: step i of a tree to slot i + 1. They
   begin in slot 0, and at last each slot is a leaf. */
typedef struct {
    uint32_t slot;
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

static inline void add_row(Plane *plane, Py_ssize_t row)
{
    plane->of[row >> 3 & (WORDS - 1)] |= (uint64_t)1 << ((row >> 5 << 3) + (row & 7));
}

static inline void join(Plane *__restrict into, const Plane *__restrict other)
{
    for (int k = 0; k < WORDS; k++)
        into->of[k] |= other->of[k];
}

/* -- what trees ask ------------------------------------------------------------------------------------------- */

/* The place of the first test that an answer passes; it passes those after it, too. */
static inline Py_ssize_t first_passed(const Test *tests, Py_ssize_t count, int32_t answer)
{
    const Test *base = tests;
    while (count > 1) {
        Py_ssize_t half = count >> 1;
        base += base[half - 1].threshold < answer ? half : 0;
        count -= half;
    }
    return base - tests + (base->threshold < answer);
}

FOR_WIDER_PROCESSORS
static void hand_on(Plane *passed, Py_ssize_t count)
{
    Plane sum = {{0}};
    for (Py_ssize_t i = 0; i < count; i++) {
        join(&sum, passed + i);
        passed[i] = sum;
    }
}

static void compare(const Test *tests, Py_ssize_t count, uint32_t kind, const float *values, Py_ssize_t rows,
                    Py_ssize_t columns, Plane *passed)
{
    memset(passed, 0, sizeof *passed * (size_t)count);
    for (Py_ssize_t row = 0; row < rows; row++) {
        float value = values[row * columns];
        int32_t answer = value == value ? ordered(value) : kind == MISSING_IS_LEAST ? INT32_MIN : INT32_MAX;
        Py_ssize_t first = first_passed(tests, count, answer);
        if (first < count)
            add_row(passed + first, row);
    }
    hand_on(passed, count);
}

/* Of the levels that a word of a set tells of: the rows that have one of some four, for any choice of the four. */
typedef struct {
    Plane rows[NIBBLES][16];
} Choices;

FOR_WIDER_PROCESSORS
static void make_choices(Choices *choices, const Plane *of_level, int nibbles)
{
    for (int nibble = 0; nibble < nibbles; nibble++) {
        Plane *chosen = choices->rows[nibble];
        memset(chosen, 0, sizeof *chosen);
        for (int bit = 0; bit < 4; bit++)
            for (int others = 0; others < 1 << bit; others++) {
                chosen[1 << bit | others] = chosen[others];
                join(chosen + (1 << bit | others), of_level + 4 * nibble + bit);
            }
    }
}

FOR_WIDER_PROCESSORS
static void choose(const Table *table, const Test *tests, Py_ssize_t count, uint32_t word, const Choices *choices,
                   int nibbles, Plane *passed)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        const uint32_t *set = table->sets + table->questions[tests[i].question].set;
        if (word >= set[0])
            continue;
        Plane inside = passed[i];
        for (int nibble = 0; nibble < nibbles; nibble++)
            join(&inside, choices->rows[nibble] + (set[1 + word] >> (4 * nibble) & 15));
        passed[i] = inside;
    }
}

/* The tests are about sets of levels of one column. Those of a word of levels are looked at together. */
static void look_up(const Table *table, const Test *tests, Py_ssize_t count, const float *values, Py_ssize_t rows,
                    Py_ssize_t columns, Plane *passed)
{
    int64_t levels[ROWS_OF_A_BLOCK];
    for (Py_ssize_t row = 0; row < rows; row++) {
        float value = values[row * columns];
        levels[row] = value > -1.0f && value < 2147483648.0f ? (int64_t)value : -1;
    }
    memset(passed, 0, sizeof *passed * (size_t)count);
    for (Py_ssize_t first = 0; first < rows; first++) {
        if (levels[first] < 0)
            continue;
        Plane of_level[LEVELS_OF_A_WORD] = {{{0}}};
        Choices choices;
        int64_t word = levels[first] / LEVELS_OF_A_WORD, last = 0;
        for (Py_ssize_t row = first; row < rows; row++)
            if (levels[row] >= 0 && levels[row] / LEVELS_OF_A_WORD == word) {
                int64_t level = levels[row] % LEVELS_OF_A_WORD;
                add_row(of_level + level, row);
                last = level > last ? level : last;
                levels[row] = -1;
            }
        int nibbles = (int)last / 4 + 1;
        make_choices(&choices, of_level, nibbles);
        choose(table, tests, count, (uint32_t)word, &choices, nibbles, passed);
    }
}

static inline int are_asked_together(const Question *one, const Question *other)
{
    return one->column == other->column && one->kind == other->kind && (one->kind == IS_CATEGORY || one == other);
}

static void make_tests(const Table *table, const Plan *plan, const float *matrix, Py_ssize_t rows, Py_ssize_t columns,
                       Plane *passed)
{
    for (Py_ssize_t first = 0, end; first < plan->count; first = end) {
        const Question *question = table->questions + plan->tests[first].question;
        const float *values = matrix + question->column;
        end = first + 1;
        while (end < plan->count && are_asked_together(question, table->questions + plan->tests[end].question))
            end++;
        if (question->kind == IS_CATEGORY)
            look_up(table, plan->tests + first, end - first, values, rows, columns, passed + first);
        else
            compare(plan->tests + first, end - first, question->kind, values, rows, columns, passed + first);
    }
}

/* -- where rows end ------------------------------------------------------------------------------------------- */

/* Byte i of word j becomes byte j of word i, and then bit i of each byte j bit j of byte i (Warren 2013, Hacker's
   Delight, 7-3): of eight planes, the bits of a row become a byte. */
FOR_WIDER_PROCESSORS
static void turn(Plane *planes)
{
    static const uint64_t masks[] = {0x00000000FFFFFFFFu, 0x0000FFFF0000FFFFu, 0x00FF00FF00FF00FFu};
    for (int stage = 0; stage < 3; stage++) {
        int apart = 4 >> stage, shift = 32 >> stage;
        for (int i = 0; i < 8; i++) {
            if (i & apart)
                continue;
            for (int k = 0; k < WORDS; k++) {
                uint64_t here = planes[i].of[k], there = planes[i + apart].of[k];
                uint64_t t = ((here >> shift) ^ there) & masks[stage];
                planes[i + apart].of[k] = there ^ t;
                planes[i].of[k] = here ^ (t << shift);
            }
        }
    }
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < WORDS; k++) {
            uint64_t x = planes[i].of[k];
            uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAu;
            x ^= t ^ (t << 7);
            t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCu;
            x ^= t ^ (t << 14);
            t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0u;
            planes[i].of[k] = x ^ t ^ (t << 28);
        }
}

static void read_rows(Plane *planes, uint8_t *numbers)
{
    turn(planes);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < WORDS; k++)
            for (int byte = 0; byte < 8; byte++)
                numbers[8 * (i * WORDS + k) + byte] = (uint8_t)(planes[i].of[k] >> (8 * byte));
}

/* Which rows reach each slot, and from it, a bit of the leaves' numbers after the other, the planes of these numbers. */
FOR_WIDER_PROCESSORS
static void descend(const Step *steps, Py_ssize_t inner, const Plane *passed, Plane *planes)
{
    Plane slots[MOST_LEAVES];
    memset(slots, 0xFF, sizeof *slots);
    for (Py_ssize_t i = 0; i < inner; i++) {
        Plane here = slots[steps[i].slot], stay, go;
        const Plane *pass = passed + steps[i].test;
        for (int k = 0; k < WORDS; k++) {
            stay.of[k] = here.of[k] & pass->of[k];
            go.of[k] = here.of[k] & ~pass->of[k];
        }
        slots[steps[i].slot] = stay;
        slots[i + 1] = go;
    }
    Py_ssize_t count = inner + 1;
    for (int bit = 0; count > 1; bit++) {
        Plane odd = {{0}};
        for (Py_ssize_t i = 0; i < count >> 1; i++) {
            Plane both = slots[2 * i];
            join(&odd, slots + 2 * i + 1);
            join(&both, slots + 2 * i + 1);
            slots[i] = both;
        }
        planes[bit] = odd;
        if (count & 1)
            slots[count >> 1] = slots[count - 1];
        count = (count + 1) >> 1;
    }
}

static void small_tree(const Table *table, const Step *steps, Py_ssize_t inner, const uint32_t *places,
                       const Plane *passed, Py_ssize_t rows, double *sums)
{
    Plane planes[8] = {{{0}}};
    uint8_t reached[ROWS_OF_A_BLOCK];
    double held[MOST_LEAVES];
    descend(steps, inner, passed, planes);
    read_rows(planes, reached);
    for (Py_ssize_t k = 0; k < table->width; k++) {
        double *into = sums + k * ROWS_OF_A_BLOCK;
        for (Py_ssize_t leaf = 0; leaf <= inner; leaf++)
            held[leaf] = table->values[places[leaf] + k];
        for (Py_ssize_t row = 0; row < rows; row++)
            into[row] += held[reached[row]];
    }
}

/* All nodes of a level ask the same: bit i of a leaf's number says that the row does not pass the test of level i. */
static void read_levels(const uint32_t *tests, Py_ssize_t levels, const Plane *passed, uint8_t *numbers)
{
    Plane planes[8] = {{{0}}};
    for (Py_ssize_t level = 0; level < levels; level++)
        for (int k = 0; k < WORDS; k++)
            planes[level].of[k] = ~passed[tests[level]].of[k];
    read_rows(planes, numbers);
}

/* `leaves` holds `width` numbers for each of the 2^depth leaves. */
static void symmetric_tree(const uint32_t *tests, Py_ssize_t depth, const float *leaves, Py_ssize_t width,
                           const Plane *passed, Py_ssize_t rows, double *sums)
{
    uint8_t low[ROWS_OF_A_BLOCK], high[ROWS_OF_A_BLOCK];
    read_levels(tests, depth < 8 ? depth : 8, passed, low);
    if (depth > 8)
        read_levels(tests + 8, depth - 8, passed, high);
    for (Py_ssize_t k = 0; k < width; k++) {
        double *into = sums + k * ROWS_OF_A_BLOCK;
        if (depth > 8)
            for (Py_ssize_t row = 0; row < rows; row++)
                into[row] += (double)leaves[(high[row] << 8 | low[row]) * width + k];
        else
            for (Py_ssize_t row = 0; row < rows; row++)
                into[row] += (double)leaves[low[row] * width + k];
    }
}

/* -- blocks --------------------------------------------------------------------------------------------------- */

typedef struct {
    Plane *passed;
    int32_t *answers;
    double *sums;
} Scratch;

/* The trees in their order, those that are not planned by walking. The sums of an output stand together. */
static void block(const Table *table, const Plan *plan, const float *matrix, Py_ssize_t rows, Py_ssize_t columns,
                  const Scratch *scratch)
{
    const Step *steps = plan->steps;
    const uint32_t *places = plan->places;
    make_tests(table, plan, matrix, rows, columns, scratch->passed);
    if (!plan->is_whole)
        for (Py_ssize_t row = 0; row < rows; row++)
            answer(table, matrix + row * columns, scratch->answers + row * table->asked);
    for (Py_ssize_t tree = 0; tree < table->trees; tree++) {
        uint32_t inner = plan->inner[tree];
        if (inner == NOT_PLANNED) {
            Table one = *table;
            one.roots += tree;
            one.outputs += tree;
            one.trees = 1;
            some_rows(&one, scratch->answers, rows, (Sums){scratch->sums, 1, ROWS_OF_A_BLOCK});
            continue;
        }
        small_tree(table, steps, inner, places, scratch->passed, rows,
                   scratch->sums + table->outputs[tree] * ROWS_OF_A_BLOCK);
        steps += inner;
        places += inner + 1;
    }
}

/* Sums stand by rows outside, and by outputs within a block. */
static void take_sums(const double *sums, Py_ssize_t rows, Py_ssize_t outputs, double *by_output)
{
    for (Py_ssize_t row = 0; row < rows; row++)
        for (Py_ssize_t k = 0; k < outputs; k++)
            by_output[k * ROWS_OF_A_BLOCK + row] = sums[row * outputs + k];
}

static void give_sums(const double *by_output, Py_ssize_t rows, Py_ssize_t outputs, double *sums)
{
    for (Py_ssize_t row = 0; row < rows; row++)
        for (Py_ssize_t k = 0; k < outputs; k++)
            sums[row * outputs + k] = by_output[k * ROWS_OF_A_BLOCK + row];
}

static void all_rows_planned(const Table *table, const Plan *plan, const float *matrix, Py_ssize_t rows,
                             Py_ssize_t columns, double *sums, Py_ssize_t outputs, const Scratch *scratch)
{
    Py_ssize_t start = 0;
    for (; rows - start >= ENOUGH_ROWS; start += ROWS_OF_A_BLOCK) {
        Py_ssize_t some = rows - start < ROWS_OF_A_BLOCK ? rows - start : ROWS_OF_A_BLOCK;
        take_sums(sums + start * outputs, some, outputs, scratch->sums);
        block(table, plan, matrix + start * columns, some, columns, scratch);
        give_sums(scratch->sums, some, outputs, sums + start * outputs);
    }
    if (start < rows)
        all_rows(table, matrix + start * columns, rows - start, columns, (Sums){sums + start * outputs, outputs, 1},
                 scratch->answers);
}

typedef struct {
    const uint32_t *tests;
    const float *leaves;
    Py_ssize_t trees, depth, width;
} SymmetricTrees;

static void all_rows_symmetric(const Table *table, const Plan *plan, const SymmetricTrees *trees, const float *matrix,
                               Py_ssize_t rows, Py_ssize_t columns, double *sums, const Scratch *scratch)
{
    Py_ssize_t of_tree = ((Py_ssize_t)1 << trees->depth) * trees->width;
    for (Py_ssize_t start = 0; start < rows; start += ROWS_OF_A_BLOCK) {
        Py_ssize_t some = rows - start < ROWS_OF_A_BLOCK ? rows - start : ROWS_OF_A_BLOCK;
        take_sums(sums + start * trees->width, some, trees->width, scratch->sums);
        make_tests(table, plan, matrix + start * columns, some, columns, scratch->passed);
        for (Py_ssize_t tree = 0; tree < trees->trees; tree++)
            symmetric_tree(trees->tests + tree * trees->depth, trees->depth, trees->leaves + tree * of_tree,
                           trees->width, scratch->passed, some, scratch->sums);
        give_sums(scratch->sums, some, trees->width, sums + start * trees->width);
    }
}

#endif
