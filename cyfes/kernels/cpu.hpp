// What the parts of the CPU back end share.
#ifndef CUFES_CPU_HPP
#define CUFES_CPU_HPP

#include <string>

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

}  // namespace cufes

#endif  // CUFES_CPU_HPP
