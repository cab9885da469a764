# cython: boundscheck=False, wraparound=False
# distutils: language = c++
"""Text to numbers and numbers to text, in several threads."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

import os
import threading


cdef extern from "text.hpp" namespace "cyfes" nogil:
    int64_t c_count_lines "cyfes::count_lines"(const char *text, int64_t size)

    struct Parsed:
        int64_t rows
        int64_t lines
        int64_t bytes

    Parsed c_parse_rows "cyfes::parse_rows"(
        const char *text,
        int64_t size,
        int fields,
        const int32_t *targets,
        int width,
        double *table,
        int threads,
    ) except +

    cdef cppclass Buffer "cyfes::Buffer":
        const char *data()
        size_t size()

    cdef cppclass CGridText "cyfes::GridText":
        CGridText(vector[vector[double]], vector[const double *], string) except +
        int64_t rows()
        const vector[Buffer] &format(int64_t first, int64_t last, int threads) except +


def threads():
    """Return how many threads to use: what OMP_NUM_THREADS says, or a processor each."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if first.isdigit() and int(first) > 0:
        return min(int(first), 1024)
    return len(os.sched_getaffinity(0))


def count_lines(const unsigned char[::1] text not None):
    """Return how many lines end in a text."""
    if text.shape[0] == 0:
        return 0
    return c_count_lines(<const char *>&text[0], text.shape[0])


def parse_rows(
    const unsigned char[::1] text not None,
    const int32_t[::1] targets not None,
    double[:, ::1] table not None,
    int count,
):
    """Read rows of numbers into a table, with ``count`` threads; see text.hpp.

    The text ends with a line end, and the table has as many rows as the text has lines at least.
    Returns the numbers of rows, of lines and of bytes that were read.
    """
    cdef int64_t size = text.shape[0]
    cdef Parsed parsed
    if size == 0:
        return 0, 0, 0
    if text[size - 1] != b"\n":
        raise ValueError("the text does not end with a line end")
    if targets.shape[0] == 0 or table.shape[1] == 0:
        raise ValueError("there is no column to read")
    for target in targets:
        if target >= table.shape[1]:
            raise ValueError("column {} is not in the table".format(target))
    cdef const char *data = <const char *>&text[0]
    if c_count_lines(data, size) > table.shape[0]:
        raise ValueError("the table has {} rows, fewer than the text".format(table.shape[0]))
    with nogil:
        parsed = c_parse_rows(
            data, size, <int>targets.shape[0], &targets[0], <int>table.shape[1], &table[0, 0], count
        )
    return parsed.rows, parsed.lines, parsed.bytes


cdef class GridText:
    """The rows of a PLUMED grid file; see text.hpp.

    Parameters: the axes, a list of D arrays of float64; the columns, a list of arrays of float64
    whose length is the number of grid points, in C order; a checked format, as bytes.
    """

    cdef CGridText *text
    cdef list columns
    # `format` of `text` writes to memory that its next call overwrites.
    cdef object lock

    def __cinit__(self, axes, columns, bytes fmt not None):
        cdef vector[vector[double]] coordinates
        cdef vector[const double *] pointers
        cdef const double[::1] view
        size = 1
        for axis in axes:
            coordinates.push_back(axis)
            size *= len(axis)
        # The views keep the arrays alive.
        self.columns = []
        self.lock = threading.Lock()
        for column in columns:
            view = column
            if view.shape[0] != size or size == 0:
                raise ValueError("found {} values for {} points".format(view.shape[0], size))
            pointers.push_back(&view[0])
            self.columns.append(view)
        self.text = new CGridText(coordinates, pointers, fmt)

    def __dealloc__(self):
        del self.text

    @property
    def rows(self):
        """How many rows there are."""
        return self.text.rows()

    def format(self, int64_t first, int64_t last, int count):
        """Return the text of some rows, in pieces, one from each of ``count`` threads at most."""
        cdef const vector[Buffer] *pieces
        if not 0 <= first <= last <= self.text.rows():
            raise ValueError("rows {} to {} are not in the grid".format(first, last))
        with self.lock:
            with nogil:
                pieces = &self.text.format(first, last, count)
            return [
                PyBytes_FromStringAndSize(pieces[0][i].data(), <Py_ssize_t>pieces[0][i].size())
                for i in range(pieces[0].size())
            ]
