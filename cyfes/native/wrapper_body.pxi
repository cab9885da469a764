# The bindings of one precision. The file that includes this defines `real`, `hills_t` and the two
# calls `api_sum_points` and `api_sum_grid` before it.

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from posix.dlfcn cimport RTLD_LOCAL, RTLD_NOW, dlerror, dlopen, dlsym

import os

from cyfes.native.library import library_path
from cyfes.errors import (
    CyfesError,
    DeviceError,
    DeviceMemoryError,
    InputError,
    LibraryError,
)

ctypedef const cufes_api *(*get_api_t)(uint32_t abi_version) noexcept nogil


cdef const cufes_api *load_api() except NULL:
    """Load libcufes, which no extension links to, and take its table of functions."""
    path = library_path()
    cdef void *handle = dlopen(os.fsencode(path), RTLD_NOW | RTLD_LOCAL)
    if handle == NULL:
        raise LibraryError(
            "libcufes cannot be loaded: {}; reinstall cyfes from a wheel that was repaired "
            "for this system".format(dlerror().decode(errors="replace"))
        )
    cdef get_api_t get_api = <get_api_t>dlsym(handle, b"cufes_get_api")
    if get_api == NULL:
        raise LibraryError("{} is no libcufes: it has no cufes_get_api".format(path))
    cdef const cufes_api *table = get_api(CUFES_ABI_VERSION)
    if table == NULL:
        raise LibraryError(
            "{} has another ABI version than the {} that this cyfes was built for; reinstall "
            "cyfes so that both come from one wheel".format(path, CUFES_ABI_VERSION)
        )
    return table


# Valid until the process ends, because the library is never unloaded.
cdef const cufes_api *api = load_api()


cdef int check(cufes_status status) except -1:
    """Raise what a status stands for, with the library's own message."""
    if status == CUFES_OK:
        return 0
    message = api.last_error().decode(errors="replace")
    if status == CUFES_INVALID_ARGUMENT:
        raise InputError(message)
    if status == CUFES_DEVICE_OUT_OF_MEMORY:
        raise DeviceMemoryError(message)
    if status == CUFES_OUT_OF_MEMORY:
        raise MemoryError(message)
    if status == CUFES_INTERNAL_ERROR:
        raise CyfesError("internal error of libcufes: " + message)
    raise DeviceError(message)


cdef class Watcher:
    """Runs Python's signal handlers and the caller's `progress` during a sum."""

    cdef cufes_run c
    cdef object progress
    cdef object error

    def __cinit__(self, int path, progress):
        self.progress = progress
        self.c.path = path
        self.c.device_memory = 0
        self.c.stream = NULL
        self.c.proceed = proceed
        # A borrowed reference: the call ends before this object is deleted.
        self.c.context = <void *>self
        self.c.plan[0] = 0

    cdef conclude(self, cufes_status status):
        """Return the number of the path and the plan as text, or raise the error."""
        if self.error is not None:
            raise self.error
        check(status)
        return self.c.path, self.c.plan.decode()


cdef int32_t proceed(void *context, double done) noexcept with gil:
    cdef Watcher watcher = <Watcher>context
    try:
        PyErr_CheckSignals()
        if watcher.progress is not None:
            watcher.progress(done)
    except BaseException as error:
        # It is raised again after the sum has stopped and has freed its memory.
        watcher.error = error
        return 0
    return 1


cdef class Rows:
    """A matrix as contiguous rows: borrowed from its owner, or a copy if it has other strides."""

    cdef const real[:, :] view
    cdef real *copied
    cdef const real *data

    def __cinit__(self, const real[:, :] view not None):
        cdef Py_ssize_t n = view.shape[0], m = view.shape[1], i, j
        self.view = view
        self.copied = NULL
        self.data = NULL
        if n == 0 or m == 0:
            return
        if view.strides[1] == sizeof(real) and view.strides[0] == m * <Py_ssize_t>sizeof(real):
            self.data = &view[0, 0]
            return
        self.copied = <real *>malloc(n * m * sizeof(real))
        if self.copied == NULL:
            raise MemoryError("no memory for a contiguous copy of {} x {} numbers".format(n, m))
        for i in range(n):
            for j in range(m):
                self.copied[i * m + j] = view[i, j]
        self.data = self.copied

    def __dealloc__(self):
        free(self.copied)


