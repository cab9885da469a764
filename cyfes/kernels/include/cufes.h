/* libcufes: sums of Gaussian hills for free-energy surfaces, on the CPU and on CUDA GPUs.
 *
 * Every call returns a status; cufes_last_error() explains the last failure of the calling thread.
 * Nothing is printed, no process is ended, no device is reset. All arrays are owned by the caller,
 * row-major and contiguous, and host memory unless cufes_run says otherwise; a call may be made
 * from any number of threads at once.
 */
#ifndef CUFES_H
#define CUFES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with every change of a struct or of a signature in this file. */
#define CUFES_ABI_VERSION 3

/* PLUMED's limit, too. */
#define CUFES_MAX_DIM 16

/* The device of a call: this, or the ordinal of a CUDA device. */
#define CUFES_CPU (-1)

#if defined(__GNUC__)
#define CUFES_EXPORT __attribute__((visibility("default")))
#else
#define CUFES_EXPORT
#endif

typedef enum cufes_status {
  CUFES_OK = 0,
  /* The arguments are at fault. */
  CUFES_INVALID_ARGUMENT = 1,
  /* There is no such device: no GPU, no driver, or a driver too old for the CUDA runtime. */
  CUFES_NO_DEVICE = 2,
  /* The device is there, but this library carries no code that runs on it. */
  CUFES_UNSUPPORTED_DEVICE = 3,
  CUFES_DEVICE_OUT_OF_MEMORY = 4,
  CUFES_OUT_OF_MEMORY = 5,
  /* Any other failure of the CUDA runtime or of the driver. */
  CUFES_CUDA_ERROR = 6,
  CUFES_INTERNAL_ERROR = 7,
  /* The caller's own `proceed` stopped the call; what it has written so far is of no use. */
  CUFES_INTERRUPTED = 8
} cufes_status;

/* The shape of a hill of height h, with d = 1/2 sum_i ((x_i - center_i) / sigma_i)^2, or that of a
 * multivariate hill; see cufes_hills. */
typedef enum cufes_kernel {
  /* h (A exp(-d) + B) for d < 6.25 and 0 beyond; A + B = 1, zero at the cut-off.
   * What PLUMED deposits and sums since version 2.8. */
  CUFES_STRETCHED_GAUSSIAN = 0,
  /* h exp(-d), everywhere. No sigma may exceed the period of its axis: the images that the minimum
   * leaves out would count. */
  CUFES_GAUSSIAN = 1,
  /* h exp(-d) inside a box of bins and 0 outside: what PLUMED sums for "kerneltype gaussian". The
   * box is that of `boxes` or, without, ceil(sqrt(12.5) sigma_i / spacing_i) bins to either side of
   * the bin of the centre, where multivariate hills have none. On grids only. */
  CUFES_BOXED_GAUSSIAN = 2,
  /* The heights are natural logarithms, and so is the sum: log(sum of exp(h - d)), without overflow
   * or underflow however far a point is from every hill. Without a gradient. */
  CUFES_LOG_GAUSSIAN = 3
} cufes_kernel;

/* How a sum is computed. */
typedef enum cufes_path {
  /* The fastest one for the problem. */
  CUFES_PATH_AUTO = 0,
  /* Every hill at every point. */
  CUFES_PATH_DIRECT = 1,
  /* Products of one factor an axis: plain and logarithmic Gaussians on grids, not multivariate. */
  CUFES_PATH_SEPARABLE = 2,
  /* Tiles of the grid, each with the hills that reach it: the stretched and the boxed kernel. */
  CUFES_PATH_TRUNCATED = 3
} cufes_path;

/* Hills in double precision. Differences along a periodic axis take the minimum image. */
typedef struct cufes_hills {
  int32_t ndim;       /* collective variables, 1 to CUFES_MAX_DIM */
  int32_t kernel;     /* a cufes_kernel */
  int64_t count;      /* N, at least 1 */
  int64_t sigma_rows; /* 1: all hills share their widths; count: a row of widths a hill */
  /* 0: a row of `sigmas` holds a width > 0 an axis. 1: it holds the ndim (ndim + 1) / 2 elements of
   * the rows of the lower triangle of L, with a positive diagonal, where L L^T is the inverse of
   * the covariance matrix: d = 1/2 |L^T (x - center)|^2. */
  int32_t multivariate;
  const double *centers; /* count x ndim */
  const double *sigmas;  /* sigma_rows x ndim, or x ndim (ndim + 1) / 2 */
  const double *heights; /* count */
  const double *periods; /* ndim; 0 for an axis that is not periodic */
  /* NULL, or count x ndim x 2: the first and the last grid point of a box along each axis; none
   * where the last is one before the first. Outside its box a hill is 0. On a periodic axis a box
   * may lie anywhere: a hill counts as often as the box comes by a grid point on its way around.
   * For the stretched and the boxed kernel, on grids. */
  const int32_t *boxes;
} cufes_hills;

/* The same in single precision. */
typedef struct cufes_hills_f32 {
  int32_t ndim;
  int32_t kernel;
  int64_t count;
  int64_t sigma_rows;
  int32_t multivariate;
  const float *centers;
  const float *sigmas;
  const float *heights;
  const double *periods;
  const int32_t *boxes;
} cufes_hills_f32;

