// The single-precision arguments of FES.cuh by name.
#ifndef CUFES_FES_F32_CUH
#define CUFES_FES_F32_CUH

#include "FES.cuh"

namespace cufes {

using HillsArgs_f32 = HillsArgs<float>;
using PointsArgs_f32 = PointsArgs<float>;
using ReduceArgs_f32 = ReduceArgs<float>;
using GridArgs_f32 = GridArgs<float>;

}  // namespace cufes

#endif  // CUFES_FES_F32_CUH
