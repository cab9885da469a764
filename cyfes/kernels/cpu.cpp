// The CPU back end: chooses the instruction set and the path.
#include "cpu.hpp"

#include <omp.h>

#include <cstdlib>

namespace cufes {
namespace {

// The path that is fastest for hills on a grid, or the one that the caller asks for.
template <typename Real>
cufes_path choose_path(const Hills<Real> &hills, const Run &run) {
  if (run.path() != CUFES_PATH_AUTO) return run.path();
  const bool cut_off =
      hills.kernel == CUFES_STRETCHED_GAUSSIAN || hills.kernel == CUFES_BOXED_GAUSSIAN;
  if (cut_off) return CUFES_PATH_TRUNCATED;
  return hills.multivariate ? CUFES_PATH_DIRECT : CUFES_PATH_SEPARABLE;
}

}  // namespace

#if defined(__x86_64__)
// The best instruction set of this processor, or a lesser one that CUFES_CPU asks for by its name,
// so that one machine can test them all.
const CpuKernels &cpu_kernels() {
  static const CpuKernels &best = []() -> const CpuKernels & {
    const char *asked = std::getenv("CUFES_CPU");
    const std::string most = asked ? asked : "avx512";
    if (most == "sse2") return cpu_kernels_baseline;
    if (most != "avx2" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      return cpu_kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return cpu_kernels_avx2;
    return cpu_kernels_baseline;
  }();
  return best;
}

const char *cpu_instruction_set() {
  if (&cpu_kernels() == &cpu_kernels_avx512) return "avx512";
  return &cpu_kernels() == &cpu_kernels_avx2 ? "avx2" : "sse2";
}
#else
// Every processor of the architecture has the instructions of the baseline, as aarch64 has NEON.
const CpuKernels &cpu_kernels() { return cpu_kernels_baseline; }

const char *cpu_instruction_set() {
#if defined(__ARM_NEON)
  return "neon";
#else
  return "baseline";
#endif
}
#endif

std::string cpu_means() {
  return std::to_string(omp_get_max_threads()) + " threads, " + cpu_instruction_set();
}

template <typename Real>
void sum_points_cpu(const Hills<Real> &hills, const Points<Real> &points, Run &run) {
  sum_points_direct<Real>(hills, points, run);
}

template <typename Real>
void sum_grid_cpu(const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  switch (choose_path<Real>(hills, run)) {
    case CUFES_PATH_SEPARABLE:
      return sum_grid_separable<Real>(hills, surface, run);
    case CUFES_PATH_TRUNCATED:
      if (hills.multivariate || hills.boxes)
        return sum_grid_multivariate<Real>(hills, surface, run);
      return sum_grid_truncated<Real>(hills, surface, run);
    default:
      return sum_grid_direct<Real>(hills, surface, run);
  }
}

template void sum_points_cpu<double>(const cufes_hills &, const Points<double> &, Run &);
template void sum_points_cpu<float>(const cufes_hills_f32 &, const Points<float> &, Run &);
template void sum_grid_cpu<double>(const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_cpu<float>(const cufes_hills_f32 &, const Surface<float> &, Run &);

}  // namespace cufes