/* A regular grid: point k of axis i lies at lower[i] + k spacing[i]. A periodic axis (its period is
 * that of the hills) has points[i] * spacing[i] <= period: all of the grid, or a part of it. For
 * boxes of bins its period is a whole number of spacings. */
typedef struct cufes_grid {
  int32_t ndim;
  const double *lower;   /* ndim */
  const double *spacing; /* ndim, each > 0 */
  const int64_t *points; /* ndim, each >= 1 */
} cufes_grid;

/* How a call is to run, and what it tells its caller. */
typedef struct cufes_run {
  int32_t path; /* in: a cufes_path, AUTO or one to force; out: the one taken */
  /* 1: centers, sigmas, heights and boxes, and the points, values and gradient, are memory of the
   * CUDA device of the call. The periods and the grid stay host memory. */
  int32_t device_memory;
  void *stream; /* with device_memory: the CUDA stream to work on; NULL is the default stream */
  /* Called from the calling thread, at least every 0.1 s, with the part done, 0 to 1; the call
   * stops with CUFES_INTERRUPTED when it returns 0. May be NULL. */
  int32_t (*proceed)(void *context, double done);
  void *context;
  char plan[256]; /* out: how the sum was computed, in words */
} cufes_run;

typedef struct cufes_device {
  char name[256];
  int32_t major; /* compute capability */
  int32_t minor;
  int32_t multiprocessors;
  int64_t total_memory; /* bytes */
  char image[32];       /* the code that runs on it, "sm_90" or "compute_90"; "" if there is none */
} cufes_device;

typedef struct cufes_api {
  uint32_t abi_version;
  const char *(*version)(void);
  const char *(*last_error)(void);
  cufes_status (*cuda_versions)(int32_t *runtime, int32_t *driver);
  cufes_status (*device_count)(int32_t *count);
  cufes_status (*device_info)(int32_t device, cufes_device *info);
  const char *(*choose_image)(int32_t major, int32_t minor);
  cufes_status (*sum_points)(int32_t device, const cufes_hills *hills, int64_t count,
                             const double *points, double *values, cufes_run *run);
  cufes_status (*sum_points_f32)(int32_t device, const cufes_hills_f32 *hills, int64_t count,
                                 const float *points, float *values, cufes_run *run);
  cufes_status (*sum_grid)(int32_t device, const cufes_hills *hills, const cufes_grid *grid,
                           double *values, double *gradient, cufes_run *run);
  cufes_status (*sum_grid_f32)(int32_t device, const cufes_hills_f32 *hills, const cufes_grid *grid,
                               float *values, float *gradient, cufes_run *run);
} cufes_api;

/* Host functions; NVRTC compiles device code alone and refuses even their declarations. */
#ifndef __CUDACC_RTC__

/* The table of all functions below, or NULL if this library has another ABI version than the one
 * asked for. A program that loads the library at run time needs this symbol alone. */
CUFES_EXPORT const cufes_api *cufes_get_api(uint32_t abi_version);

/* The version of this library, as of the Python package. */
CUFES_EXPORT const char *cufes_version(void);

/* What went wrong in this thread's last call that returned another status than CUFES_OK. */
CUFES_EXPORT const char *cufes_last_error(void);

/* CUDA versions as 1000 major + 10 minor; the driver's is 0 where there is none. */
CUFES_EXPORT cufes_status cufes_cuda_versions(int32_t *runtime, int32_t *driver);

/* How many CUDA devices there are. CUFES_NO_DEVICE, with the reason as the message, if none. */
CUFES_EXPORT cufes_status cufes_device_count(int32_t *count);

CUFES_EXPORT cufes_status cufes_device_info(int32_t device, cufes_device *info);

/* The name of the image that a device of this compute capability runs; NULL if there is none. */
CUFES_EXPORT const char *cufes_choose_image(int32_t major, int32_t minor);

/* values[m] = sum over all hills at points[m]; points is count x ndim. `run` may be NULL, here and
 * below: the path is then chosen, the arrays are host memory, and nothing stops the call. */
CUFES_EXPORT cufes_status cufes_sum_points(int32_t device, const cufes_hills *hills, int64_t count,
                                           const double *points, double *values, cufes_run *run);
CUFES_EXPORT cufes_status cufes_sum_points_f32(int32_t device, const cufes_hills_f32 *hills,
                                               int64_t count, const float *points, float *values,
                                               cufes_run *run);

/* values[k_0, k_1, ...] = sum over all hills at a grid point, the last axis fastest.
 * gradient[i, k_0, k_1, ...], its derivative along axis i, is left out where gradient is NULL. */
CUFES_EXPORT cufes_status cufes_sum_grid(int32_t device, const cufes_hills *hills,
                                         const cufes_grid *grid, double *values, double *gradient,
                                         cufes_run *run);
CUFES_EXPORT cufes_status cufes_sum_grid_f32(int32_t device, const cufes_hills_f32 *hills,
                                             const cufes_grid *grid, float *values, float *gradient,
                                             cufes_run *run);

#endif /* __CUDACC_RTC__ */

#ifdef __cplusplus
}
#endif

#endif /* CUFES_H */
