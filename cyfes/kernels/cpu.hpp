// What the parts of the CPU back end share.
#ifndef CUFES_CPU_HPP
#define CUFES_CPU_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "cpu_kernels.hpp"
#include "problem.hpp"

namespace cufes {

// The inner loops for this processor, and the name of their instruction set.
const CpuKernels &cpu_kernels();
const char *cpu_instruction_set();

// "2 threads, avx512": what ends every plan.
std::string cpu_means();

// Every hill at every point; of a grid, with a gradient where the surface has one.
template <typename Real>
void sum_points_direct(const Hills<Real> &hills, const Points<Real> &points, Run &run);
template <typename Real>
void sum_grid_direct(const Hills<Real> &hills, const Surface<Real> &surface, Run &run);
// The logarithmic kernel at some points of a grid.
template <typename Real>
void sum_logarithms_at(const Hills<Real> &hills, const Surface<Real> &surface,
                       const std::vector<std::int64_t> &points, Run &run);

// Tiles of a grid, each with the hills that reach it.
template <typename Real>
void sum_grid_truncated(const Hills<Real> &hills, const Surface<Real> &surface, Run &run);
// The same for multivariate hills, and for hills in boxes of bins.
template <typename Real>
void sum_grid_multivariate(const Hills<Real> &hills, const Surface<Real> &surface, Run &run);
// Tiles of a grid, each the product of matrices of factors.
template <typename Real>
void sum_grid_separable(const Hills<Real> &hills, const Surface<Real> &surface, Run &run);

}  // namespace cufes

#endif  // CUFES_CPU_HPP
