"""Files: one module for each format, which reads and writes it."""
