"""The end of a command: signals, error lines and the exit status."""

import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO

import typer

from canopy_async import CanopyError
from canopy_async._util.interrupts import end_process
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
"""The exit status if some of the requested identities could not be read."""

INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141
"""The exit status if the reader of the output left: as of a program that SIGPIPE ends.
"""

_MOST_CHARACTERS: Final = 10_000
"""The most characters of a message that are processed; a line shows fewer."""

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
        app: A function that ends with ``SystemExit``, such as a typer app.
    """
    _ignore_zero_sizes()
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
        main: The coroutine. SIGINT and SIGTERM cancel it, and it must clean up then.
        secret: The token, which error lines must not show.
        ends_by_signal: Whether a signal is the normal end of the command.

    Raises:
        typer.Exit: The command failed, after an error line on standard error, or was
            interrupted.
    """
    # Imported here, as they take time and help and usage errors need neither.
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
        # After a first signal, keep the handler that ends the process at once.
        if not received:
            for number, handler in before.items():
                signal.signal(number, handler)
        # Close both coroutines, which an early interrupt may leave unstarted.
        watched.close()
        main.close()


def end_at_closed_pipe() -> None:
    """End the command, because the reader of its output closed the pipe.

    Raises:
        typer.Exit: Always.
    """
    _drop_output()
    raise typer.Exit(CLOSED_PIPE) from None


def complain(message: str, *, secret: str = "") -> None:
    """Write a message to standard error as one line, with invisible text escaped.

    Args:
        message: The message. A very long one is cut.
        secret: A token to redact, also where it is escaped.
    """
    if secret:
        message = redacted(message, secret, _MOST_CHARACTERS)
    with suppress(OSError):
        typer.echo(f"canopy-async: {one_line(message)}", err=True)


def umask_of(text: str) -> int:
    """Parse a umask from octal digits.

    Raises:
        typer.BadParameter: The text is not an octal number from 000 to 777.
    """
    if re.fullmatch("[0-7]{1,4}", text) is None or int(text, 8) > _ALL_PERMISSIONS:
        raise typer.BadParameter("must be octal, 000 to 777", param_hint="--umask")
    return int(text, 8)


@contextmanager
def ended_by_sigterm() -> Generator[None, None, None]:
    """Make SIGTERM raise SystemExit(143) in the ``with`` block, so that it cleans up.

    By default, SIGTERM ends a process without any cleanup, and is ignored by the first
    process of a container.
    """
    before = signal.getsignal(signal.SIGTERM)
    if before not in {signal.SIG_DFL, end_process}:
        yield
        return
    signal.signal(signal.SIGTERM, _exit_by_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit_by_signal(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def argument_checks(**flags: str) -> Generator[None, None, None]:
    """Turn the library's errors about arguments into usage errors of their flags.

    Args:
        **flags: The flags of arguments whose flags differ from the usual ones.
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

    After the first signal, another one ends the process at once, even after the return
    of this coroutine, while the event loop waits for its threads.

    Args:
        main: The coroutine to run.
        received: The number of the signal is appended to this list.
    """
    import asyncio  # as in `run`

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    watched = [
        number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    ]

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()
        # Signals are blocked, as the default handler is active between the two calls.
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        for each in watched:
            loop.remove_signal_handler(each)
            signal.signal(each, end_at_once)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)

    for number in watched:  # without SIGINT in a background job of a shell
        # On Windows a loop has no signal handlers, but asyncio.run cancels on Ctrl-C.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop, number)
    try:
        await task
    except (asyncio.CancelledError, Exception):
        if not received:
            raise


def end_at_once(number: int, _frame: object) -> None:
    """Exit at once on a second signal, as the cleanup after the first may hang.

    An exception would not do: it could be raised at any place, even inside the cleanup,
    which might then wait for ever.
    """
    for stream in _standard_streams():
        with suppress(Exception):
            stream.flush()
    os._exit(128 + number)


def _ignore_zero_sizes() -> None:
    """Unset COLUMNS and LINES if they are 0, as in some containers."""
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
    # A stream that was closed when Python started is None.
    streams: list[TextIO | None] = [sys.stdout, sys.stderr]
    return [stream for stream in streams if stream is not None]


def _escape_what_cannot_be_encoded(stream: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Discard buffered output, so that flushing it at exit can't fail."""
    with suppress(OSError, AttributeError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