def shape_error(str name, found, expected):
    """Return the error for an array of a wrong shape."""
    return InputError(
        "{} has shape {}, expected {}".format(name, tuple(found), tuple(expected))
    )


cdef class HillsView:
    """Checked hills in the layout of cufes.h, and the arrays that they point into."""

    cdef hills_t c
    cdef Rows centers
    cdef Rows sigmas
    cdef const real[::1] heights
    cdef const double[::1] periods

    def __cinit__(
        self,
        int kernel,
        const real[:, :] centers not None,
        const real[:, :] sigmas not None,
        const real[::1] heights not None,
        const double[::1] periods not None,
        bint multivariate,
    ):
        cdef Py_ssize_t count = centers.shape[0], ndim = centers.shape[1]
        cdef Py_ssize_t columns = ndim * (ndim + 1) // 2 if multivariate else ndim
        if count == 0 or ndim == 0:
            raise shape_error("centers", (count, ndim), ("at least 1", "at least 1"))
        if sigmas.shape[1] != columns or (sigmas.shape[0] != 1 and sigmas.shape[0] != count):
            found = (sigmas.shape[0], sigmas.shape[1])
            raise shape_error("sigmas", found, ("1 or {}".format(count), columns))
        if heights.shape[0] != count:
            raise shape_error("heights", (heights.shape[0],), (count,))
        if periods.shape[0] != ndim:
            raise shape_error("periods", (periods.shape[0],), (ndim,))
        self.centers = Rows(centers)
        self.sigmas = Rows(sigmas)
        self.heights = heights
        self.periods = periods
        self.c.ndim = <int32_t>ndim
        self.c.kernel = kernel
        self.c.count = count
        self.c.sigma_rows = sigmas.shape[0]
        self.c.multivariate = multivariate
        self.c.centers = self.centers.data
        self.c.sigmas = self.sigmas.data
        self.c.heights = &heights[0]
        self.c.periods = &periods[0]
        self.c.boxes = NULL


def sum_points(
    int device,
    int kernel,
    const real[:, :] centers,
    const real[:, :] sigmas,
    const real[::1] heights,
    const double[::1] periods,
    const real[:, :] points not None,
    real[::1] values not None,
    int path=0,
    bint multivariate=False,
    progress=None,
):
    """Write the sum of N hills at M points into ``values``; return the path taken and the plan.

    Shapes: centers (N, D), sigmas (N, D) or (1, D), heights (N,), periods (D,) with 0 for an axis
    that is not periodic, points (M, D), values (M,). Strides of the matrices are honoured.
    ``multivariate``: sigmas (N or 1, D (D + 1) / 2), see cufes.h. ``progress`` is called with the
    part done, 0 to 1; what it raises, or a signal handler does, stops the sum.
    """
    cdef HillsView hills = HillsView(kernel, centers, sigmas, heights, periods, multivariate)
    cdef Watcher watcher = Watcher(path, progress)
    cdef int64_t count = points.shape[0]
    cdef cufes_status status
    if points.shape[1] != hills.c.ndim:
        raise shape_error("points", (points.shape[0], points.shape[1]), (count, hills.c.ndim))
    if values.shape[0] != count:
        raise shape_error("values", (values.shape[0],), (count,))
    cdef Rows rows = Rows(points)
    cdef real *out = &values[0] if count else NULL
    with nogil:
        status = api_sum_points(device, &hills.c, count, rows.data, out, &watcher.c)
    return watcher.conclude(status)


