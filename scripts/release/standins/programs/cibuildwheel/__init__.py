"""Stand-in of cibuildwheel; see __main__.py."""
