#include "cuda_device.hpp"

#include <unistd.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

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

// Multiply-adds a clock of one multiprocessor in double precision. The runtime's ratio of the
// precisions is no help: newer ones do not tell.
struct PerClock {
  int plain, matrix;
};
PerClock per_clock(int major, int minor) {
  const bool science = minor == 0 && major != 5 && major != 12;
  if (!science) return {2, 2};
  if (major == 8) return {32, 64};
  if (major == 9) return {64, 128};
  return major > 9 ? PerClock{64, 64} : PerClock{32, 32};
}

Model read_model(int device) {
  const PerClock each = per_clock(attribute(device, cudaDevAttrComputeCapabilityMajor),
                                  attribute(device, cudaDevAttrComputeCapabilityMinor));
  Model model;
  model.multiprocessors = attribute(device, cudaDevAttrMultiProcessorCount);
  model.shared_memory = attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  const double clocks = 1e3 * attribute(device, cudaDevAttrClockRate) * model.multiprocessors;
  model.rate = clocks * each.plain;
  model.matrix_rate = clocks * each.matrix;
  return model;
}

// Between calls the pool keeps this much: enough for the tables and sums of everyday problems, and
// little beside what a GPU has.
constexpr std::uint64_t kept_bytes = 384u << 20;

cudaMemPool_t make_pool(int device) {
  if (!attribute(device, cudaDevAttrMemoryPoolsSupported)) return nullptr;
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  cudaMemPool_t pool;
  check(cudaMemPoolCreate(&pool, &properties), "create a memory pool");
  std::uint64_t kept = kept_bytes;
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept),
        "set up its memory pool");
  return pool;
}

// What is kept of the devices. Never destroyed: at exit the driver may be gone already, and frees
// all of it itself; only pinned memory is freed before.
struct Kept {
  const pid_t owner = getpid();
  std::mutex mutex;
  std::map<std::pair<int, std::string>, cudaKernel_t> kernels[2];
  std::map<int, cudaLibrary_t> libraries[2];
  std::map<int, Model> models;
  std::map<int, cudaMemPool_t> pools;
  std::map<int, std::vector<Workspace *>> workspaces;
};
Kept &kept() {
  static Kept &all = *new Kept;
  return all;
}

cudaMemPool_t pool_of(int device) {
  const std::lock_guard<std::mutex> lock(kept().mutex);
  const auto known = kept().pools.find(device);
  if (known != kept().pools.end()) return known->second;
  return kept().pools.emplace(device, make_pool(device)).first->second;
}

// Frees the pinned memory of all workspaces that no call has. Contexts, streams and the pools are
// left to the driver.
void free_slots() {
  const std::lock_guard<std::mutex> lock(kept().mutex);
  for (auto &[device, idle] : kept().workspaces) {
    // With another current device, a context would be made for that one.
    if (cudaSetDevice(device) != cudaSuccess) return;
    for (Workspace *workspace : idle)
      for (Slot &slot : workspace->slots)
        if (slot.memory) cudaFreeHost(std::exchange(slot.memory, nullptr));
  }
}

// What is registered here runs before the end of the runtime and the driver, which were started
// earlier. A process that was forked from this one has no device.
void free_slots_at_exit() {
  static const bool registered = std::atexit([] {
                                   if (getpid() == kept().owner) free_slots();
                                 }) == 0;
  static_cast<void>(registered);
}

[[noreturn]] void explain_lack(std::size_t bytes) {
  cudaGetLastError();
  std::size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  throw Failure(CUFES_DEVICE_OUT_OF_MEMORY,
                "the device has " + std::to_string(free >> 20) + " MiB of " +
                    std::to_string(total >> 20) + " MiB free, an array of " +
                    std::to_string(bytes >> 20) +
                    " MiB was asked for; use a coarser grid, or device=\"cpu\"");
}

}  // namespace

void check(cudaError_t error, const char *doing) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that is reported here must not surface in the caller's next call
  throw Failure(status_of(error), std::string("CUDA failed to ") + doing + ": " +
                                      cudaGetErrorString(error) + " (" + cudaGetErrorName(error) +
                                      ")");
}

