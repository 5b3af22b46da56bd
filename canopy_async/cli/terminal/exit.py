"""The end of a command: signals, one line for an error, the exit status."""

import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO

import typer

from canopy_async import CanopyError
from canopy_async._util.redaction import redacted
from canopy_async.cli.terminal.visible_text import one_line

__all__ = [
    "argument_checks",
    "complain",
    "end_at_closed_pipe",
    "end_at_once",
    "ended_by_sigterm",
    "guarded",
    "run",
    "umask_of",
]

FAILED: Final = 1
INCOMPLETE: Final = 3
"""Some of what was asked for could not be had; the rest is there."""

INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141
"""What a shell says of a program that SIGPIPE ended: the output is not whole."""

_MOST_READ: Final = 10_000
"""Characters of a message that are looked at: more than a line shows."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_ALL_PERMISSIONS: Final = 0o777

_FLAGS: Final = {
    "account": "--account",
    "token": "--token",
    "identity_id": "IDENTITY",
    "identities": "IDENTITY",
    "event_id": "EVENT_ID",
    "action": "--action",
    "category": "--category",
    "severity": "--severity",
    "outcome": "--outcome",
    "actor_id": "--actor-id",
    "actor_type": "--actor-type",
    "resource_type": "--resource-type",
    "resource_id": "--resource-id",
    "correlation_id": "--correlation-id",
    "application_id": "--application-id",
    "environment_id": "--environment-id",
    "q": "--q",
    "order": "--order",
    "sort_by": "--sort-by",
    "status": "--status",
    "limit": "--limit",
    "take": "--take",
    "concurrency": "--concurrency",
    "deadline": "--patience",
    "proxy": "--proxy",
    "ca_file": "--ca-file",
    "base_url": "--base-url",
    "umask": "--umask",
    "max_rate": "--max-rate",
    "width": "--width",
    "format": "--format",
    "since": "--since",
    "until": "--until",
    "look_back": "--look-back",
    "max_file_bytes": "--max-file-bytes",
    "directory": "--out",
    "workers": "--workers",
}


def guarded(app: Callable[[], object]) -> int:
    """Run ``app`` and return the status to exit with.

    Args:
        app: Ends with ``SystemExit``, as a typer app does.
    """
    _forget_impossible_sizes()
    for stream in _standard_streams():
        _escape_what_cannot_be_encoded(stream)
    try:
        status = _status(app)
        for stream in _standard_streams():
            stream.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return CLOSED_PIPE
    except OSError as error:
        _drop_output()
        complain(_reason(error))
        return FAILED
    return status


def run(
    main: Coroutine[Any, Any, None], *, secret: str = "", ends_by_signal: bool = False
) -> None:
    """Run ``main`` in an event loop until it ends or a signal cancels it.

    Args:
        main: Cleans up when it is cancelled, by SIGINT or SIGTERM.
        secret: What no error line may show.
        ends_by_signal: Whether a signal is the way it is meant to end.

    Raises:
        typer.Exit: It did not end well; standard error says why.
    """
    # Not at the top: help and wrong usage need neither, and they take time.
    import asyncio
    import sqlite3

    received: list[int] = []
    watched = _until_signal(main, received)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        asyncio.run(watched)
    except BrokenPipeError:
        end_at_closed_pipe()
    except (CanopyError, OSError, sqlite3.Error) as error:
        complain(_reason(error), secret=secret)
        raise typer.Exit(FAILED) from None
    else:
        if received and not ends_by_signal:
            raise typer.Exit(128 + received[0])
    finally:
        # After a first signal, another one ends the process at once, up to its end.
        if not received:
            for number, handler in before.items():
                signal.signal(number, handler)
        # An interrupt may come before the loop is there to begin them.
        watched.close()
        main.close()


def end_at_closed_pipe() -> None:
    """End the command because the reader of its output went away.

    Raises:
        typer.Exit: Always.
    """
    _drop_output()
    raise typer.Exit(CLOSED_PIPE) from None


def complain(message: str, *, secret: str = "") -> None:
    """Write one line to standard error, whatever ``message`` holds.

    Args:
        message: What to say; what is beyond a line's length is cut off.
        secret: A token that is not shown, however it is escaped.
    """
    if secret:
        message = redacted(message, secret, _MOST_READ)
    with suppress(OSError):
        typer.echo(f"canopy-async: {one_line(message)}", err=True)


def umask_of(text: str) -> int:
    """Return the permissions that a text of octal digits names.

    Raises:
        typer.BadParameter: It names none.
    """
    if re.fullmatch("[0-7]{1,4}", text) is None or int(text, 8) > _ALL_PERMISSIONS:
        raise typer.BadParameter("must be octal, 000 to 777", param_hint="--umask")
    return int(text, 8)


@contextmanager
def ended_by_sigterm() -> Generator[None, None, None]:
    """Let SIGTERM end the block, with status 143 and its ``finally`` clauses.

    By default it ends a process without a word, and does nothing at all where the
    process is the first one of a container.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit_by_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_by_signal(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def argument_checks(**flags: str) -> Generator[None, None, None]:
    """Turn what the library says of an argument into wrong usage of its flag.

    Args:
        **flags: The flag of an argument that is not given by its usual one.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        message = str(error)
        name, _, rest = message.partition(" ")
        flag = flags.get(name, _FLAGS.get(name))
        text = one_line(rest if flag else message)
        raise typer.BadParameter(text, param_hint=flag) from None


async def _until_signal(main: Coroutine[Any, Any, None], received: list[int]) -> None:
    """Run ``main`` until it ends or a signal cancels it.

    From then on, another signal ends the process at once: also while the loop waits
    for its threads, which is after this.

    Args:
        main: Cleans up when it is cancelled.
        received: Gets the number of the signal.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    watched = [
        number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    ]

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()
        # Blocked meanwhile: between the two calls, the default handler is there.
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        for each in watched:
            loop.remove_signal_handler(each)
            signal.signal(each, end_at_once)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)

    for number in watched:  # a shell's background jobs ignore SIGINT
        # Windows has no such handlers; asyncio.run itself cancels on Ctrl-C.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop, number)
    try:
        await task
    except (asyncio.CancelledError, Exception):
        if not received:
            raise


def end_at_once(number: int, _frame: object) -> None:
    """End the process on a second signal: cleaning up must not trap anyone.

    An exception would be raised wherever the process is, in the middle of what must
    not be left half done; then the clean-up itself might wait for ever.
    """
    for stream in _standard_streams():
        with suppress(Exception):
            stream.flush()
    os._exit(128 + number)


def _forget_impossible_sizes() -> None:
    """Take a terminal of no columns, as some containers have it, for an unknown one."""
    for variable in ("COLUMNS", "LINES"):
        if not os.environ.get(variable, "1").strip("0"):
            del os.environ[variable]


def _status(app: Callable[[], object]) -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    return 0


def _reason(error: Exception) -> str:
    strerror: str | None = getattr(error, "strerror", None)
    return strerror or str(error) or type(error).__name__


def _standard_streams() -> list[TextIO]:
    # Python sets those that were closed from the start to None.
    streams: list[TextIO | None] = [sys.stdout, sys.stderr]
    return [stream for stream in streams if stream is not None]


def _escape_what_cannot_be_encoded(stream: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that exiting can't fail on it."""
    with suppress(OSError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
