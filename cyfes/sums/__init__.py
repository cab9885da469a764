"""The sums of hills, samples and OPES kernels, which return surfaces."""
