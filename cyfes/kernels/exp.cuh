// exp(-d) at the rate of the hardware.
//
// In double precision it costs 8 operations of the FP64 units instead of the 20 of the library's:
// 2^(k/128) comes from a table in shared memory, a polynomial of degree 4 does the rest, and the
// power of two is integer arithmetic. The error is about one unit in the last place, and 1.4e-17 d.
// In single precision it is the hardware's own exp2, with a relative error of 2^-22.
#ifndef CUFES_EXP_CUH
#define CUFES_EXP_CUH

#include "FES.cuh"

namespace cufes {

// log2(e) / 2, and the same in 128ths.
constexpr double half_log2_e = 0.7213475204444817;
constexpr double rate_of_squares = 92.33248261689366;

#ifdef __CUDACC__

// The library's functions where they are seldom called: not inlined, for they are long and the
// wheel holds a copy for each kernel and architecture.
template <typename Real>
__device__ __noinline__ Real full_exp(Real x) {
  return static_cast<Real>(exp(static_cast<double>(x)));
}
__device__ __noinline__ double full_exp2(double x) { return exp2(x); }
template <typename Real>
__device__ __noinline__ Real reciprocal(Real x) {
  return Real(1) / x;
}

// exp(-d) from q with d = q rate ln 2 / 128; q is at least 0. With 16 copies of the table, one for
// each pair of banks, no two threads collide.
template <typename Real, int COPIES>
class Exp;

template <int COPIES>
class Exp<double, COPIES> {
 public:
  static constexpr int entries = 128;
  static constexpr int size = entries * COPIES;

  __device__ static void fill(double *table) {
    for (int at = threadIdx.x; at < size; at += block_size) {
      const int k = at / COPIES;
      const double power = full_exp2(static_cast<double>(k) * (1.0 / entries));
      // So that adding k, with the bits of the entry, to the exponent comes out right.
      table[at] =
          __hiloint2double(__double2hiint(power) - (k << to_exponent), __double2loint(power));
    }
  }
  __device__ Exp(const double *table, double rate)
      : table_(reinterpret_cast<const char *>(table)),
        column_(threadIdx.x % COPIES * sizeof(double)),
        rate_(rate),
        highest_(__double2hiint(1020.0 * entries / rate)) {}

  __device__ double operator()(double q) const {
    constexpr double shifter = 0x1.8p52;
    // Of 2^(r / 128), which they meet to 7.6e-17 for |r| <= 1/2: it is interpolated at the nodes of
    // the fifth Chebyshev polynomial, of which 0 is one.
    constexpr double c1 = 0x1.62e42fefa3685p-8, c2 = 0x1.ebfbdff82c3fbp-17,
                     c3 = 0x1.c6b09b179a24bp-26, c4 = 0x1.3b2abd4ad2543p-35;
    constexpr int row = COPIES * sizeof(double);
    // Beyond 2^-1020 everything is as small as that. By its upper half: an integer minimum.
    q = __hiloint2double(min(__double2hiint(q), highest_), __double2loint(q));
    const double shifted = fma(q, -rate_, shifter);
    const double r = fma(q, -rate_, shifter - shifted);
    const int k = __double2loint(shifted);
    const double power =
        *reinterpret_cast<const double *>(table_ + ((k * row & (entries - 1) * row) | column_));
    const double p = fma(fma(fma(c4, r, c3), r, c2), r, c1);
    const double scaled =
        __hiloint2double(__double2hiint(power) + (k << to_exponent), __double2loint(power));
    return fma(scaled, p * r, scaled);
  }
  // exp(-q / 2); the rate must be that of squares.
  __device__ double of_square(double q) const { return (*this)(q); }

 private:
  static constexpr int to_exponent = 13;  // 2^(20 - 13) entries
  const char *table_;
  int column_;
  double rate_;
  int highest_;
};

// The rate is 1: what comes in is the exponent of two.
template <int COPIES>
class Exp<float, COPIES> {
 public:
  static constexpr int size = 1;
  __device__ static void fill(float *) {}
  __device__ Exp(const float *, double) {}
  __device__ float operator()(float q) const {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(-q));
    return result;
  }
  __device__ float of_square(float q) const { return (*this)(q * float(half_log2_e)); }
};

// Nearest integer by adding and taking away a number whose last place is 1: faster than the
// conversion in double precision, where it is not done in the arithmetic units.
__device__ inline double round_to_integer(double x) {
  constexpr double shifter = 0x1.8p52;
  return (x + shifter) - shifter;
}
__device__ inline float round_to_integer(float x) {
  constexpr float shifter = 0x1.8p23f;
  return (x + shifter) - shifter;
}

// The minimum image, without a branch.
template <typename Real>
__device__ inline Real nearest_image(Real difference, Real period, Real inverse_period) {
  return fma(-period, round_to_integer(difference * inverse_period), difference);
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_EXP_CUH
