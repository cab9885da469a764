"""Repairing a wheel: auditwheel first, then every rpath right for the installed place."""
