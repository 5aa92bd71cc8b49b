/* Dense rows: how they are made, and their product with the weights of a layer. dense_rows.py holds the same in
   NumPy, with the same bits.

   A network that answers one row spends its time between calls and in waiting for weights. So a whole view is one call,
   a whole layer is one call, and weights are float32, half the memory of the float64 that they are computed with. All
   numbers of a product are whole multiples of powers of two whose sums are exact, so the order of adding up does not
   matter, and zeros may be left out. The view is compiled without contraction: its operations are those of NumPy, one
   by one. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 4
#define OUTPUTS_AT_ONCE 8
#define MOST_ARRAYS 10

#if defined(__GNUC__) && defined(__x86_64__) && defined(__linux__)
#define FOR_WIDER_PROCESSORS __attribute__((target_clones("avx2", "default")))
#else
#define FOR_WIDER_PROCESSORS
#endif

/* -- arrays ------------------------------------------------------------------------------------------------- */

static void release(Py_buffer *views, int held)
{
    while (held > 0)
        PyBuffer_Release(&views[--held]);
}

/* The buffers of all arrays, the last one to be written to. -1 with an exception set where one cannot be had. */
static int hold(PyObject **objects, Py_buffer *views, int arrays)
{
    for (int i = 0; i < arrays; i++) {
        int flags = PyBUF_C_CONTIGUOUS | (i == arrays - 1 ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(objects[i], &views[i], flags) < 0) {
            release(views, i);
            return -1;
        }
    }
    return 0;
}

static int are_within(const int64_t *places, Py_ssize_t count, Py_ssize_t end)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (places[i] < 0 || places[i] >= end)
            return 0;
    return 1;
}

/* -- the view ----------------------------------------------------------------------------------------------- */

typedef struct {
    const int64_t *numbers, *indicators, *categories, *first, *missing, *spread;
    const double *centre, *scale;
    Py_ssize_t count_of_numbers, count_of_indicators, count_of_categories, slots, width;
    double soft_limit;
} View;

static void densify_row(const View *view, const float *row, double *dense)
{
    for (Py_ssize_t i = 0; i < view->count_of_numbers; i++) {
        double scaled = ((double)row[view->numbers[i]] - view->centre[i]) * view->scale[i];
        double share = scaled / view->soft_limit;
        scaled /= sqrt(1.0 + share * share);
        dense[i] = scaled == scaled ? scaled : 0.0;
    }
    double *after = dense + view->count_of_numbers;
    for (Py_ssize_t i = 0; i < view->count_of_indicators; i++) {
        float value = row[view->indicators[i]];
        after[i] = value != value;
    }
    for (Py_ssize_t i = 0; i < view->count_of_categories; i++) {
        float code = row[view->categories[i]];
        int64_t slot = view->missing[i];
        if (code == code) {
            if (!(code >= 0.0f && code < 2147483648.0f))
                continue;
            slot = (int64_t)code + view->first[i];
        }
        if (slot < 0 || slot >= view->slots)
            continue;
        int64_t column = view->spread[slot];
        if (column >= 0 && column < view->width)
            dense[column] = 1.0;
    }
}

PyDoc_STRVAR(densify_doc,
             "densify(matrix, numbers, centre, scale, indicators, categories, first, missing, spread, dense, rows, soft_limit)\n\n"
             "Fills dense, float64 (rows, width) of zeros, from matrix, float32 (rows, columns).");

