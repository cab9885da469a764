// The CUDA back end: one copy in, one launch (two for few points), one copy out a call.
//
// Host code alone, for any C++ compiler: the device code is loaded from the embedded images. Memory
// and streams belong to objects, so that every way out of a function frees them. The device is
// never reset and the caller's current device is put back.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "FES.cuh"
#include "failure.hpp"
#include "images.hpp"
#include "problem.hpp"

namespace cufes {
namespace {

cufes_status status_of(cudaError_t error) {
  switch (error) {
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInvalidDevice:
    case cudaErrorInitializationError:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorStubLibrary:
      return CUFES_NO_DEVICE;
    case cudaErrorMemoryAllocation:
      return CUFES_DEVICE_OUT_OF_MEMORY;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilerNotFound:
      return CUFES_UNSUPPORTED_DEVICE;
    default:
      return CUFES_CUDA_ERROR;
  }
}

void check(cudaError_t error, const char *doing) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that is reported here must not surface in the caller's next call
  throw Failure(status_of(error), std::string("CUDA failed to ") + doing + ": " +
                                      cudaGetErrorString(error) + " (" + cudaGetErrorName(error) +
                                      ")");
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Makes a device current and puts the caller's back.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    check(cudaGetDevice(&previous_), "find the current device");
    changed_ = previous_ != device;
    // Also where nothing changes: it says whether the device works.
    check(cudaSetDevice(device), "use the device");
  }
  ~CurrentDevice() {
    if (changed_) cudaSetDevice(previous_);
  }
  CurrentDevice(const CurrentDevice &) = delete;
  CurrentDevice &operator=(const CurrentDevice &) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

// A stream of our own: other work of the process on the device goes on beside ours.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(std::int64_t count) : bytes_(static_cast<std::size_t>(count) * sizeof(T)) {
    if (bytes_ == 0) return;
    const cudaError_t error = cudaMalloc(reinterpret_cast<void **>(&data_), bytes_);
    if (error == cudaErrorMemoryAllocation) explain();
    check(error, "allocate memory");
  }
  DeviceArray(const T *host, std::int64_t count, cudaStream_t stream) : DeviceArray(count) {
    check(cudaMemcpyAsync(data_, host, bytes_, cudaMemcpyHostToDevice, stream),
          "copy to the device");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray &) = delete;
  DeviceArray &operator=(const DeviceArray &) = delete;

  T *get() const { return data_; }
  void copy_to(T *host, cudaStream_t stream) const {
    check(cudaMemcpyAsync(host, data_, bytes_, cudaMemcpyDeviceToHost, stream),
          "copy from the device");
  }

 private:
  [[noreturn]] void explain() const {
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Failure(CUFES_DEVICE_OUT_OF_MEMORY,
                  "the device has " + std::to_string(free >> 20) + " MiB of " +
                      std::to_string(total >> 20) + " MiB free, an array of " +
                      std::to_string(bytes_ >> 20) +
                      " MiB was asked for; use a coarser grid, or device=\"cpu\"");
  }

  T *data_ = nullptr;
  std::size_t bytes_;
};

template <typename Real>
const Image *images();
template <>
const Image *images<double>() {
  return images_FES;
}
template <>
const Image *images<float>() {
  return images_FES_f32;
}

int attribute(int device, cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "read an attribute of the device");
  return value;
}

template <typename Real>
const Image &image_for(int device) {
  const int major = attribute(device, cudaDevAttrComputeCapabilityMajor);
  const int minor = attribute(device, cudaDevAttrComputeCapabilityMinor);
  const int chosen = choose_image(images<Real>(), image_count, major, minor);
  if (chosen < 0)
    throw Failure(CUFES_UNSUPPORTED_DEVICE,
                  "device " + std::to_string(device) + " has compute capability " +
                      std::to_string(major) + "." + std::to_string(minor) +
                      ", which this libcufes has no code for; use device=\"cpu\"");
  return images<Real>()[chosen];
}

// The image of a device, loaded at its first use and kept: a CUDA library belongs to no context,
// and unloading it at exit would race with the end of the driver.
template <typename Real>
cudaKernel_t load_kernel(int device, const std::string &name) {
  static std::mutex mutex;
  static std::map<std::pair<int, std::string>, cudaKernel_t> kernels;
  static std::map<int, cudaLibrary_t> libraries;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = kernels.find({device, name});
  if (known != kernels.end()) return known->second;
  auto library = libraries.find(device);
  if (library == libraries.end()) {
    const Image &image = image_for<Real>(device);
    cudaLibrary_t loaded;
    check(cudaLibraryLoadData(&loaded, image.begin, nullptr, nullptr, 0, nullptr, nullptr, 0),
          ("load the " + std::string(image.name) + " image").c_str());
    library = libraries.emplace(device, loaded).first;
  }
  cudaKernel_t kernel;
  check(cudaLibraryGetKernel(&kernel, library->second, name.c_str()), ("find " + name).c_str());
  return kernels.emplace(std::make_pair(device, name), kernel).first->second;
}

