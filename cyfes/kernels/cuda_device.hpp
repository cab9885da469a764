// What every CUDA call needs: checked calls of the runtime, and what is kept of a device between
// calls (its kernels, and streams with staging memory that are lent to one call at a time).
#ifndef CUFES_CUDA_DEVICE_HPP
#define CUFES_CUDA_DEVICE_HPP

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "failure.hpp"

namespace cufes {

// Throws what an error of the runtime stands for.
void check(cudaError_t error, const char *doing);

// Refuses a device that is not there.
void check_device(int device);

// Makes a device current and puts the caller's back.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice &) = delete;
  CurrentDevice &operator=(const CurrentDevice &) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

// What the plans depend on. A device's model alone decides it: the same model gives the same bits.
struct Model {
  int multiprocessors;
  int shared_memory;   // bytes a block can have
  double rate;         // operations a second in double precision, without tensor cores
  double matrix_rate;  // and with them
};
const Model &model_of(int device);

// A kernel of the image that fits the device. The image is loaded at its first use and kept: a CUDA
// library belongs to no context, and unloading it at exit would race with the end of the driver.
// `much_shared`: it takes as much shared memory as there is.
template <typename Real>
cudaKernel_t find_kernel(int device, const std::string &name, bool much_shared);

// How many bytes a call may take, now; part of what is free is left to others.
std::size_t usable_memory(int device);

// Pinned memory that a piece of an array passes through on its way between host and device.
struct Slot {
  char *memory = nullptr;
  cudaEvent_t passed = nullptr;  // recorded behind the copy to or from the device
  bool busy = false;             // that copy may be under way
};
constexpr std::size_t slot_bytes = 2u << 20;
constexpr int slots_per_workspace = 8;

// A stream of our own, so that other work of the process on the device goes on beside ours, and
// slots. Both are slow to make: a call takes them from a pool and puts them back.
struct Workspace {
  cudaStream_t stream = nullptr;
  Slot slots[slots_per_workspace];
  int next = 0;  // the slot that is used next
};

class Lease {
 public:
  explicit Lease(int device);
  ~Lease();
  Lease(const Lease &) = delete;
  Lease &operator=(const Lease &) = delete;

  cudaStream_t stream() const { return workspace_->stream; }
  // The slot that was used longest ago; waits until its copy is done.
  Slot &slot();

 private:
  int device_;
  Workspace *workspace_;
};

// Memory of the current device, in the order of a stream.
class Memory {
 public:
  Memory(int device, std::size_t bytes, cudaStream_t stream);
  ~Memory();
  Memory(Memory &&other) noexcept;
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  template <typename T>
  T *as() const {
    return static_cast<T *>(data_);
  }

 private:
  void *data_ = nullptr;
  cudaStream_t stream_;
  bool pooled_ = false;
};

}  // namespace cufes

#endif  // CUFES_CUDA_DEVICE_HPP
