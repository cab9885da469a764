"""What runs under the wheel's own interpreter: CPython 3.7 or newer, the standard library only."""
