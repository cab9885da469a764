#include "cuda_call.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace cufes {
namespace {

// Threads that copy a piece between the caller's memory and a slot. More of them do not help,
// because a few read and write as fast as the memory allows.
constexpr int most_threads = 4;
// A smaller part is not worth a thread.
constexpr std::size_t least_part = 256u << 10;
// Of the memory for a result, so much is made ready while the device computes.
constexpr std::size_t most_touched = 256u << 20;
constexpr std::size_t page = 4096;

std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

// Calls `part(begin, end)` for parts of so many bytes, in threads if there are many.
template <typename Part>
void in_parts(std::size_t bytes, Part &&part) {
  const int threads = static_cast<int>(std::min<std::size_t>(
      {bytes / least_part, most_threads, static_cast<std::size_t>(omp_get_max_threads())}));
  if (threads < 2) return part(std::size_t{0}, bytes);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int i = 0; i < threads; ++i) part(bytes * i / threads, bytes * (i + 1) / threads);
}

void copy(char *to, const char *from, std::size_t bytes) {
  in_parts(bytes, [=](std::size_t begin, std::size_t end) {
    std::memcpy(to + begin, from + begin, end - begin);
  });
}

}  // namespace

// The system provides a page of new memory when it is first written to, which takes as long as the
// copy itself.
void touch(void *memory, std::size_t bytes) {
  in_parts(std::min(bytes, most_touched), [=](std::size_t begin, std::size_t end) {
    for (std::size_t at = begin; at < end; at += page) static_cast<volatile char *>(memory)[at] = 0;
  });
}

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

// The last launch ends soon after the one before it, so that nobody is asked meanwhile: `await`
// would notice its end up to a pause later.
void Progress::await_launches() {
  if (launches_ == 0) return;
  if (launches_ > 1) await(events_[launches_ % 2]);
  check(cudaEventSynchronize(events_[(launches_ - 1) % 2]), "compute the sum");
  launches_ = 0;
  ask();
}

void Progress::finish() {
  await_launches();
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
  // The device fetches a piece while the next one is copied to its slot.
  for (std::size_t begin = 0; begin < bytes; begin += slot_bytes) {
    const std::size_t end = std::min(bytes, begin + slot_bytes);
    Slot &slot = lease_.slot();
    for (std::size_t k = 0; k < sources.size(); ++k) {
      const std::size_t from = std::max(begin, offsets[k]);
      const std::size_t to = std::min(end, offsets[k] + sources[k].bytes);
      if (from < to)
        copy(slot.memory + (from - begin),
             static_cast<const char *>(sources[k].data) + (from - offsets[k]), to - from);
    }
    check(cudaMemcpyAsync(memory.template as<char>() + begin, slot.memory, end - begin,
                          cudaMemcpyHostToDevice, stream_),
          "copy to the device");
    pass(slot);
    progress_.ask();
  }
  return memory;
}

template <typename Real>
void Call<Real>::download(const std::vector<Delivery> &deliveries) {
  struct Piece {
    const char *from;
    char *to;
    std::size_t bytes;
    Slot *slot;
  };
  std::vector<Piece> pieces;
  for (const Delivery &each : deliveries)
    for (std::size_t at = 0; at < each.bytes; at += slot_bytes)
      pieces.push_back({static_cast<const char *>(each.from) + at,
                        static_cast<char *>(each.to) + at, std::min(slot_bytes, each.bytes - at),
                        nullptr});
  std::size_t fetched = 0;
  const auto fetch = [&] {
    Piece &piece = pieces[fetched++];
    piece.slot = &lease_.slot();
    check(cudaMemcpyAsync(piece.slot->memory, piece.from, piece.bytes, cudaMemcpyDeviceToHost,
                          stream_),
          "copy from the device");
    pass(*piece.slot);
  };
  while (fetched < std::min<std::size_t>(pieces.size(), slots_per_workspace - 1)) fetch();
  progress_.await_launches();
  // The device fills the other slots while a piece is copied from its own.
  for (const Piece &piece : pieces) {
    check(cudaEventSynchronize(piece.slot->passed), "compute the sum");
    piece.slot->busy = false;
    if (fetched < pieces.size()) fetch();
    copy(piece.to, piece.slot->memory, piece.bytes);
    progress_.ask();
  }
}

template <typename Real>
void Call<Real>::pass(Slot &slot) {
  check(cudaEventRecord(slot.passed, stream_), "record an event");
  slot.busy = true;
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
