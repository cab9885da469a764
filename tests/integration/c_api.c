/* Calls libcufes as a C program does; each line printed is one that test_c_api.py expects. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cufes.h"

static void expect(const char *what, cufes_status status, cufes_status wanted) {
  if (status == wanted)
    printf("%s: %s\n", what, status == CUFES_OK ? "ok" : cufes_last_error());
  else
    printf("%s: status %d, wanted %d: %s\n", what, status, wanted, cufes_last_error());
}

/* Counts its calls and stops the second one. */
static int32_t stop_soon(void *context, double done) {
  return done >= 0 && done <= 1 && ++*(int *)context < 2;
}

static cufes_status sum_for_long(cufes_run *run) {
  static double centers[1 << 16], heights[1 << 16], points[1 << 15], values[1 << 15];
  static const double sigma[] = {1.0}, none[] = {0.0};
  const cufes_hills hills = {1, CUFES_GAUSSIAN, 1 << 16, 1, 0, centers, sigma, heights, none, NULL};
  return cufes_sum_points(CUFES_CPU, &hills, 1 << 15, points, values, run);
}

int main(void) {
  const double centers[] = {0.0, 1.0}, sigma[] = {1.0}, heights[] = {2.0, 3.0}, none[] = {0.0};
  cufes_hills hills = {1, CUFES_GAUSSIAN, 2, 1, 0, centers, sigma, heights, none, NULL};
  const double lower[] = {0.0}, spacing[] = {0.5};
  const int32_t boxes[] = {0, 0, 1, 1};
  const int64_t count[] = {3}, huge[] = {1LL << 40};
  cufes_grid grid = {1, lower, spacing, count};
  double values[3], gradient[3];
  cufes_run run = {0};
  int asked = 0;
  int32_t devices = -1, runtime = 0, driver = 0;

  const cufes_api *api = cufes_get_api(CUFES_ABI_VERSION);
  printf("table: %d, of another version: %d\n", api && api->sum_grid == cufes_sum_grid,
         cufes_get_api(CUFES_ABI_VERSION + 1) != NULL);

  expect("grid", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, gradient, NULL), CUFES_OK);
  printf("value: %d, gradient: %d\n", fabs(values[0] - 2.0 - 3.0 * exp(-0.5)) < 1e-14,
         fabs(gradient[0] - 3.0 * exp(-0.5)) < 1e-14);
  expect("points", cufes_sum_points(CUFES_CPU, &hills, 1, centers, values, NULL), CUFES_OK);
  expect("no points", cufes_sum_points(CUFES_CPU, &hills, 0, NULL, NULL, NULL), CUFES_OK);
  expect("versions", cufes_cuda_versions(&runtime, &driver), CUFES_OK);

  expect("null hills", cufes_sum_grid(0, NULL, &grid, values, NULL, NULL), CUFES_INVALID_ARGUMENT);
  expect("null grid", cufes_sum_grid(0, &hills, NULL, values, NULL, NULL), CUFES_INVALID_ARGUMENT);
  expect("null values", cufes_sum_grid(0, &hills, &grid, NULL, NULL, NULL), CUFES_INVALID_ARGUMENT);
  expect("null count", cufes_device_count(NULL), CUFES_INVALID_ARGUMENT);
  hills.count = 0;
  expect("no hills", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, NULL),
         CUFES_INVALID_ARGUMENT);
  hills.count = 2;
  hills.sigma_rows = 3;
  expect("sigma rows", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, NULL),
         CUFES_INVALID_ARGUMENT);
  hills.sigma_rows = 1;
  grid.points = huge;
  expect("huge grid", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, NULL),
         CUFES_INVALID_ARGUMENT);
  grid.points = count;
  hills.multivariate = 2;
  expect("multivariate", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, NULL),
         CUFES_INVALID_ARGUMENT);
  hills.multivariate = 0;
  hills.kernel = CUFES_STRETCHED_GAUSSIAN;
  hills.boxes = boxes;
  expect("boxes", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, gradient, NULL), CUFES_OK);
  printf("once and none: %d\n", values[0] == 2.0 && values[2] == 0.0);
  expect("boxes at points", cufes_sum_points(CUFES_CPU, &hills, 1, centers, values, NULL),
         CUFES_INVALID_ARGUMENT);
  hills.boxes = NULL;
  hills.kernel = CUFES_GAUSSIAN;
  run.path = 9;
  expect("path", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, &run),
         CUFES_INVALID_ARGUMENT);
  run.path = CUFES_PATH_AUTO;
  run.device_memory = 1;
  expect("device memory", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, &run),
         CUFES_INVALID_ARGUMENT);
  run.device_memory = 0;
  expect("run", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, &run), CUFES_OK);
  printf("path: %d, plan: %d\n", run.path, strncmp(run.plan, "separable, ", 11) == 0);
  run.path = CUFES_PATH_AUTO;
  run.proceed = stop_soon;
  run.context = &asked;
  expect("stopped", sum_for_long(&run), CUFES_INTERRUPTED);
  printf("asked: %d\n", asked);
  expect("device", cufes_sum_grid(0, &hills, &grid, values, NULL, NULL), CUFES_NO_DEVICE);
  expect("device -2", cufes_sum_grid(-2, &hills, &grid, values, NULL, NULL), CUFES_NO_DEVICE);
  expect("devices", cufes_device_count(&devices), CUFES_NO_DEVICE);
  printf("devices: %d\n", devices);
  return 0;
}
