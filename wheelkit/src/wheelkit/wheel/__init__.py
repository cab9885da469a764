"""A wheel: its archive, its metadata, its ELF files, and where installers put its members."""
