# The parts of cufes.h that the extensions use; declarations only.
from libc.stdint cimport int32_t, int64_t, uint32_t

cdef extern from "cufes.h" nogil:
    enum:
        CUFES_ABI_VERSION

    ctypedef enum cufes_status:
        CUFES_OK
        CUFES_INVALID_ARGUMENT
        CUFES_NO_DEVICE
        CUFES_UNSUPPORTED_DEVICE
        CUFES_DEVICE_OUT_OF_MEMORY
        CUFES_OUT_OF_MEMORY
        CUFES_CUDA_ERROR
        CUFES_INTERNAL_ERROR
        CUFES_INTERRUPTED

    ctypedef struct cufes_hills:
        int32_t ndim
        int32_t kernel
        int64_t count
        int64_t sigma_rows
        int32_t multivariate
        const double *centers
        const double *sigmas
        const double *heights
        const double *periods
        const int32_t *boxes

    ctypedef struct cufes_hills_f32:
        int32_t ndim
        int32_t kernel
        int64_t count
        int64_t sigma_rows
        int32_t multivariate
        const float *centers
        const float *sigmas
        const float *heights
        const double *periods
        const int32_t *boxes

    ctypedef struct cufes_grid:
        int32_t ndim
        const double *lower
        const double *spacing
        const int64_t *points

    ctypedef struct cufes_run:
        int32_t path
        int32_t device_memory
        void *stream
        int32_t (*proceed)(void *context, double done) noexcept nogil
        void *context
        char plan[256]

    ctypedef struct cufes_device:
        char name[256]
        int32_t major
        int32_t minor
        int32_t multiprocessors
        int64_t total_memory
        char image[32]

    ctypedef struct cufes_api:
        uint32_t abi_version
        const char *(*version)() noexcept nogil
        const char *(*last_error)() noexcept nogil
        cufes_status (*cuda_versions)(int32_t *runtime, int32_t *driver) noexcept nogil
        cufes_status (*device_count)(int32_t *count) noexcept nogil
        cufes_status (*device_info)(int32_t device, cufes_device *info) noexcept nogil
        const char *(*choose_image)(int32_t major, int32_t minor) noexcept nogil
        cufes_status (*sum_points)(int32_t device, const cufes_hills *hills, int64_t count,
                                   const double *points, double *values,
                                   cufes_run *run) noexcept nogil
        cufes_status (*sum_points_f32)(int32_t device, const cufes_hills_f32 *hills, int64_t count,
                                       const float *points, float *values,
                                       cufes_run *run) noexcept nogil
        cufes_status (*sum_grid)(int32_t device, const cufes_hills *hills, const cufes_grid *grid,
                                 double *values, double *gradient, cufes_run *run) noexcept nogil
        cufes_status (*sum_grid_f32)(int32_t device, const cufes_hills_f32 *hills,
                                     const cufes_grid *grid, float *values, float *gradient,
                                     cufes_run *run) noexcept nogil
