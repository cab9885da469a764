"""What a run has to say beyond one surface: errors, convergence, offsets; and test runs."""
