"""Hills, samples, kernels, grids and surfaces: what the numbers mean. Reads and writes nothing."""