def sum_grid(
    int device,
    int kernel,
    const real[:, :] centers,
    const real[:, :] sigmas,
    const real[::1] heights,
    const double[::1] periods,
    const double[::1] lower not None,
    const double[::1] spacing not None,
    const int64_t[::1] points not None,
    real[::1] values not None,
    real[:, ::1] gradient=None,
    int path=0,
    bint multivariate=False,
    progress=None,
    const int32_t[:, :, ::1] boxes=None,
):
    """Write the sum of N hills on a grid of P points, and its gradient, into arrays.

    As in ``sum_points``, but for these shapes: lower, spacing and points (D,); values (P,), the
    last axis of the grid fastest; gradient (D, P) or None; boxes (N, D, 2) or None, see cufes.h.
    """
    cdef HillsView hills = HillsView(kernel, centers, sigmas, heights, periods, multivariate)
    cdef Watcher watcher = Watcher(path, progress)
    cdef cufes_grid grid
    cdef cufes_status status
    cdef real *slopes = NULL
    cdef int32_t ndim = hills.c.ndim
    for name, found in (("lower", lower), ("spacing", spacing), ("points", points)):
        if found.shape[0] != ndim:
            raise shape_error(name, (found.shape[0],), (ndim,))
    size = 1
    for i in range(ndim):
        size *= points[i]
    if values.shape[0] != size or size == 0:
        raise shape_error("values", (values.shape[0],), (size,))
    if gradient is not None:
        if gradient.shape[0] != ndim or gradient.shape[1] != size:
            raise shape_error("gradient", (gradient.shape[0], gradient.shape[1]), (ndim, size))
        slopes = &gradient[0, 0]
    if boxes is not None:
        found = (boxes.shape[0], boxes.shape[1], boxes.shape[2])
        if found != (hills.c.count, ndim, 2):
            raise shape_error("boxes", found, (hills.c.count, ndim, 2))
        hills.c.boxes = &boxes[0, 0, 0]
    grid.ndim = ndim
    grid.lower = &lower[0]
    grid.spacing = &spacing[0]
    grid.points = &points[0]
    cdef real *out = &values[0]
    with nogil:
        status = api_sum_grid(device, &hills.c, &grid, out, slopes, &watcher.c)
    return watcher.conclude(status)


cdef int describe(
    hills_t *hills, int kernel, counts, addresses, const double[::1] periods, bint multivariate
) except -1:
    """Fill in hills whose arrays lie in a device's memory; the caller has checked their shapes."""
    hills.ndim = <int32_t>periods.shape[0]
    hills.kernel = kernel
    hills.count = counts[0]
    hills.sigma_rows = counts[1]
    hills.multivariate = multivariate
    hills.centers = <const real *><uintptr_t>addresses[0]
    hills.sigmas = <const real *><uintptr_t>addresses[1]
    hills.heights = <const real *><uintptr_t>addresses[2]
    hills.periods = &periods[0]
    hills.boxes = NULL
    return 0


def sum_points_at(
    int device,
    int kernel,
    counts,
    addresses,
    const double[::1] periods not None,
    uintptr_t stream,
    bint multivariate=False,
    progress=None,
):
    """As ``sum_points``, but for contiguous arrays in the memory of the device.

    ``counts``: hills, rows of sigmas, points. ``addresses``: centers, sigmas, heights, points,
    values. ``stream``: the handle of the CUDA stream to work on.
    """
    cdef hills_t hills
    describe(&hills, kernel, counts, addresses, periods, multivariate)
    cdef Watcher watcher = Watcher(0, progress)
    watcher.c.device_memory = 1
    watcher.c.stream = <void *>stream
    cdef int64_t count = counts[2]
    cdef const real *points = <const real *><uintptr_t>addresses[3]
    cdef real *values = <real *><uintptr_t>addresses[4]
    cdef cufes_status status
    with nogil:
        status = api_sum_points(device, &hills, count, points, values, &watcher.c)
    return watcher.conclude(status)


def sum_grid_at(
    int device,
    int kernel,
    counts,
    addresses,
    const double[::1] periods not None,
    const double[::1] lower not None,
    const double[::1] spacing not None,
    const int64_t[::1] points not None,
    uintptr_t stream,
    int path=0,
    bint multivariate=False,
    progress=None,
    uintptr_t boxes=0,
):
    """As ``sum_grid``, but for contiguous arrays in the memory of the device.

    ``counts``: hills, rows of sigmas. ``addresses``: centers, sigmas, heights, values, gradient;
    that of the gradient is 0 for none, as is ``boxes``.
    """
    cdef hills_t hills
    describe(&hills, kernel, counts, addresses, periods, multivariate)
    hills.boxes = <const int32_t *>boxes
    cdef Watcher watcher = Watcher(path, progress)
    watcher.c.device_memory = 1
    watcher.c.stream = <void *>stream
    cdef cufes_grid grid
    grid.ndim = hills.ndim
    grid.lower = &lower[0]
    grid.spacing = &spacing[0]
    grid.points = &points[0]
    cdef real *values = <real *><uintptr_t>addresses[3]
    cdef real *slopes = <real *><uintptr_t>addresses[4]
    cdef cufes_status status
    with nogil:
        status = api_sum_grid(device, &hills, &grid, values, slopes, &watcher.c)
    return watcher.conclude(status)
