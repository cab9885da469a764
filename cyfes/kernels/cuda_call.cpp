#include "cuda_call.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace cufes {
namespace {

// Larger arrays are copied by the driver, in pieces of its own: pinned memory is not to grow with
// the problem.
constexpr std::size_t most_staged = 32u << 20;
// The device fetches a piece while the next one is copied to the staging memory.
constexpr std::size_t piece = 512u << 10;
// And of what the driver copies, between which the caller is asked whether to go on.
constexpr std::size_t large_piece = 64u << 20;

std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

Progress::~Progress() {
  for (const cudaEvent_t event : events_)
    if (event) cudaEventDestroy(event);
}

void Progress::launched(double parts) {
  done_ += parts;
  if (done_ >= parts_ && launches_ == 0) return;  // the only one
  cudaEvent_t &event = events_[launches_ % 2];
  if (!event)
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event");
  else
    await(event);
  check(cudaEventRecord(event, stream_), "record an event");
  ++launches_;
}

void Progress::await(cudaEvent_t event) {
  for (;;) {
    const cudaError_t state = cudaEventQuery(event);
    if (state == cudaSuccess) break;
    if (state != cudaErrorNotReady) check(state, "compute the sum");
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    ask();
  }
  ask();
}

void Progress::ask() {
  if (run_.proceed(std::min(1.0, done_ / parts_))) return;
  cudaStreamSynchronize(stream_);
  throw Failure(CUFES_INTERRUPTED, "the caller stopped the sum");
}

void Progress::finish() {
  for (std::int64_t k = std::max<std::int64_t>(0, launches_ - 2); k < launches_; ++k)
    await(events_[k % 2]);
  launches_ = 0;
  check(cudaStreamSynchronize(stream_), "finish the sum");
}

template <typename Real>
Call<Real>::Call(int device, const Hills<Real> &hills, Run &run)
    : device_(device),
      model_(model_of(device)),
      given_(hills),
      run_(run),
      lease_(device),
      stream_(run.device_memory() ? static_cast<cudaStream_t>(run.stream()) : lease_.stream()),
      progress_(run, stream_),
      boxes_(hills.boxes) {
  args_.centers = hills.centers;
  args_.sigmas = hills.sigmas;
  args_.heights = hills.heights;
  args_.count = hills.count;
  args_.sigma_stride = static_cast<int>(sigma_stride(hills));
  args_.ndim = hills.ndim;
  args_.kernel = hills.kernel;
  args_.multivariate = hills.multivariate;
  for (int i = 0; i < hills.ndim; ++i) {
    args_.period[i] = static_cast<Real>(hills.periods[i]);
    args_.inverse_period[i] = static_cast<Real>(hills.periods[i] > 0 ? 1 / hills.periods[i] : 0);
  }
  if (!run.device_memory()) place_hills();
}

template <typename Real>
void Call<Real>::place_hills() {
  const std::size_t count = given_.count;
  const std::size_t boxes = given_.boxes ? 2 * count * given_.ndim * sizeof(std::int32_t) : 0;
  std::vector<std::size_t> offsets;
  owned_.push_back(
      upload({{given_.centers, count * given_.ndim * sizeof(Real)},
              {given_.sigmas, given_.sigma_rows * sigma_columns(given_) * sizeof(Real)},
              {given_.heights, count * sizeof(Real)},
              {given_.boxes, boxes}},
             offsets));
  const char *base = owned_.back().template as<char>();
  args_.centers = reinterpret_cast<const Real *>(base + offsets[0]);
  args_.sigmas = reinterpret_cast<const Real *>(base + offsets[1]);
  args_.heights = reinterpret_cast<const Real *>(base + offsets[2]);
  if (given_.boxes) boxes_ = reinterpret_cast<const int *>(base + offsets[3]);
}

template <typename Real>
Memory Call<Real>::upload(const std::vector<Source> &sources, std::vector<std::size_t> &offsets) {
  std::size_t bytes = 0;
  for (const Source &source : sources) {
    offsets.push_back(bytes);
    bytes += aligned(source.bytes);
  }
  Memory memory(device_, bytes, stream_);
  // What an earlier upload of the call has staged may still be on its way.
  if (bytes <= most_staged) check(cudaStreamSynchronize(stream_), "finish a copy");
  char *staging = bytes <= most_staged ? lease_.staging(bytes) : nullptr;
  for (std::size_t k = 0; k < sources.size(); ++k) {
    const std::size_t step = staging ? piece : large_piece;
    for (std::size_t at = 0; at < sources[k].bytes; at += step) {
      const std::size_t part = std::min(step, sources[k].bytes - at);
      const char *from = static_cast<const char *>(sources[k].data) + at;
      char *to = memory.template as<char>() + offsets[k] + at;
      if (staging) from = static_cast<char *>(std::memcpy(staging + offsets[k] + at, from, part));
      check(cudaMemcpyAsync(to, from, part, cudaMemcpyHostToDevice, stream_), "copy to the device");
      if (!staging) progress_.ask();
    }
  }
  return memory;
}

template <typename Real>
void Call<Real>::download(const void *from, void *to, std::size_t bytes) {
  const bool staged = bytes <= most_staged;
  char *via = staged ? lease_.staging(bytes) : static_cast<char *>(to);
  for (std::size_t at = 0; at < bytes; at += large_piece) {
    check(cudaMemcpyAsync(via + at, static_cast<const char *>(from) + at,
                          std::min(large_piece, bytes - at), cudaMemcpyDeviceToHost, stream_),
          "copy from the device");
    if (!staged) progress_.ask();
  }
  progress_.finish();
  if (staged) std::memcpy(to, via, bytes);
}

template <typename Real>
std::vector<Real> Call<Real>::first_widths() {
  std::vector<Real> sigmas(given_.ndim);
  const std::size_t bytes = sigmas.size() * sizeof(Real);
  if (!run_.device_memory()) {
    std::copy_n(given_.sigmas, sigmas.size(), sigmas.begin());
  } else {
    check(cudaMemcpyAsync(sigmas.data(), given_.sigmas, bytes, cudaMemcpyDeviceToHost, stream_),
          "copy from the device");
    check(cudaStreamSynchronize(stream_), "copy from the device");
  }
  return sigmas;
}

template class Call<double>;
template class Call<float>;

}  // namespace cufes
