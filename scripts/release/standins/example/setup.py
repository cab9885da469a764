"""A small project with one compiled module, which needs a library that the repair grafts."""

from setuptools import Extension, setup

openmp = ["-fopenmp"]
module = Extension("tinykernels", ["tinykernels.c"], extra_compile_args=openmp, extra_link_args=openmp)
setup(ext_modules=[module])
