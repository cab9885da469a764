"""Containers in which wheels are built and tried."""
