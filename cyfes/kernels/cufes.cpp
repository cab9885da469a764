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

template <typename Real>
void check_numbers(const Hills<Real> &hills) {
  for (std::int64_t i = 0; i < hills.sigma_rows * hills.ndim; ++i) {
    if (hills.sigmas[i] > 0 && std::isfinite(hills.sigmas[i])) continue;
    throw Failure(CUFES_INVALID_ARGUMENT, "sigma of axis " + std::to_string(i % hills.ndim) +
                                              " of hill " + std::to_string(i / hills.ndim) +
                                              " is " + std::to_string(hills.sigmas[i]) +
                                              ", expected a positive number");
  }
  if (hills.kernel == CUFES_LOG_GAUSSIAN) check_logarithms<Real>(hills);
  for (int i = 0; i < hills.ndim; ++i)
    require(hills.periods[i] >= 0 && std::isfinite(hills.periods[i]),
            "the period of axis " + std::to_string(i) + " is " + std::to_string(hills.periods[i]) +
                ", expected a positive number, or 0 for an axis that is not periodic");
}

template <typename Real>
void check_hills(const Hills<Real> *hills) {
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
  require(hills->centers && hills->sigmas && hills->heights && hills->periods,
          "an array of the hills is NULL");
  check_numbers<Real>(*hills);
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
    const double period = hills.periods[i];
    const double length = grid->points[i] * grid->spacing[i];
    require(period == 0 || std::fabs(length - period) <= 1e-9 * period,
            "axis " + std::to_string(i) + " of the grid is " + std::to_string(length) +
                " long, but its period is " + std::to_string(period) +
                ": a periodic axis must cover its period once");
  }
}

template <typename Real>
cufes_status sum_points(std::int32_t device, const Hills<Real> *hills, std::int64_t count,
                        const Real *points, Real *values) {
  return guarded([&] {
    check_hills<Real>(hills);
    require(hills->kernel != CUFES_BOXED_GAUSSIAN,
            "the boxed kernel is defined by the bins of a grid; sum it on a grid");
    require(count >= 0 && (count == 0 || (points && values)),
            "the points, or the values, are NULL or fewer than none");
    if (count == 0) return;
    const Points<Real> all{count, points, values};
    if (device == CUFES_CPU)
      sum_points_cpu<Real>(*hills, all);
    else
      sum_points_cuda<Real>(device, *hills, all);
  });
}

template <typename Real>
cufes_status sum_grid(std::int32_t device, const Hills<Real> *hills, const cufes_grid *grid,
                      Real *values, Real *gradient) {
  return guarded([&] {
    check_hills<Real>(hills);
    require(hills->kernel != CUFES_LOG_GAUSSIAN,
            "the logarithmic kernel is summed at points only; sum it at the points of the grid");
    check_grid<Real>(*hills, grid);
    require(values != nullptr, "values is NULL");
    const Surface<Real> surface{grid, checked_size(*grid), values, gradient};
    if (device == CUFES_CPU)
      sum_grid_cpu<Real>(*hills, surface);
    else
      sum_grid_cuda<Real>(device, *hills, surface);
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
                              const double *points, double *values) {
  return cufes::sum_points<double>(device, hills, count, points, values);
}

cufes_status cufes_sum_points_f32(int32_t device, const cufes_hills_f32 *hills, int64_t count,
                                  const float *points, float *values) {
  return cufes::sum_points<float>(device, hills, count, points, values);
}

cufes_status cufes_sum_grid(int32_t device, const cufes_hills *hills, const cufes_grid *grid,
                            double *values, double *gradient) {
  return cufes::sum_grid<double>(device, hills, grid, values, gradient);
}

cufes_status cufes_sum_grid_f32(int32_t device, const cufes_hills_f32 *hills,
                                const cufes_grid *grid, float *values, float *gradient) {
  return cufes::sum_grid<float>(device, hills, grid, values, gradient);
}
