// A loop shared among threads that live as long as the loop.
#ifndef CYFES_TEXT_THREADS_HPP
#define CYFES_TEXT_THREADS_HPP

#include <system_error>
#include <thread>
#include <vector>

namespace cyfes {

// Calls work(0), …, work(count - 1), each in a thread of its own, and waits for all. The work must
// not throw.
template <typename Work>
void in_parallel(int count, const Work &work) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  int started = 1;
  try {
    for (; started < count; ++started) threads.emplace_back(work, started);
  } catch (const std::system_error &) {
    // No more threads are to be had: the rest is done here.
  }
  work(0);
  for (int rest = started; rest < count; ++rest) work(rest);
  for (std::thread &thread : threads) thread.join();
}

}  // namespace cyfes

#endif  // CYFES_TEXT_THREADS_HPP