static PyObject *densify(PyObject *module, PyObject *args)
{
    enum { MATRIX, NUMBERS, CENTRE, SCALE, INDICATORS, CATEGORIES, FIRST, MISSING, SPREAD, DENSE, ARRAYS };
    PyObject *objects[ARRAYS];
    Py_ssize_t rows;
    double soft_limit;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOOnd", &objects[MATRIX], &objects[NUMBERS], &objects[CENTRE], &objects[SCALE],
                          &objects[INDICATORS], &objects[CATEGORIES], &objects[FIRST], &objects[MISSING],
                          &objects[SPREAD], &objects[DENSE], &rows, &soft_limit))
        return NULL;
    Py_buffer views[MOST_ARRAYS];
    if (hold(objects, views, ARRAYS) < 0)
        return NULL;
    const Py_ssize_t eight = 8;
    View view = {
        .numbers = views[NUMBERS].buf,
        .centre = views[CENTRE].buf,
        .scale = views[SCALE].buf,
        .indicators = views[INDICATORS].buf,
        .categories = views[CATEGORIES].buf,
        .first = views[FIRST].buf,
        .missing = views[MISSING].buf,
        .spread = views[SPREAD].buf,
        .count_of_numbers = views[NUMBERS].len / eight,
        .count_of_indicators = views[INDICATORS].len / eight,
        .count_of_categories = views[CATEGORIES].len / eight,
        .slots = views[SPREAD].len / eight,
        .soft_limit = soft_limit,
    };
    if (rows < 1) {
        PyErr_SetString(PyExc_ValueError, "there are no rows");
        goto done;
    }
    Py_ssize_t columns = views[MATRIX].len / (Py_ssize_t)sizeof(float) / rows;
    view.width = views[DENSE].len / (Py_ssize_t)sizeof(double) / rows;
    if (views[CENTRE].len != views[NUMBERS].len || views[SCALE].len != views[NUMBERS].len ||
        views[FIRST].len != views[CATEGORIES].len || views[MISSING].len != views[CATEGORIES].len ||
        view.count_of_numbers + view.count_of_indicators > view.width) {
        PyErr_SetString(PyExc_ValueError, "the parts of this view do not belong together");
        goto done;
    }
    if (!are_within(view.numbers, view.count_of_numbers, columns) ||
        !are_within(view.indicators, view.count_of_indicators, columns) ||
        !are_within(view.categories, view.count_of_categories, columns)) {
        PyErr_SetString(PyExc_IndexError, "this view asks for columns that the rows do not have");
        goto done;
    }
    const float *matrix = views[MATRIX].buf;
    double *dense = views[DENSE].buf;
    if (rows == 1) {
        densify_row(&view, matrix, dense);
    } else {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < rows; row++)
            densify_row(&view, matrix + row * columns, dense + row * view.width);
        Py_END_ALLOW_THREADS
    }
done:
    release(views, ARRAYS);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* -- the product --------------------------------------------------------------------------------------------- */

static void make_digits(const double *signal, Py_ssize_t count, double unit, double limit, double *digits)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        double digit = rint(signal[i] * unit);
        digit = digit > limit ? limit : digit;
        digits[i] = digit < -limit ? -limit : digit;
    }
}

FOR_WIDER_PROCESSORS
static void one_row(const double *digits, const float *weight, Py_ssize_t inputs, Py_ssize_t outputs, double *sums)
{
    for (Py_ssize_t i = 0; i < inputs; i++) {
        double digit = digits[i];
        if (digit == 0.0)
            continue;
        const float *of_input = weight + i * outputs;
        for (Py_ssize_t j = 0; j < outputs; j++)
            sums[j] += digit * (double)of_input[j];
    }
}

FOR_WIDER_PROCESSORS
static void four_rows(const double *digits, const float *weight, Py_ssize_t inputs, Py_ssize_t outputs, double *sums)
{
    Py_ssize_t j = 0;
    for (; j + OUTPUTS_AT_ONCE <= outputs; j += OUTPUTS_AT_ONCE) {
        double total[ROWS_AT_ONCE][OUTPUTS_AT_ONCE] = {{0.0}};
        for (Py_ssize_t i = 0; i < inputs; i++) {
            const float *held = weight + i * outputs + j;
            double wide[OUTPUTS_AT_ONCE];
            for (int k = 0; k < OUTPUTS_AT_ONCE; k++)
                wide[k] = (double)held[k];
            for (int row = 0; row < ROWS_AT_ONCE; row++)
                for (int k = 0; k < OUTPUTS_AT_ONCE; k++)
                    total[row][k] += digits[row * inputs + i] * wide[k];
        }
        for (int row = 0; row < ROWS_AT_ONCE; row++)
            for (int k = 0; k < OUTPUTS_AT_ONCE; k++)
                sums[row * outputs + j + k] += total[row][k];
    }
    for (; j < outputs; j++)
        for (int row = 0; row < ROWS_AT_ONCE; row++) {
            double total = 0.0;
            for (Py_ssize_t i = 0; i < inputs; i++)
                total += digits[row * inputs + i] * (double)weight[i * outputs + j];
            sums[row * outputs + j] += total;
        }
}

