"""The commands of the command line, one module each; `cyfes.cli` lists and loads them."""
