"""Signals while the command line starts and ends: an end at once, without a traceback.

Most of what a short command takes is importing, and an exception that is raised in
the middle of that would be shown, or be taken for something else by what is imported.
Nothing has begun by then that would have to be ended well.
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
    """Tell whether this process is the command line, by how it was started."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - fast
    if name == "-m":  # while `python -m` looks for what it is to run
        return "canopy_async" in sys.orig_argv
    return name.startswith("canopy-async")


def end_at_once() -> None:
    """From now on, let Ctrl-C end the process at once, with status 130.

    The first process of a container is ended by SIGTERM as well, with status 143: by
    default, that signal does nothing to it.
    """
    _replace(signal.SIGINT, signal.default_int_handler, end_process)
    if os.getpid() == _FIRST_PROCESS:
        _replace(signal.SIGTERM, signal.SIG_DFL, end_process)


def raise_again() -> None:
    """From now on, let Ctrl-C raise KeyboardInterrupt, as it does by default."""
    _replace(signal.SIGINT, end_process, signal.default_int_handler)


def end_process(number: int, _frame: FrameType | None) -> None:
    """Handle a signal: end the process at once, with the status of that signal."""
    os._exit(128 + number)


def _replace(number: signal.Signals, before: _Handler, after: _Handler) -> None:
    """Set a handler, unless another one is there: a shell's job may ignore Ctrl-C."""
    if signal.getsignal(number) is not before:
        return
    try:
        signal.signal(number, after)
    except ValueError:
        return  # not in the main thread
