"""Every exception and warning that cyfes raises on purpose.

Each message says what was found, what was expected and what to do about it.
"""


class CyfesError(Exception):
    """Base class of all errors of cyfes."""


class InputError(CyfesError, ValueError):
    """An argument or a file cannot be used: wrong shape, value, name or option."""


class HillsFileError(InputError):
    """A HILLS file cannot be read; the message begins with ``file:line``."""


class DeviceError(CyfesError, RuntimeError):
    """The device that was asked for is absent, unsupported, or failed."""


class DeviceMemoryError(DeviceError, MemoryError):
    """The device has too little free memory for the sum."""


class LibraryError(CyfesError, ImportError):
    """The compiled part of cyfes is missing, unloadable, or of another version."""


class MissingDependencyError(CyfesError, ImportError):
    """An optional package is needed for what was asked, and is not installed."""


class CyfesWarning(UserWarning):
    """Something was done in another way than asked or expected; the message says how."""