static void some_rows(const double *digits, const float *weight, const double *bias, Py_ssize_t rows, Py_ssize_t inputs,
                      Py_ssize_t outputs, double *sums)
{
    for (Py_ssize_t row = 0; row < rows; row++)
        memset(sums + row * outputs, 0, sizeof *sums * (size_t)outputs);
    Py_ssize_t row = 0;
    for (; row + ROWS_AT_ONCE <= rows; row += ROWS_AT_ONCE)
        four_rows(digits + row * inputs, weight, inputs, outputs, sums + row * outputs);
    for (; row < rows; row++)
        one_row(digits + row * inputs, weight, inputs, outputs, sums + row * outputs);
    for (row = 0; row < rows; row++)
        for (Py_ssize_t j = 0; j < outputs; j++)
            sums[row * outputs + j] += bias[j];
}

typedef struct {
    const double *signal;
    const float *weight;
    const double *bias;
    double *sums, *digits;
    Py_ssize_t held, members, rows, inputs, outputs;
    double unit, limit;
} Product;

static void all_members(const Product *product)
{
    Py_ssize_t of_signal = product->rows * product->inputs, of_sums = product->rows * product->outputs;
    make_digits(product->signal, product->held, product->unit, product->limit, product->digits);
    for (Py_ssize_t member = 0; member < product->members; member++)
        some_rows(product->digits + (product->held == of_signal ? 0 : member * of_signal),
                  product->weight + member * product->inputs * product->outputs,
                  product->bias + member * product->outputs, product->rows, product->inputs, product->outputs,
                  product->sums + member * of_sums);
}

PyDoc_STRVAR(multiply_doc,
             "multiply(signal, weight, bias, sums, unit, limit, members, rows)\n\n"
             "Fills sums, float64 (members, rows, outputs), with clip(rint(signal * unit)) @ weight + bias. Shapes: signal\n"
             "float64 (members or 1, rows, inputs), weight float32 (members, inputs, outputs), bias float64 (members, 1,\n"
             "outputs).");

static PyObject *multiply(PyObject *module, PyObject *args)
{
    enum { SIGNAL, WEIGHT, BIAS, SUMS, ARRAYS };
    PyObject *objects[ARRAYS];
    Py_ssize_t members, rows;
    double unit, limit, *digits = NULL;
    if (!PyArg_ParseTuple(args, "OOOOddnn", &objects[SIGNAL], &objects[WEIGHT], &objects[BIAS], &objects[SUMS], &unit,
                          &limit, &members, &rows))
        return NULL;
    Py_buffer views[MOST_ARRAYS];
    if (hold(objects, views, ARRAYS) < 0)
        return NULL;
    if (members < 1 || rows < 1) {
        PyErr_SetString(PyExc_ValueError, "there are no rows, or no members");
        goto done;
    }
    Py_ssize_t outputs = views[BIAS].len / (Py_ssize_t)sizeof(double) / members;
    Py_ssize_t inputs = outputs ? views[WEIGHT].len / (Py_ssize_t)sizeof(float) / members / outputs : 0;
    Py_ssize_t of_signal = rows * inputs, of_sums = rows * outputs;
    Py_ssize_t held = views[SIGNAL].len / (Py_ssize_t)sizeof(double);
    if (outputs < 1 || inputs < 1 || (held != of_signal && held != of_signal * members) ||
        views[SUMS].len != (Py_ssize_t)sizeof(double) * of_sums * members ||
        views[WEIGHT].len != (Py_ssize_t)sizeof(float) * members * inputs * outputs) {
        PyErr_SetString(PyExc_ValueError, "the shapes of signal, weight, bias and sums do not fit each other");
        goto done;
    }
    digits = malloc(sizeof *digits * (size_t)held);
    if (digits == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    Product product = {
        .signal = views[SIGNAL].buf,
        .weight = views[WEIGHT].buf,
        .bias = views[BIAS].buf,
        .sums = views[SUMS].buf,
        .digits = digits,
        .held = held,
        .members = members,
        .rows = rows,
        .inputs = inputs,
        .outputs = outputs,
        .unit = unit,
        .limit = limit,
    };
    if (rows == 1) {
        all_members(&product);
    } else {
        Py_BEGIN_ALLOW_THREADS
        all_members(&product);
        Py_END_ALLOW_THREADS
    }
done:
    free(digits);
    release(views, ARRAYS);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"densify", densify, METH_VARARGS, densify_doc},
    {"multiply", multiply, METH_VARARGS, multiply_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_dense", "Dense rows and their products, compiled; see dense_rows.py.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__dense(void)
{
    return PyModule_Create(&definition);
}
