"""The version of cyfes: the one place where it is written."""

__version__ = "5.0.0.dev0"
