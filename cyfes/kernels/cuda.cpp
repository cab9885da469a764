// The CUDA back end: what the runtime says of the devices, and which path a sum takes.
//
// Host code alone, for any C++ compiler: the device code is loaded from the embedded images.
#include <algorithm>
#include <numeric>
#include <string>

#include "cuda_call.hpp"

namespace cufes {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Points of all axes together, so that the truncated path's table of factors stays small.
constexpr std::int64_t most_places = 1 << 18;

// Whether the truncated path has a kernel for it.
template <typename Real>
bool has_tiles(const Hills<Real> &hills, const Surface<Real> &surface) {
  const std::int64_t *points = surface.grid->points;
  return !hills.multivariate && !hills.boxes &&
         (!surface.gradient || hills.ndim == 2 || hills.ndim == 3) &&
         std::accumulate(points, points + hills.ndim, std::int64_t{0}) <= most_places;
}

// The path that is fastest where the caller leaves it open; cufes.cpp has refused those that cannot
// serve the kernel.
template <typename Real>
cufes_path choose_path(const Hills<Real> &hills, const Run &run) {
  if (run.path() != CUFES_PATH_AUTO) return run.path();
  if (hills.kernel == CUFES_STRETCHED_GAUSSIAN || hills.kernel == CUFES_BOXED_GAUSSIAN)
    return hills.multivariate && !hills.boxes ? CUFES_PATH_DIRECT : CUFES_PATH_TRUNCATED;
  return hills.multivariate ? CUFES_PATH_DIRECT : CUFES_PATH_SEPARABLE;
}

}  // namespace

void cuda_versions(std::int32_t *runtime, std::int32_t *driver) {
  check(cudaRuntimeGetVersion(runtime), "tell the version of its runtime");
  check(cudaDriverGetVersion(driver), "tell the version of the driver");
}

std::int32_t cuda_device_count() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice) {
    cudaGetLastError();
    std::int32_t runtime = 0, driver = 0;
    cuda_versions(&runtime, &driver);
    // The CUDA 12 runtime runs on every driver for CUDA 12.
    const std::string needed = version_text(runtime / 1000 * 1000);
    if (driver == 0)
      throw Failure(CUFES_NO_DEVICE, "there is no CUDA driver (libcuda.so.1) on this machine");
    if (driver < runtime / 1000 * 1000)
      throw Failure(CUFES_NO_DEVICE, "the driver is for CUDA " + version_text(driver) +
                                         ", expected one for CUDA " + needed + " or newer");
    throw Failure(CUFES_NO_DEVICE, "the driver sees no CUDA device");
  }
  check(error, "count the devices");
  return count;
}

void cuda_device_info(int device, cufes_device *info) {
  check_device(device);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "read the properties of the device");
  *info = cufes_device{};
  std::copy_n(properties.name, sizeof info->name - 1, info->name);
  info->major = properties.major;
  info->minor = properties.minor;
  info->multiprocessors = properties.multiProcessorCount;
  info->total_memory = static_cast<std::int64_t>(properties.totalGlobalMem);
  const char *image = cufes_choose_image(properties.major, properties.minor);
  if (image) std::string(image).copy(info->image, sizeof info->image - 1);
}

template <typename Real>
void sum_points_cuda(int device, const Hills<Real> &hills, const Points<Real> &points, Run &run) {
  check_device(device);
  const CurrentDevice current(device);
  Call<Real> call(device, hills, run);
  sum_points_directly(call, points);
}

template <typename Real>
void sum_grid_cuda(int device, const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  check_device(device);
  if (hills.multivariate && !hills.boxes && run.path() == CUFES_PATH_TRUNCATED)
    throw Failure(
        CUFES_INVALID_ARGUMENT,
        "the truncated path cannot sum multivariate hills on CUDA devices; use the direct "
        "path, or device=\"cpu\"");
  const CurrentDevice current(device);
  Call<Real> call(device, hills, run);
  const cufes_path path = choose_path<Real>(hills, run);
  if (path == CUFES_PATH_SEPARABLE) return sum_separable(call, surface);
  if (path == CUFES_PATH_TRUNCATED && has_tiles<Real>(hills, surface))
    return sum_truncated(call, surface);
  sum_grid_directly(call, surface);
}

template void sum_points_cuda<double>(int, const cufes_hills &, const Points<double> &, Run &);
template void sum_points_cuda<float>(int, const cufes_hills_f32 &, const Points<float> &, Run &);
template void sum_grid_cuda<double>(int, const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_cuda<float>(int, const cufes_hills_f32 &, const Surface<float> &, Run &);

}  // namespace cufes