void check_device(int device) {
  const std::int32_t count = cuda_device_count();
  if (device < 0 || device >= count)
    throw Failure(CUFES_NO_DEVICE, "there is no CUDA device " + std::to_string(device) +
                                       ", expected 0 to " + std::to_string(count - 1));
}

CurrentDevice::CurrentDevice(int device) {
  check(cudaGetDevice(&previous_), "find the current device");
  changed_ = previous_ != device;
  // Also where nothing changes: it says whether the device works.
  check(cudaSetDevice(device), "use the device");
}

CurrentDevice::~CurrentDevice() {
  if (changed_) cudaSetDevice(previous_);
}

const Model &model_of(int device) {
  const std::lock_guard<std::mutex> lock(kept().mutex);
  const auto known = kept().models.find(device);
  if (known != kept().models.end()) return known->second;
  return kept().models.emplace(device, read_model(device)).first->second;
}

template <typename Real>
cudaKernel_t find_kernel(int device, const std::string &name, bool much_shared) {
  const int precision = sizeof(Real) == sizeof(float);
  const std::lock_guard<std::mutex> lock(kept().mutex);
  auto &kernels = kept().kernels[precision];
  const auto known = kernels.find({device, name});
  if (known != kernels.end()) return known->second;
  auto &libraries = kept().libraries[precision];
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
  if (much_shared)
    check(cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                               attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin)),
          "set up a kernel's shared memory");
  return kernels.emplace(std::make_pair(device, name), kernel).first->second;
}

template cudaKernel_t find_kernel<double>(int, const std::string &, bool);
template cudaKernel_t find_kernel<float>(int, const std::string &, bool);

std::size_t usable_memory(int device) {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "tell how much memory is free");
  std::uint64_t reserved = 0, used = 0;
  if (const cudaMemPool_t pool = pool_of(device)) {
    check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved),
          "tell what its memory pool holds");
    check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used),
          "tell what its memory pool holds");
  }
  return (free + reserved - used) / 10 * 9;
}

Lease::Lease(int device) : device_(device) {
  {
    const std::lock_guard<std::mutex> lock(kept().mutex);
    auto &idle = kept().workspaces[device];
    if (!idle.empty()) {
      workspace_ = idle.back();
      idle.pop_back();
      return;
    }
  }
  auto made = std::make_unique<Workspace>();
  check(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "create a stream");
  workspace_ = made.release();
}

Lease::~Lease() {
  // Nothing may still write to the slots, whatever ended the call.
  cudaStreamSynchronize(workspace_->stream);
  const std::lock_guard<std::mutex> lock(kept().mutex);
  kept().workspaces[device_].push_back(workspace_);
}

Slot &Lease::slot() {
  Slot &slot = workspace_->slots[workspace_->next];
  workspace_->next = (workspace_->next + 1) % slots_per_workspace;
  if (slot.busy) {
    slot.busy = false;
    check(cudaEventSynchronize(slot.passed), "finish a copy");
  }
  if (!slot.passed)
    check(cudaEventCreateWithFlags(&slot.passed, cudaEventDisableTiming), "create an event");
  if (!slot.memory) {
    check(cudaHostAlloc(reinterpret_cast<void **>(&slot.memory), slot_bytes, cudaHostAllocPortable),
          "allocate pinned memory");
    free_slots_at_exit();
  }
  return slot;
}

Memory::Memory(int device, std::size_t bytes, cudaStream_t stream) : stream_(stream) {
  if (bytes == 0) return;
  const cudaMemPool_t pool = pool_of(device);
  pooled_ = pool != nullptr;
  const cudaError_t error =
      pooled_ ? cudaMallocFromPoolAsync(&data_, bytes, pool, stream) : cudaMalloc(&data_, bytes);
  if (error == cudaErrorMemoryAllocation) explain_lack(bytes);
  check(error, "allocate memory");
}

Memory::~Memory() {
  if (!data_) return;
  if (pooled_)
    cudaFreeAsync(data_, stream_);
  else
    cudaFree(data_);
}

Memory::Memory(Memory &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), stream_(other.stream_), pooled_(other.pooled_) {}

}  // namespace cufes
