"""The numbers by which cufes.h names kernels, paths and the CPU."""

# cufes_kernel
STRETCHED_GAUSSIAN = 0
GAUSSIAN = 1
BOXED_GAUSSIAN = 2
LOG_GAUSSIAN = 3

#: What ``plan=`` takes, with the numbers of cufes_path. A sum by Fourier transforms ("nufft") is
#: not made by libcufes, so it has no number of its own.
PATHS = {"auto": 0, "direct": 1, "separable": 2, "truncated": 3, "nufft": 0}

#: The device number that stands for the CPU.
CPU = -1
