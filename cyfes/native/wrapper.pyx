# cython: boundscheck=False, wraparound=False
"""libcufes in double precision, and what it knows of the devices."""

from cyfes.native.cufes cimport *

ctypedef double real
ctypedef cufes_hills hills_t

include "wrapper_body.pxi"


cdef cufes_status api_sum_points(
    int device, const hills_t *hills, int64_t count, const real *points, real *values,
    cufes_run *run,
) noexcept nogil:
    return api.sum_points(device, hills, count, points, values, run)


cdef cufes_status api_sum_grid(
    int device, const hills_t *hills, const cufes_grid *grid, real *values, real *gradient,
    cufes_run *run,
) noexcept nogil:
    return api.sum_grid(device, hills, grid, values, gradient, run)


def library_version():
    """Return the version of libcufes."""
    return api.version().decode()


def cuda_versions():
    """Return the CUDA versions of the runtime and of the driver; 0 for no driver."""
    cdef int32_t runtime = 0, driver = 0
    check(api.cuda_versions(&runtime, &driver))
    return runtime, driver


def device_count():
    """Return the number of CUDA devices; raise DeviceError with the reason if there is none."""
    cdef int32_t count = 0
    cdef cufes_status status
    with nogil:
        status = api.device_count(&count)
    check(status)
    return count


def device_info(int device):
    """Return name, compute capability, multiprocessors, bytes of memory and image of a device."""
    cdef cufes_device info
    cdef cufes_status status
    with nogil:
        status = api.device_info(device, &info)
    check(status)
    return (
        info.name.decode(errors="replace"),
        (info.major, info.minor),
        info.multiprocessors,
        info.total_memory,
        info.image.decode(),
    )


def choose_image(int major, int minor):
    """Return the name of the image for a compute capability, or None."""
    cdef const char *name = api.choose_image(major, minor)
    return None if name == NULL else name.decode()
