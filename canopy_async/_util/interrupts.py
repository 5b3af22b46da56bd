"""Signals while the command line starts or ends: exit at once, without a traceback.

A short command spends most of its time importing modules. A KeyboardInterrupt raised
in an import would be shown as a traceback, or the module that is imported would take
it for another error. No work has begun by then, so no cleanup is needed.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, TypeAlias

__all__ = ["end_at_once", "end_process", "is_command", "raise_again"]

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | signal.Handlers

_FIRST_PROCESS: Final = 1


def is_command() -> bool:
    """Tell from ``sys.argv`` whether this process is the command ``canopy-async``."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - fast
    if name == "-m":  # `python -m` has not found the module to run yet
        return "canopy_async" in sys.orig_argv
    return name.startswith("canopy-async")


def end_at_once() -> None:
    """Make Ctrl-C end the process at once, with status 130.

    SIGTERM ends the first process of a container as well, with status 143. Without a
    handler, the kernel drops SIGTERM for that process.
    """
    _replace(signal.SIGINT, signal.default_int_handler, end_process)
    if os.getpid() == _FIRST_PROCESS:
        _replace(signal.SIGTERM, signal.SIG_DFL, end_process)


def raise_again() -> None:
    """Make Ctrl-C raise KeyboardInterrupt again, which is Python's default."""
    _replace(signal.SIGINT, end_process, signal.default_int_handler)


def end_process(number: int, _frame: FrameType | None) -> None:
    """Handle a signal: end the process at once, with 128 and its number as status."""
    os._exit(128 + number)


def _replace(number: signal.Signals, before: _Handler, after: _Handler) -> None:
    """Replace the handler of a signal if it is ``before``; leave any other in place.

    A job that a shell runs in the background ignores Ctrl-C, for example.
    """
    if signal.getsignal(number) is not before:
        return
    try:
        signal.signal(number, after)
    except ValueError:
        return  # only the main thread may set handlers
