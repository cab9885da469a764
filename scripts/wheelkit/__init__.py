"""What repair_wheel and verify_wheel share: wheel archives, ELF files, install layouts, policies.

Each module has one topic and knows nothing of any particular wheel.
"""

# Written into every report; raised when a check or the form of the report changes.
__version__ = "1.0"
