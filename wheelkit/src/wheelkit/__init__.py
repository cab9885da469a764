"""Repair, verify, smoke-test and release wheels that bring CUDA or other native libraries.

The command `wheelkit` has a verb for each stage. The folders, in the order in which they may import
each other:

- `target`: what runs under the wheel's own interpreter, CPython 3.7 or newer
- `base`: what every stage uses
- `wheel`: a wheel as an archive, its metadata, its ELF files, and where installers put them
- `install`: trial installations with real interpreters
- `checks`: the checks of a finished wheel, and their catalogue
- `repair`: auditwheel, then every rpath right for the installed place
- `containers`: container engines, and the images in which wheels are built and tried
- `release`: the seal of a release, the reports of its stages, and its gates
- `cli`: the command
"""

# Written into every report; raised when a check or the form of the report changes.
__version__ = "1.0"
