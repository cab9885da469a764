// One call on a CUDA device: its arrays there, its launches, and how it tells its caller how far it
// is. Memory and streams belong to objects, so that every way out of a call frees them.
#ifndef CUFES_CUDA_CALL_HPP
#define CUFES_CUDA_CALL_HPP

#include <string>
#include <vector>

#include "FES.cuh"
#include "cuda_device.hpp"
#include "problem.hpp"

namespace cufes {

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Launches of a long sum are cut so that each takes about so many seconds: the caller is asked
// between them whether to go on.
constexpr double seconds_per_launch = 0.02;
// More blocks than one launch can take.
constexpr std::int64_t most_blocks = 2147483647;

// Launches that are under way, of which a few are enough to keep a device busy.
class Progress {
 public:
  Progress(Run &run, cudaStream_t stream) : run_(run), stream_(stream) {}
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  // What the parts reported below add up to.
  void expect(double parts) { parts_ = parts; }
  // A launch with so many parts was made; waits for the one before the last.
  void launched(double parts);
  // Asks the caller whether to go on; stops the call if not.
  void ask();
  // Waits for the launches, and asks meanwhile; a single one may still be under way.
  void await_launches();
  // Waits for everything.
  void finish();

 private:
  void await(cudaEvent_t event);

  Run &run_;
  cudaStream_t stream_;
  cudaEvent_t events_[2] = {};
  std::int64_t launches_ = 0;
  double done_ = 0, parts_ = 1;
};

template <typename Real>
class Call {
 public:
  Call(int device, const Hills<Real> &hills, Run &run);
  Call(const Call &) = delete;
  Call &operator=(const Call &) = delete;

  int device() const { return device_; }
  const Model &model() const { return model_; }
  const Hills<Real> &given() const { return given_; }
  const HillsArgs<Real> &hills() const { return args_; }
  // On the device, like the arrays of hills(); null where the hills have none.
  const int *boxes() const { return boxes_; }
  Run &run() { return run_; }
  Progress &progress() { return progress_; }
  cudaStream_t stream() const { return stream_; }

  Memory allocate(std::int64_t count, std::size_t element) {
    return Memory(device_, static_cast<std::size_t>(count) * element, stream_);
  }
  // Sums, all of them 0.
  Memory allocate_sums(std::int64_t count) {
    Memory sums = allocate(count, sizeof(double));
    check(cudaMemsetAsync(sums.as<void>(), 0, count * sizeof(double), stream_), "clear memory");
    return sums;
  }
  // Host arrays on the device, one after the other, each at a multiple of 256 bytes.
  struct Source {
    const void *data;
    std::size_t bytes;
  };
  Memory upload(const std::vector<Source> &sources, std::vector<std::size_t> &offsets);
  // The widths of the first hill, wherever they are.
  std::vector<Real> first_widths();
  // An array of the device, and the caller's memory that it goes to.
  struct Delivery {
    const void *from;
    void *to;
    std::size_t bytes;
  };
  // From the device to the caller's memory, one array after the other; waits.
  void download(const std::vector<Delivery> &deliveries);

  template <typename Args>
  void launch(const std::string &name, dim3 blocks, Args &args, int shared = 0,
              int threads = block_size) {
    void *pointers[] = {&args};
    const cudaKernel_t kernel = find_kernel<Real>(device_, name, shared > 0);
    check(cudaLaunchKernel(reinterpret_cast<const void *>(kernel), blocks, dim3(threads), pointers,
                           shared, stream_),
          "launch a kernel");
  }

 private:
  void place_hills();
  // Notes that a copy through a slot is under way.
  void pass(Slot &slot);

  int device_;
  const Model &model_;
  const Hills<Real> &given_;
  Run &run_;
  Lease lease_;
  cudaStream_t stream_;
  Progress progress_;
  std::vector<Memory> owned_;
  HillsArgs<Real> args_{};
  const int *boxes_;
};

// Makes memory of the host ready to be written to. While the device computes, this takes no time.
void touch(void *memory, std::size_t bytes);

// Where a result goes: the caller's memory of the device, or memory of ours and then the host.
template <typename Real>
class Result {
 public:
  Result(Call<Real> &call, Real *to, std::int64_t count)
      : call_(call),
        to_(to),
        count_(count),
        own_(call.allocate(on_device() ? 0 : count, sizeof(Real))) {}
  Real *values() const { return on_device() ? to_ : own_.template as<Real>(); }
  // Called when the launches are under way.
  void prepare() {
    if (!on_device()) touch(to_, count_ * sizeof(Real));
  }
  void deliver() {
    if (!on_device()) call_.download({delivery()});
  }
  bool on_device() const { return call_.run().device_memory(); }
  typename Call<Real>::Delivery delivery() const { return {values(), to_, count_ * sizeof(Real)}; }

 private:
  Call<Real> &call_;
  Real *to_;
  std::int64_t count_;
  Memory own_;
};

// Up to three axes have kernels compiled for them.
inline std::string kernel_name(const std::string &stem, int ndim) {
  return stem + (ndim >= 2 && ndim <= 3 ? std::to_string(ndim) : std::string("n"));
}

// The paths.
template <typename Real>
void sum_separable(Call<Real> &call, const Surface<Real> &surface);
template <typename Real>
void sum_truncated(Call<Real> &call, const Surface<Real> &surface);
template <typename Real>
void sum_grid_directly(Call<Real> &call, const Surface<Real> &surface);
template <typename Real>
void sum_points_directly(Call<Real> &call, const Points<Real> &points);

// Values of the direct path, at the points of a grid one after the other.
template <typename Real>
void sum_grid_points(Call<Real> &call, const Surface<Real> &surface);

}  // namespace cufes

#endif  // CUFES_CUDA_CALL_HPP
