"""The data: hills, samples, OPES kernels, grids and surfaces; without reading and writing."""
