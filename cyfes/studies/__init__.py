"""Studies of a run: errors, convergence, the offset of the bias; and runs on known surfaces."""
