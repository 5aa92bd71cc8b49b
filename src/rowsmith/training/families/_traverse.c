/* Sums over trees: the loops of prediction that are worth compiling. traverse.py holds the same in NumPy.

   A row alone walks (_walks.h), many rows go through small trees and symmetric ones as bits (_planes.h). Leaves hold numbers whose sums are
   exact, so the order of the trees does not matter.

   Nothing is checked here but a few sizes; node_table.py, tree_plan.py and symmetric_trees.py have seen to the rest when the table was
   made. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdlib.h>

#include "_planes.h"

PyDoc_STRVAR(add_leaves_doc,
             "add_leaves(questions, sets, nodes, values, width, roots, outputs, matrix, rows, sums)\n\n"
             "Adds what the leaves hold that each row reaches to sums, shape (rows, all outputs).");

PyDoc_STRVAR(add_leaves_by_plan_doc,
             "add_leaves_by_plan(questions, sets, nodes, values, width, roots, outputs, matrix, rows, sums, tests, steps, "
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
    Scratch scratch = {NULL, NULL, NULL};
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
    Plan plan = is_planned ? plan_of(views) : (Plan){0};
    size_t at_once = is_planned && !plan.is_whole ? ROWS_OF_A_BLOCK : ROWS_AT_ONCE;
    at_once = (size_t)rows < at_once ? (size_t)rows : at_once;
    scratch.answers = malloc(sizeof *scratch.answers * (size_t)table.asked * at_once);
    if (is_planned) {
        scratch.passed = malloc(sizeof *scratch.passed * ((size_t)length(&views[TESTS], sizeof(Test)) + 1));
        scratch.sums = malloc(sizeof *scratch.sums * ROWS_OF_A_BLOCK * (size_t)outputs);
    }
    if (scratch.answers == NULL || (is_planned && (scratch.passed == NULL || scratch.sums == NULL))) {
        PyErr_NoMemory();
        goto done;
    }
    if (rows == 1) {
        answer(&table, views[MATRIX].buf, scratch.answers);
        one_row(&table, scratch.answers, (Sums){views[SUMS].buf, outputs, 1}, 0);
    } else if (is_planned) {
        Py_BEGIN_ALLOW_THREADS
        all_rows_planned(&table, &plan, views[MATRIX].buf, rows, columns, views[SUMS].buf, outputs, &scratch);
        Py_END_ALLOW_THREADS
    } else {
        Py_BEGIN_ALLOW_THREADS
        all_rows(&table, views[MATRIX].buf, rows, columns, (Sums){views[SUMS].buf, outputs, 1}, scratch.answers);
        Py_END_ALLOW_THREADS
    }
done:
    free(scratch.answers);
    free(scratch.passed);
    free(scratch.sums);
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

static PyObject *add_leaves_by_plan(PyObject *module, PyObject *args)
{
    return add(args, "OOOOnOOOnOOOOO", ARRAYS);
}

PyDoc_STRVAR(add_symmetric_doc,
             "add_symmetric(questions, tests, levels, leaves, matrix, rows, depth, width, sums)\n\n"
             "Adds what the leaves of symmetric trees hold to sums, shape (rows, width).");

static PyObject *add_symmetric(PyObject *module, PyObject *args)
{
    enum { ASKED, TESTED, LEVELS, LEAVES, ROWS, TOTALS, ALL };
    PyObject *objects[ALL];
    Py_ssize_t rows, depth, width;
    if (!PyArg_ParseTuple(args, "OOOOOnnnO", &objects[ASKED], &objects[TESTED], &objects[LEVELS], &objects[LEAVES],
                          &objects[ROWS], &rows, &depth, &width, &objects[TOTALS]))
        return NULL;
    Py_buffer views[ALL];
    int held = 0;
    Scratch scratch = {NULL, NULL, NULL};
    for (; held < ALL; held++)
        if (PyObject_GetBuffer(objects[held], &views[held], PyBUF_C_CONTIGUOUS | (held == TOTALS ? PyBUF_WRITABLE : 0)) < 0)
            goto done;
    if (rows < 1 || depth < 1 || depth > 16 || width < 1) {
        PyErr_SetString(PyExc_ValueError, "there are no rows, or these are no symmetric trees");
        goto done;
    }
    Table table = {.questions = views[ASKED].buf, .asked = length(&views[ASKED], sizeof(Question))};
    Plan plan = {.tests = views[TESTED].buf, .count = length(&views[TESTED], sizeof(Test)), .is_whole = 1};
    SymmetricTrees trees = {
        .tests = views[LEVELS].buf,
        .leaves = views[LEAVES].buf,
        .trees = length(&views[LEVELS], sizeof(uint32_t)) / depth,
        .depth = depth,
        .width = width,
    };
    Py_ssize_t columns = length(&views[ROWS], sizeof(float)) / rows;
    if (length(&views[LEAVES], sizeof(float)) >> depth != trees.trees * width ||
        length(&views[TOTALS], sizeof(double)) != rows * width) {
        PyErr_SetString(PyExc_ValueError, "the parts of these trees do not belong together");
        goto done;
    }
    for (Py_ssize_t i = 0; i < table.asked; i++)
        if (table.questions[i].column >= (size_t)columns) {
            PyErr_SetString(PyExc_IndexError, "these trees ask for columns that the rows do not have");
            goto done;
        }
    scratch.passed = malloc(sizeof *scratch.passed * ((size_t)plan.count + 1));
    scratch.sums = malloc(sizeof *scratch.sums * ROWS_OF_A_BLOCK * (size_t)width);
    if (scratch.passed == NULL || scratch.sums == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    all_rows_symmetric(&table, &plan, &trees, views[ROWS].buf, rows, columns, views[TOTALS].buf, &scratch);
    Py_END_ALLOW_THREADS
done:
    free(scratch.passed);
    free(scratch.sums);
    while (held > 0)
        PyBuffer_Release(&views[--held]);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"add_leaves", add_leaves, METH_VARARGS, add_leaves_doc},
    {"add_leaves_by_plan", add_leaves_by_plan, METH_VARARGS, add_leaves_by_plan_doc},
    {"add_symmetric", add_symmetric, METH_VARARGS, add_symmetric_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_traverse", "Sums over trees, compiled; see traverse.py.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__traverse(void)
{
    return PyModule_Create(&definition);
}
