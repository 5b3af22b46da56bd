"""The command line, ``canopy-async``; needs the extra ``cli``."""

import gc
import sys
from importlib import import_module

from canopy_async._util.interrupts import end_at_once, raise_again

__all__ = ["main"]

_EXTRA = ("rich", "typer")
_NEW_OBJECTS = 5_000
"""How many are made before they are searched for garbage."""


def main() -> None:
    """Run the command line and exit with its status.

    The status is 0 when all went well, 1 after an error of the API, the
    network or this machine, 2 for wrong usage, 3 when some identities could not
    be exported, 130 when interrupted, and 141
    when the reader of the output went away.
    """
    end_at_once()
    try:
        for name in _EXTRA:
            import_module(name)
        # Not at the top: these import what was just looked for.
        from canopy_async.cli.app import app
        from canopy_async.cli.terminal.exit import guarded
    except ModuleNotFoundError:
        sys.exit(
            "canopy-async: the command line needs the packages typer and rich: install"
            " this library with its extra 'cli'"
        )
    finally:
        raise_again()

    # This process is ours: what was imported lasts, and pages leave little garbage.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    status = guarded(app)
    end_at_once()
    sys.exit(status)
