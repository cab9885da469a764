! Sums two hills on a grid of five points: gfortran sum.f90 -lcufes
module cufes
  use iso_c_binding
  implicit none

  ! The structs of cufes.h, member for member.
  type, bind(c) :: cufes_hills
    integer(c_int32_t) :: ndim, kernel
    integer(c_int64_t) :: count, sigma_rows
    integer(c_int32_t) :: multivariate = 0
    type(c_ptr) :: centers, sigmas, heights, periods
    type(c_ptr) :: boxes = c_null_ptr
  end type

  type, bind(c) :: cufes_grid
    integer(c_int32_t) :: ndim
    type(c_ptr) :: lower, spacing, points
  end type

  integer(c_int32_t), parameter :: cufes_cpu = -1, cufes_gaussian = 1

  interface
    integer(c_int) function cufes_sum_grid(device, hills, grid, values, gradient, run) bind(c)
      import
      integer(c_int32_t), value :: device
      type(cufes_hills), intent(in) :: hills
      type(cufes_grid), intent(in) :: grid
      real(c_double), intent(out) :: values(*)
      type(c_ptr), value :: gradient, run
    end function
  end interface
end module

program main
  use cufes
  implicit none
  real(c_double), target :: centers(2) = [-1.0d0, 1.0d0], heights(2) = [2.0d0, 3.0d0]
  real(c_double), target :: sigma(1) = [0.5d0], not_periodic(1) = [0.0d0]
  real(c_double), target :: lower(1) = [-2.0d0], spacing(1) = [1.0d0]
  integer(c_int64_t), target :: points(1) = [5_c_int64_t]
  real(c_double) :: values(5)
  type(cufes_hills) :: hills
  type(cufes_grid) :: grid
  integer :: k

  hills%ndim = 1
  hills%kernel = cufes_gaussian
  hills%count = 2
  hills%sigma_rows = 1  ! one width for both hills
  hills%centers = c_loc(centers)
  hills%sigmas = c_loc(sigma)
  hills%heights = c_loc(heights)
  hills%periods = c_loc(not_periodic)
  grid = cufes_grid(1, c_loc(lower), c_loc(spacing), c_loc(points))

  if (cufes_sum_grid(cufes_cpu, hills, grid, values, c_null_ptr, c_null_ptr) /= 0) stop 1
  do k = 1, 5
    print '(f4.1, f9.5)', lower(1) + (k - 1) * spacing(1), values(k)
  end do
end program
