/* A module with one function, sum(n): the numbers from 1 to n, added by several threads. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *sum(PyObject *self, PyObject *argument) {
    long last = PyLong_AsLong(argument), total = 0;
    (void)self;
    if (last == -1 && PyErr_Occurred()) return NULL;
#pragma omp parallel for reduction(+ : total)
    for (long number = 1; number <= last; ++number) total += number;
    return PyLong_FromLong(total);
}

static PyMethodDef methods[] = {{"sum", sum, METH_O, "Add the numbers from 1 to n."}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tinykernels", NULL, 0, methods};

PyMODINIT_FUNC PyInit_tinykernels(void) { return PyModuleDef_Init(&definition); }
