"""Ctrl-C while the command line starts or ends: exit at once, without a traceback.

A short command spends most of its time importing modules. A KeyboardInterrupt raised
in an import would be shown as a traceback, or the module that is imported would take
it for another error. No work has begun by then, so no cleanup is needed.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TypeAlias

__all__ = ["end_at_once", "is_command", "raise_again"]

_Handler: TypeAlias = Callable[[int, FrameType | None], object]

_INTERRUPTED = 130


def is_command() -> bool:
    """Tell from ``sys.argv`` whether this process is the command ``canopy-async``."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - fast
    if name == "-m":  # `python -m` has not found the module to run yet
        return "canopy_async" in sys.orig_argv
    return name.startswith("canopy-async")


def end_at_once() -> None:
    """Make Ctrl-C end the process at once, with status 130."""
    _replace(signal.default_int_handler, _end)


def raise_again() -> None:
    """Make Ctrl-C raise KeyboardInterrupt again, which is Python's default."""
    _replace(_end, signal.default_int_handler)


def _replace(before: _Handler, after: _Handler) -> None:
    """Replace the handler of Ctrl-C if it is ``before``; leave any other in place.

    A job that a shell runs in the background ignores Ctrl-C, for example.
    """
    if signal.getsignal(signal.SIGINT) is not before:
        return
    try:
        signal.signal(signal.SIGINT, after)
    except ValueError:
        return  # only the main thread may set handlers


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)
