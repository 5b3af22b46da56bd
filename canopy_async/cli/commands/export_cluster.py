"""``canopy-async export`` with ``--workers`` or ``--dask``."""

import logging
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final

import typer

from canopy_async import CanopyError, RetryPolicy
from canopy_async.cli.commands.events import Account
from canopy_async.cli.commands.export import Cluster, notes_shown
from canopy_async.cli.export_summary import Summary, counted
from canopy_async.cli.terminal.exit import (
    FAILED,
    INTERRUPTED,
    argument_checks,
    complain,
    end_at_once,
)

__all__ = ["export_on_cluster"]

_VARIABLE: Final = "CANOPY_TOKEN"
_PROXY: Final = "CANOPY_PROXY"
_callbacks: Final = logging.getLogger("tornado.application")
_EVERY: Final = 5.0
"""Seconds between lines of progress."""


def export_on_cluster(
    account: Account,
    identity_ids: Sequence[str] | None,
    directory: str,
    cluster: Cluster,
    *,
    until: datetime | None,
    **options: Any,
) -> None:
    """Export events on a cluster, and say on standard output what was done.

    Args:
        account: Where to read; its token is for workers that are started here.
        identity_ids: The identities, each once; None for all.
        directory: Where to write.
        cluster: What to run on.
        until: The first instant that is not wanted, None for no end.
        **options: As `canopy_async.distributed.export` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        typer.Exit: It did not end well; standard error says why.
    """
    options["retry"] = RetryPolicy(deadline=account.patience)
    if account.base_url is not None:
        options["base_url"] = account.base_url
    options["ca_file"], options["allow_http"] = account.ca_file, account.allow_http
    options["proxy"] = account.proxy
    secrets: dict[str, str] = {}
    if cluster.workers is not None:
        secrets = _secrets_of(account)
        options["proxy"] = f"env:{_PROXY}" if _PROXY in secrets else None
    try:
        from canopy_async.distributed import export  # an extra
    except ModuleNotFoundError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    try:
        with (
            _interruptible() as interrupts,
            argument_checks(token="--token-from"),  # noqa: S106 - a flag
            notes_shown(account.token),
            _client(cluster, secrets) as client,
        ):
            result = export(
                client,
                identity_ids,
                directory,
                account=account.slug,
                token=cluster.token_from or f"env:{_VARIABLE}",
                until=until,
                on_progress=_Lines(interrupts, quiet=account.quiet),
                **options,
            )
    except (CanopyError, OSError) as error:
        complain(str(error), secret=account.token)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    files, tasks = counted(result.files, "file"), counted(result.tasks, "task")
    summary = Summary(
        result=result,
        directory=result.directory,
        into=f"{files} by {tasks}",
        until=until,
        secret=account.token,
    )
    summary.tell_of_identities()


def _secrets_of(account: Account) -> dict[str, str]:
    """Return the environment variables that worker processes alone get.

    No other process inherits them: Dask starts some that have no use for a token.
    """
    found = {_VARIABLE: account.token, _PROXY: account.proxy_to_use()}
    for variable in found:
        os.environ.pop(variable, None)
    return {variable: value for variable, value in found.items() if value}


@contextmanager
def _client(cluster: Cluster, secrets: Mapping[str, str]) -> Generator[Any]:
    from canopy_async.distributed import (  # an extra
        connected,
        local_cluster,
    )

    if cluster.workers is not None:
        with local_cluster(cluster.workers, env=secrets) as client:
            yield client
    elif cluster.address is not None:
        with connected(cluster.address) as client:
            yield client


class _Interrupts:
    """Ends a run by the signals that ask for it, and remembers that it was asked.

    What a handler raises is lost where it runs while an object is being freed, of
    which Dask frees many. So it is raised again when the run tells of itself.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None

    def __call__(self, number: int, _: object) -> None:
        """Handle a signal; a second one ends the process at once."""
        if self._reason is not None:
            end_at_once(number, None)
        is_ctrl_c = number == signal.SIGINT
        self._reason = KeyboardInterrupt() if is_ctrl_c else SystemExit(128 + number)
        raise self._reason

    def check(self) -> None:
        """Raise what was raised before."""
        if self._reason is not None:
            raise self._reason

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be shown.

        Where a call of Dask is interrupted before it began, Dask cancels what is
        not there yet, and the loop shows the traceback of a NameError.
        """
        kind = record.exc_info[0] if record.exc_info else None
        return self._reason is None or kind is not NameError


@contextmanager
def _interruptible() -> Generator[_Interrupts]:
    """Let SIGTERM end the tasks as Ctrl-C does."""
    interrupts = _Interrupts()
    usual: Final[dict[int, Any]] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    taken = [number for number in usual if signal.getsignal(number) is usual[number]]
    for number in taken:
        signal.signal(number, interrupts)
    _callbacks.addFilter(interrupts)
    try:
        yield interrupts
    finally:
        _callbacks.removeFilter(interrupts)
        for number in taken:
            signal.signal(number, usual[number])


class _Lines:
    """Says how far it is, now and then."""

    def __init__(
        self,
        interrupts: _Interrupts,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interrupts: Final = interrupts
        self._quiet: Final = quiet
        self._clock: Final = clock
        self._next = clock() + _EVERY

    def __call__(self, progress: Any) -> None:
        """Take what the export tells."""
        self._interrupts.check()
        now = self._clock()
        if self._quiet or now < self._next:
            return
        self._next = now + _EVERY
        ended = progress.done + progress.failed + progress.skipped
        with suppress(OSError):
            typer.echo(
                f"{progress.tasks_done:,} of {counted(progress.tasks, 'task')},"
                f" {counted(ended, 'identity', 'identities')},"
                f" {counted(progress.events, 'event')}, {progress.failed:,} failed",
                err=True,
            )
