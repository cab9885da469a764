// The C API: checks arguments, chooses the back end, turns every failure into a status.
#include "cufes.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <new>
#include <string>

#include "failure.hpp"
#include "images.hpp"
#include "problem.hpp"

namespace cufes {
namespace {

// Of fixed size: it must be writable when memory is exhausted.
thread_local char last_error[1024] = "";

cufes_status fail(cufes_status status, const char *message) {
  std::snprintf(last_error, sizeof last_error, "%s", message);
  return status;
}

// Runs a call and lets no exception out.
template <typename Call>
cufes_status guarded(Call &&call) {
  try {
    call();
    return CUFES_OK;
  } catch (const Failure &failure) {
    return fail(failure.status(), failure.what());
  } catch (const std::bad_alloc &) {
    return fail(CUFES_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception &error) {
    return fail(CUFES_INTERNAL_ERROR, error.what());
  } catch (...) {
    return fail(CUFES_INTERNAL_ERROR, "an unknown exception");
  }
}

void require(bool condition, const std::string &message) {
  if (!condition) throw Failure(CUFES_INVALID_ARGUMENT, message);
}

template <typename Real>
void check_logarithms(const Hills<Real> &hills) {
  for (std::int64_t n = 0; n < hills.count; ++n) {
    if (std::isfinite(hills.heights[n])) continue;
    throw Failure(CUFES_INVALID_ARGUMENT,
                  "the logarithm of the weight of hill " + std::to_string(n) + " is " +
                      std::to_string(hills.heights[n]) + ", expected a finite number");
  }
}

std::string describe_sigma(bool multivariate, int ndim, std::int64_t at) {
  if (!multivariate)
    return "sigma of axis " + std::to_string(at % ndim) + " of hill " + std::to_string(at / ndim);
  const int columns = ndim * (ndim + 1) / 2;
  int row = 0, column = static_cast<int>(at % columns);
  while (column > row) column -= ++row;
  return "element (" + std::to_string(row) + ", " + std::to_string(column) + ") of L of hill " +
         std::to_string(at / columns);
}

// Whether an element of a row of sigmas lies on the diagonal of a lower triangle.
bool on_diagonal(int at) {
  int row = 0;
  while (at > row) at -= ++row;
  return at == row;
}

template <typename Real>
void check_sigmas(const Hills<Real> &hills) {
  const int columns = sigma_columns(hills);
  for (std::int64_t i = 0; i < hills.sigma_rows * columns; ++i) {
    const bool any_sign = hills.multivariate && !on_diagonal(static_cast<int>(i % columns));
    if ((any_sign || hills.sigmas[i] > 0) && std::isfinite(hills.sigmas[i])) continue;
    throw Failure(CUFES_INVALID_ARGUMENT, describe_sigma(hills.multivariate, hills.ndim, i) +
                                              " is " + std::to_string(hills.sigmas[i]) +
                                              ", expected a " + (any_sign ? "finite" : "positive") +
                                              " number");
  }
}

// Beyond, more than the nearest image of a hill would count, and no kernel ends before them.
template <typename Real>
void check_images(const Hills<Real> &hills) {
  for (std::int64_t n = 0; n < hills.sigma_rows; ++n) {
    double deviations[CUFES_MAX_DIM];
    standard_deviations(hills, hills.sigmas + n * sigma_columns(hills), deviations);
    for (int i = 0; i < hills.ndim; ++i)
      require(hills.periods[i] == 0 || deviations[i] <= hills.periods[i],
              "sigma of axis " + std::to_string(i) + " of hill " + std::to_string(n) + " is " +
                  std::to_string(deviations[i]) + ", more than the period of the axis, " +
                  std::to_string(hills.periods[i]) +
                  ": a Gaussian without a cut-off takes the nearest image alone, and so wide a one "
                  "would be wrong by its other images");
  }
}

template <typename Real>
void check_periods(const Hills<Real> &hills) {
  for (int i = 0; i < hills.ndim; ++i)
    require(hills.periods[i] >= 0 && std::isfinite(hills.periods[i]),
            "the period of axis " + std::to_string(i) + " is " + std::to_string(hills.periods[i]) +
                ", expected a positive number, or 0 for an axis that is not periodic");
}

template <typename Real>
void check_boxes(const Hills<Real> &hills) {
  for (std::int64_t k = 0; hills.boxes && k < hills.count * hills.ndim; ++k) {
    const std::int64_t first = hills.boxes[2 * k], last = hills.boxes[2 * k + 1];
    const std::int64_t length = last - first + 1;
    if (length >= 0 && length <= std::numeric_limits<std::int32_t>::max()) continue;
    throw Failure(CUFES_INVALID_ARGUMENT,
                  "the box of hill " + std::to_string(k / hills.ndim) + " goes from point " +
                      std::to_string(first) + " to " + std::to_string(last) + " along axis " +
                      std::to_string(k % hills.ndim) + ", expected 0 to 2147483647 points");
  }
}

// What needs the arrays; memory of a device cannot be looked at from here.
template <typename Real>
void check_numbers(const Hills<Real> &hills) {
  check_sigmas<Real>(hills);
  check_boxes<Real>(hills);
  if (hills.kernel == CUFES_LOG_GAUSSIAN) check_logarithms<Real>(hills);
  if (hills.kernel == CUFES_LOG_GAUSSIAN || hills.kernel == CUFES_GAUSSIAN)
    check_images<Real>(hills);
}

template <typename Real>
bool has_cut_off(const Hills<Real> &hills) {
  return hills.kernel == CUFES_STRETCHED_GAUSSIAN || hills.kernel == CUFES_BOXED_GAUSSIAN;
}

template <typename Real>
void check_hills(const Hills<Real> *hills, const Run &run) {
  require(hills != nullptr, "hills is NULL");
  require(hills->ndim >= 1 && hills->ndim <= CUFES_MAX_DIM,
          "hills have " + std::to_string(hills->ndim) + " axes, expected 1 to " +
              std::to_string(CUFES_MAX_DIM));
  require(hills->count >= 1,
          "there are " + std::to_string(hills->count) + " hills, expected at least 1");
  require(hills->sigma_rows == 1 || hills->sigma_rows == hills->count,
          "there are " + std::to_string(hills->sigma_rows) + " rows of sigma for " +
              std::to_string(hills->count) + " hills, expected 1 or one for each hill");
  require(hills->kernel >= CUFES_STRETCHED_GAUSSIAN && hills->kernel <= CUFES_LOG_GAUSSIAN,
          "kernel " + std::to_string(hills->kernel) + " is unknown");
  require(hills->multivariate == 0 || hills->multivariate == 1,
          "multivariate is " + std::to_string(hills->multivariate) + ", expected 0 or 1");
  require(!hills->multivariate || hills->kernel != CUFES_BOXED_GAUSSIAN || hills->boxes,
          "the boxed kernel has a width along each axis, not a covariance matrix; multivariate "
          "hills need boxes of their own");
  require(!hills->boxes || has_cut_off<Real>(*hills),
          "only hills of the stretched or the boxed kernel are cut off at boxes");
  require(hills->centers && hills->sigmas && hills->heights && hills->periods,
          "an array of the hills is NULL");
  check_periods<Real>(*hills);
  if (!run.device_memory()) check_numbers<Real>(*hills);
}

void check_run(std::int32_t device, const Run &run) {
  require(run.path() >= CUFES_PATH_AUTO && run.path() <= CUFES_PATH_TRUNCATED,
          "path " + std::to_string(run.path()) + " is unknown");
  require(device != CUFES_CPU || !run.device_memory(),
          "device_memory is memory of a CUDA device, but the device of the call is the CPU");
}

// The paths that can serve a kernel on a grid; each back end chooses among them.
template <typename Real>
void check_grid_path(const Hills<Real> &hills, cufes_path path) {
  const bool cut_off = has_cut_off<Real>(hills);
  require(
      path != CUFES_PATH_DIRECT || (hills.kernel != CUFES_BOXED_GAUSSIAN && !hills.boxes),
      "the direct path cannot sum the boxed kernel, or hills in boxes, which are cut off by bins; "
      "use the truncated one");
  require(path != CUFES_PATH_SEPARABLE || (!cut_off && !hills.multivariate),
          "the separable path can sum plain Gaussians with a width along each axis only; use "
          "another path");
  require(
      path != CUFES_PATH_TRUNCATED || cut_off,
      "the truncated path can sum kernels with a cut-off only, not plain Gaussians; use another "
      "path");
}

// The number of grid points, refused where it cannot be counted.
std::int64_t checked_size(const cufes_grid &grid) {
  std::int64_t size = 1;
  for (int i = 0; i < grid.ndim; ++i) {
    const std::int64_t points = grid.points[i];
    require(points >= 1 && points <= std::numeric_limits<std::int32_t>::max(),
            "the grid has " + std::to_string(points) + " points along axis " + std::to_string(i) +
                ", expected 1 to 2147483647");
    require(size <= std::numeric_limits<std::int64_t>::max() / 256 / points,
            "the grid has more points than can be addressed");
    size *= points;
  }
  return size;
}

void check_coverage(const cufes_grid &grid, int i, double period, bool whole) {
  const double length = grid.points[i] * grid.spacing[i];
  require(length <= period * (1 + 1e-9), "axis " + std::to_string(i) + " of the grid is " +
                                             std::to_string(length) + " long, but its period is " +
                                             std::to_string(period) +
                                             ": a periodic axis covers its period once at most");
  const double bins = period / grid.spacing[i];
  require(!whole || std::fabs(bins - std::round(bins)) <= 1e-6,
          "the period of axis " + std::to_string(i) + " of the grid is " + std::to_string(bins) +
              " spacings, expected a whole number for boxes, which count bins");
}

template <typename Real>
void check_grid(const Hills<Real> &hills, const cufes_grid *grid) {
  require(grid && grid->lower && grid->spacing && grid->points,
          "the grid, or an array of it, is NULL");
  require(grid->ndim == hills.ndim, "the grid has " + std::to_string(grid->ndim) +
                                        " axes, the hills have " + std::to_string(hills.ndim));
  for (int i = 0; i < grid->ndim; ++i) {
    require(
        std::isfinite(grid->lower[i]) && grid->spacing[i] > 0 && std::isfinite(grid->spacing[i]),
        "axis " + std::to_string(i) + " of the grid has no finite origin and positive spacing");
    if (hills.periods[i] > 0)
      check_coverage(*grid, i, hills.periods[i],
                     hills.kernel == CUFES_BOXED_GAUSSIAN || hills.boxes);
  }
}

template <typename Real>
cufes_status sum_points(std::int32_t device, const Hills<Real> *hills, std::int64_t count,
                        const Real *points, Real *values, cufes_run *given) {
  return guarded([&] {
    Run run(given);
    check_run(device, run);
    check_hills<Real>(hills, run);
    require(hills->kernel != CUFES_BOXED_GAUSSIAN && !hills->boxes,
            "the boxed kernel, and boxes, are defined by the bins of a grid; sum it on a grid");
    require(run.path() == CUFES_PATH_AUTO || run.path() == CUFES_PATH_DIRECT,
            "at points every hill is summed at every point: the path must be direct or auto");
    require(count >= 0 && (count == 0 || (points && values)),
            "the points, or the values, are NULL or fewer than none");
    if (count == 0) return run.plan(CUFES_PATH_DIRECT, "nothing to sum");
    const Points<Real> all{count, points, values};
    if (device == CUFES_CPU)
      sum_points_cpu<Real>(*hills, all, run);
    else
      sum_points_cuda<Real>(device, *hills, all, run);
  });
}

template <typename Real>
cufes_status sum_grid(std::int32_t device, const Hills<Real> *hills, const cufes_grid *grid,
                      Real *values, Real *gradient, cufes_run *given) {
  return guarded([&] {
    Run run(given);
    check_run(device, run);
    check_hills<Real>(hills, run);
    require(hills->kernel != CUFES_LOG_GAUSSIAN || !gradient,
            "the logarithmic kernel is summed without a gradient only");
    check_grid_path<Real>(*hills, run.path());
    check_grid<Real>(*hills, grid);
    require(values != nullptr, "values is NULL");
    const Surface<Real> surface{grid, checked_size(*grid), values, gradient};
    if (device == CUFES_CPU)
      sum_grid_cpu<Real>(*hills, surface, run);
    else
      sum_grid_cuda<Real>(device, *hills, surface, run);
  });
}

const cufes_api api = {
    CUFES_ABI_VERSION,    cufes_version,     cufes_last_error,   cufes_cuda_versions,
    cufes_device_count,   cufes_device_info, cufes_choose_image, cufes_sum_points,
    cufes_sum_points_f32, cufes_sum_grid,    cufes_sum_grid_f32,
};

}  // namespace
}  // namespace cufes

const cufes_api *cufes_get_api(uint32_t abi_version) {
  return abi_version == CUFES_ABI_VERSION ? &cufes::api : nullptr;
}

const char *cufes_version(void) { return CUFES_VERSION; }

const char *cufes_last_error(void) { return cufes::last_error; }

cufes_status cufes_cuda_versions(int32_t *runtime, int32_t *driver) {
  return cufes::guarded([&] {
    cufes::require(runtime && driver, "an argument is NULL");
    cufes::cuda_versions(runtime, driver);
  });
}

cufes_status cufes_device_count(int32_t *count) {
  return cufes::guarded([&] {
    cufes::require(count != nullptr, "count is NULL");
    *count = 0;
    *count = cufes::cuda_device_count();
  });
}

cufes_status cufes_device_info(int32_t device, cufes_device *info) {
  return cufes::guarded([&] {
    cufes::require(info != nullptr, "info is NULL");
    cufes::cuda_device_info(device, info);
  });
}

const char *cufes_choose_image(int32_t major, int32_t minor) {
  using namespace cufes;
  const int chosen = choose_image(images_FES, image_count, major, minor);
  return chosen < 0 ? nullptr : images_FES[chosen].name;
}

cufes_status cufes_sum_points(int32_t device, const cufes_hills *hills, int64_t count,
                              const double *points, double *values, cufes_run *run) {
  return cufes::sum_points<double>(device, hills, count, points, values, run);
}

cufes_status cufes_sum_points_f32(int32_t device, const cufes_hills_f32 *hills, int64_t count,
                                  const float *points, float *values, cufes_run *run) {
  return cufes::sum_points<float>(device, hills, count, points, values, run);
}

cufes_status cufes_sum_grid(int32_t device, const cufes_hills *hills, const cufes_grid *grid,
                            double *values, double *gradient, cufes_run *run) {
  return cufes::sum_grid<double>(device, hills, grid, values, gradient, run);
}

cufes_status cufes_sum_grid_f32(int32_t device, const cufes_hills_f32 *hills,
                                const cufes_grid *grid, float *values, float *gradient,
                                cufes_run *run) {
  return cufes::sum_grid<float>(device, hills, grid, values, gradient, run);
}
