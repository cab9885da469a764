"""What `wheelkit smoke` runs; the page docs/your_wheels.md explains it."""

PACKAGE = "tinykernels"


def run_kernels(tinykernels, device):
    """Compare the sum with the formula n (n + 1) / 2."""
    error = abs(tinykernels.sum(1000) - 500500) / 500500
    return {
        "device": {"id": "cuda:0" if device == "cuda" else "cpu", "name": device},
        "driver": None,
        "kernels": [{"name": "sum", "dtype": "float64", "max_error": error, "limit": 1e-12}],
    }
