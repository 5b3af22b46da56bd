"""The command line ``canopy-async``. It needs the extra ``cli``."""

import gc
import sys
from importlib import import_module

from canopy_async._util.interrupts import end_at_once, raise_again

__all__ = ["main"]

_EXTRA = ("rich", "typer")
_NEW_OBJECTS = 5_000
"""The number of new objects after which Python's garbage collector runs."""


def main() -> None:
    """Run the command line and exit with its status.

    The status is 0 after success, 1 after an error of the API, the network or this
    machine, 2 for wrong usage, 3 if some identities could not be exported, 130 if
    interrupted, and 141 if the reader of the output closed the pipe.
    """
    end_at_once()
    try:
        for name in _EXTRA:
            import_module(name)
        # Imported here, as these modules need typer and rich.
        from canopy_async.cli.app import app
        from canopy_async.cli.terminal.exit import guarded
    except ModuleNotFoundError:
        sys.exit(
            "canopy-async: the command line needs the packages typer and rich: install"
            " this library with its extra 'cli'"
        )
    finally:
        raise_again()

    # The process is only used for this command, so tune the garbage collector: imported
    # modules stay until the end, and pages leave little garbage.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    status = guarded(app)
    end_at_once()
    sys.exit(status)
