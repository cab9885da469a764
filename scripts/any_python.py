"""How a script ends that must run on every CPython that the package supports, 3.7 and up.

The statuses and errors are wheelkit's; its own `run` asks for a newer interpreter.
"""

from __future__ import annotations

import sys
import traceback
from typing import Callable

from wheelkit.report import MACHINE_ERRORS, LackingError, MisusedError, Status


def run(main: Callable[[], int]) -> int:
    """Call `main` and turn what it raises into an exit status; a crash is never a verdict."""
    try:
        return main()
    except MisusedError as error:
        status, message = Status.MISUSED, str(error)
    except Exception as error:
        missing = isinstance(error, OSError) and error.errno in MACHINE_ERRORS
        if missing or isinstance(error, LackingError):
            status, message = Status.LACKING, str(error)
        else:
            traceback.print_exc()
            status, message = Status.INTERNAL, "internal error; please report the traceback above"
    print(f"error: {message}", file=sys.stderr)
    return status
