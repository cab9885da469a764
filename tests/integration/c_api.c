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

int main(void) {
  const double centers[] = {0.0, 1.0}, sigma[] = {1.0}, heights[] = {2.0, 3.0}, none[] = {0.0};
  cufes_hills hills = {1, CUFES_GAUSSIAN, 2, 1, centers, sigma, heights, none};
  const double lower[] = {0.0}, spacing[] = {0.5};
  const int64_t count[] = {3}, huge[] = {1LL << 40};
  cufes_grid grid = {1, lower, spacing, count};
  double values[3], gradient[3];
  int32_t devices = -1, runtime = 0, driver = 0;

  const cufes_api *api = cufes_get_api(CUFES_ABI_VERSION);
  printf("table: %d, of another version: %d\n", api && api->sum_grid == cufes_sum_grid,
         cufes_get_api(CUFES_ABI_VERSION + 1) != NULL);

  expect("grid", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, gradient), CUFES_OK);
  printf("value: %d, gradient: %d\n", fabs(values[0] - 2.0 - 3.0 * exp(-0.5)) < 1e-14,
         fabs(gradient[0] - 3.0 * exp(-0.5)) < 1e-14);
  expect("points", cufes_sum_points(CUFES_CPU, &hills, 1, centers, values), CUFES_OK);
  expect("no points", cufes_sum_points(CUFES_CPU, &hills, 0, NULL, NULL), CUFES_OK);
  expect("versions", cufes_cuda_versions(&runtime, &driver), CUFES_OK);

  expect("null hills", cufes_sum_grid(0, NULL, &grid, values, NULL), CUFES_INVALID_ARGUMENT);
  expect("null grid", cufes_sum_grid(0, &hills, NULL, values, NULL), CUFES_INVALID_ARGUMENT);
  expect("null values", cufes_sum_grid(0, &hills, &grid, NULL, NULL), CUFES_INVALID_ARGUMENT);
  expect("null count", cufes_device_count(NULL), CUFES_INVALID_ARGUMENT);
  hills.count = 0;
  expect("no hills", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL),
         CUFES_INVALID_ARGUMENT);
  hills.count = 2;
  hills.sigma_rows = 3;
  expect("sigma rows", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL),
         CUFES_INVALID_ARGUMENT);
  hills.sigma_rows = 1;
  grid.points = huge;
  expect("huge grid", cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL),
         CUFES_INVALID_ARGUMENT);
  grid.points = count;
  expect("device", cufes_sum_grid(0, &hills, &grid, values, NULL), CUFES_NO_DEVICE);
  expect("device -2", cufes_sum_grid(-2, &hills, &grid, values, NULL), CUFES_NO_DEVICE);
  expect("devices", cufes_device_count(&devices), CUFES_NO_DEVICE);
  printf("devices: %d\n", devices);
  return 0;
}
