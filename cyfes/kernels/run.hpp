// How a call is to run, and how it tells its caller how far it is and what it did.
#ifndef CUFES_RUN_HPP
#define CUFES_RUN_HPP

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>

#include "cufes.h"
#include "failure.hpp"

namespace cufes {

// The caller's cufes_run, or the defaults where there is none.
class Run {
 public:
  explicit Run(cufes_run *given) : run_(given ? *given : cufes_run{}), given_(given) {}

  cufes_path path() const { return static_cast<cufes_path>(run_.path); }
  bool device_memory() const { return run_.device_memory != 0; }
  void *stream() const { return run_.stream; }

  // Says which path is taken, and how, in words.
  void plan(cufes_path path, const std::string &words) {
    if (!given_) return;
    given_->path = path;
    std::snprintf(given_->plan, sizeof given_->plan, "%s", words.c_str());
  }

  // Asks the caller whether to go on; only from the thread that made the call. Not more often than
  // every `interval`, so that it may be asked after each small part.
  bool proceed(double done) {
    if (!run_.proceed) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now - asked_ < interval) return true;
    asked_ = now;
    return run_.proceed(run_.context, done) != 0;
  }

 private:
  static constexpr std::chrono::milliseconds interval{40};

  cufes_run run_;
  cufes_run *given_;
  std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
};

// Counts the parts that several threads have done, and stops all of them when the caller says so.
// No exception may leave a parallel region: finish() throws behind it.
class Watch {
 public:
  Watch(Run &run, double parts) : run_(run), parts_(parts) {}
  Watch(const Watch &) = delete;
  Watch &operator=(const Watch &) = delete;

  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  // `calling`: whether this is the thread that made the call.
  void add(double parts, bool calling) {
    // There is no fetch_add of doubles before C++20.
    double before = done_.load(std::memory_order_relaxed);
    while (!done_.compare_exchange_weak(before, before + parts, std::memory_order_relaxed)) {
    }
    if (calling && !run_.proceed((before + parts) / parts_)) stopped_ = true;
  }
  void finish() const {
    if (stopped()) throw Failure(CUFES_INTERRUPTED, "the caller stopped the sum");
  }

 private:
  Run &run_;
  double parts_;
  std::atomic<double> done_{0};
  std::atomic<bool> stopped_{false};
};

}  // namespace cufes

#endif  // CUFES_RUN_HPP