template <typename Args>
void launch(cudaKernel_t kernel, dim3 blocks, Args &args, cudaStream_t stream) {
  void *pointers[] = {&args};
  check(cudaLaunchKernel(reinterpret_cast<const void *>(kernel), blocks, dim3(block_size), pointers,
                         0, stream),
        "launch a kernel");
}

// Up to three axes have kernels compiled for them.
std::string kernel_name(const char *stem, int ndim) {
  return stem + (ndim <= 3 ? std::to_string(ndim) : std::string("n"));
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The hills on the device.
template <typename Real>
class DeviceHills {
 public:
  DeviceHills(const Hills<Real> &hills, cudaStream_t stream)
      : centers_(hills.centers, hills.count * hills.ndim, stream),
        sigmas_(hills.sigmas, hills.sigma_rows * hills.ndim, stream),
        heights_(hills.heights, hills.count, stream) {
    args_.centers = centers_.get();
    args_.sigmas = sigmas_.get();
    args_.heights = heights_.get();
    args_.count = hills.count;
    args_.sigma_stride = hills.sigma_rows == 1 ? 0 : hills.ndim;
    args_.ndim = hills.ndim;
    args_.kernel = hills.kernel;
    for (int i = 0; i < hills.ndim; ++i) {
      args_.period[i] = static_cast<Real>(hills.periods[i]);
      args_.inverse_period[i] = static_cast<Real>(hills.periods[i] > 0 ? 1 / hills.periods[i] : 0);
    }
  }
  const HillsArgs<Real> &args() const { return args_; }

 private:
  DeviceArray<Real> centers_, sigmas_, heights_;
  HillsArgs<Real> args_{};
};

// Into how many chunks the hills are split so that `blocks` blocks of points fill the device. It
// depends on the device's model alone: the same model gives the same bits.
int count_chunks(int device, std::int64_t blocks, std::int64_t hills) {
  const std::int64_t wanted = 8LL * attribute(device, cudaDevAttrMultiProcessorCount);
  const std::int64_t most = std::min<std::int64_t>(divide_up(hills, block_size), 65535);
  return static_cast<int>(std::max<std::int64_t>(1, std::min(wanted / blocks, most)));
}

void check_device(int device) {
  const std::int32_t count = cuda_device_count();
  if (device < 0 || device >= count)
    throw Failure(CUFES_NO_DEVICE, "there is no CUDA device " + std::to_string(device) +
                                       ", expected 0 to " + std::to_string(count - 1));
}

constexpr std::int64_t most_blocks = 2147483647;

void check_blocks(std::int64_t blocks) {
  if (blocks > most_blocks)
    throw Failure(CUFES_INVALID_ARGUMENT, "there are more points than one launch can take");
}

// Tiles as near to a cube as powers of two allow, longest along the last axis, where neighbouring
// threads write neighbouring numbers; no longer along an axis than the grid needs.
template <typename Real>
std::int64_t lay_tiles(GridArgs<Real> &args) {
  const int ndim = args.hills.ndim;
  std::fill(args.tile, args.tile + ndim, 1);
  for (int left = block_size; left > 1; left /= 2) {
    int shortest = -1;
    for (int i = ndim - 1; i >= 0; --i) {
      if (args.tile[i] >= args.points[i]) continue;
      if (shortest < 0 || args.tile[i] < args.tile[shortest]) shortest = i;
    }
    args.tile[shortest < 0 ? ndim - 1 : shortest] *= 2;
  }
  std::int64_t tiles = 1;
  for (int i = 0; i < ndim; ++i) {
    args.tiles[i] = static_cast<int>(divide_up(args.points[i], args.tile[i]));
    tiles *= args.tiles[i];
  }
  return tiles;
}

template <typename Real>
GridArgs<Real> make_grid_args(const cufes_grid &grid, const HillsArgs<Real> &hills) {
  GridArgs<Real> args{};
  args.hills = hills;
  for (int i = 0; i < grid.ndim; ++i) {
    args.lower[i] = grid.lower[i];
    args.spacing[i] = grid.spacing[i];
    args.points[i] = static_cast<int>(grid.points[i]);
  }
  return args;
}

// What this back end does not serve yet is refused, never summed to something else.
template <typename Real>
void check_served(const Hills<Real> &hills, const Run &run, cufes_path only) {
  if (hills.multivariate)
    throw Failure(CUFES_INVALID_ARGUMENT,
                  "multivariate hills are not summed on CUDA devices yet; use device=\"cpu\"");
  if (run.device_memory())
    throw Failure(CUFES_INVALID_ARGUMENT, "arrays in device memory are not taken yet");
  if (run.path() != CUFES_PATH_AUTO && run.path() != only)
    throw Failure(CUFES_INVALID_ARGUMENT,
                  "this path is not on CUDA devices yet; use the automatic one, or device=\"cpu\"");
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
  check_served<Real>(hills, run, CUFES_PATH_DIRECT);
  const CurrentDevice current(device);
  const bool logarithmic = hills.kernel == CUFES_LOG_GAUSSIAN;
  const char *stem = logarithmic ? "cufes_log_points_" : "cufes_points_";
  const cudaKernel_t sum = load_kernel<Real>(device, kernel_name(stem, hills.ndim));
  const cudaKernel_t reduce =
      load_kernel<Real>(device, logarithmic ? "cufes_log_reduce" : "cufes_reduce");

  const std::int64_t blocks = divide_up(points.count, block_size);
  check_blocks(blocks);
  const int chunks = count_chunks(device, blocks, hills.count);
  const Stream stream;
  const DeviceHills<Real> on_device(hills, stream);
  const DeviceArray<Real> where(points.points, points.count * hills.ndim, stream);
  const DeviceArray<Real> partial(chunks > 1 ? points.count * chunks : 0);
  const DeviceArray<Real> values(points.count);

  PointsArgs<Real> args{};
  args.hills = on_device.args();
  args.points = where.get();
  args.count = points.count;
  args.hills_per_chunk = divide_up(hills.count, chunks);
  args.values = chunks > 1 ? partial.get() : values.get();
  launch(sum, dim3(blocks, chunks), args, stream);
  if (chunks > 1) {
    ReduceArgs<Real> all{partial.get(), points.count, chunks, values.get()};
    launch(reduce, dim3(blocks), all, stream);
  }
  values.copy_to(points.values, stream);
  check(cudaStreamSynchronize(stream), "finish the sum");
  run.plan(CUFES_PATH_DIRECT, "direct, hills in " + std::to_string(chunks) + " parts");
}

template <typename Real>
void sum_grid_cuda(int device, const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  check_device(device);
  if (hills.kernel == CUFES_LOG_GAUSSIAN)
    throw Failure(
        CUFES_INVALID_ARGUMENT,
        "the logarithmic kernel is not summed on grids on CUDA devices yet; sum it at the "
        "points of the grid, or use device=\"cpu\"");
  const cufes_path path = hills.kernel == CUFES_GAUSSIAN ? CUFES_PATH_DIRECT : CUFES_PATH_TRUNCATED;
  check_served<Real>(hills, run, path);
  const CurrentDevice current(device);
  const char *stem = surface.gradient ? "cufes_grid_gradient_" : "cufes_grid_";
  const cudaKernel_t sum = load_kernel<Real>(device, kernel_name(stem, hills.ndim));

  const Stream stream;
  const DeviceHills<Real> on_device(hills, stream);
  const DeviceArray<Real> values(surface.size);
  const DeviceArray<Real> gradient(surface.gradient ? surface.size * hills.ndim : 0);

  GridArgs<Real> args = make_grid_args(*surface.grid, on_device.args());
  const std::int64_t tiles = lay_tiles(args);
  check_blocks(tiles);
  args.size = surface.size;
  args.values = values.get();
  args.gradient = gradient.get();
  launch(sum, dim3(tiles), args, stream);
  values.copy_to(surface.values, stream);
  if (surface.gradient) gradient.copy_to(surface.gradient, stream);
  check(cudaStreamSynchronize(stream), "finish the sum");
  run.plan(path, (path == CUFES_PATH_DIRECT ? "direct, " : "truncated, ") + std::to_string(tiles) +
                     " tiles");
}

template void sum_points_cuda<double>(int, const cufes_hills &, const Points<double> &, Run &);
template void sum_points_cuda<float>(int, const cufes_hills_f32 &, const Points<float> &, Run &);
template void sum_grid_cuda<double>(int, const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_cuda<float>(int, const cufes_hills_f32 &, const Surface<float> &, Run &);

}  // namespace cufes
