"""Releasing distributions: the seal, the reports, the gates."""
