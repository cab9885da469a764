"""A small project with one compiled module, which needs a library that the repair grafts."""

from setuptools import Extension, setup

openmp = {"extra_compile_args": ["-fopenmp"], "extra_link_args": ["-fopenmp"]}
setup(ext_modules=[Extension("tinykernels", ["tinykernels.c"], **openmp)])
