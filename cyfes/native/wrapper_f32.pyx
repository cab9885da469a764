# cython: boundscheck=False, wraparound=False
"""libcufes in single precision."""

from cyfes.native.cufes cimport *

ctypedef float real
ctypedef cufes_hills_f32 hills_t

include "wrapper_body.pxi"


cdef cufes_status api_sum_points(
    int device, const hills_t *hills, int64_t count, const real *points, real *values,
    cufes_run *run,
) noexcept nogil:
    return api.sum_points_f32(device, hills, count, points, values, run)


cdef cufes_status api_sum_grid(
    int device, const hills_t *hills, const cufes_grid *grid, real *values, real *gradient,
    cufes_run *run,
) noexcept nogil:
    return api.sum_grid_f32(device, hills, grid, values, gradient, run)
