"""Installing a wheel for real, under the interpreters of this machine."""
