"""The summary of an export's run, printed as text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs
import typer

from canopy_async import CanopyError
from canopy_async.cli.terminal.exit import INCOMPLETE, complain
from canopy_async.cli.terminal.render import one_line, visible
from canopy_async.export import RunResult

__all__ = ["Summary", "counted"]

_MOST_NAMED: Final = 100
"""The most failures that are printed; the manifest has all of them."""


@attrs.frozen(kw_only=True)
class Summary:
    """The result of a run of an export, to be told to who has started it.

    Attributes:
        result: The result of the run.
        directory: The directory or URL of the export.
        into: The files that were written, in words.
        until: The ``until`` of the export, None without one.
        secret: The token, which no line may show.
    """

    result: RunResult
    directory: object
    into: str
    until: datetime | None
    secret: str = attrs.field(repr=False)

    def tell_of_identities(self) -> None:
        """Print the result to standard output, gaps and failures to standard error.

        Raises:
            typer.Exit: Some identities could not be read.
        """
        gaps = self.result.gaps
        self._tell_of_events(f"identities: {_identities(self.result)}")
        if gaps:
            complain(
                f"{counted(len(gaps), 'identity', 'identities')} with a gap: the"
                " server had deleted all events that were known, and maybe others that"
                f" were never read; {one_line(gaps[0])} first"
            )
        _tell_of_failures(self.result.failures, secret=self.secret)

    def tell_of_log(self) -> None:
        """Print the result of the account's own log, and its gaps and failures.

        Raises:
            typer.Exit: The log could not be read to its end.
        """
        self._tell_of_events(f"the account's own log: {_log(self.result)}")
        if self.result.gaps:
            complain(
                "the log has a gap: the server had deleted all events that were known,"
                " and maybe others that were never read"
            )
        for error in self.result.failures.values():
            complain(str(error), secret=self.secret)
            complain(
                "the log could not be read to its end: run it again to go on with what"
                " is left"
            )
            raise typer.Exit(INCOMPLETE)

    def _tell_of_events(self, read: str) -> None:
        """Print how many events are new, what was read, and up to which instant.

        Args:
            read: What was read, in words.
        """
        result = self.result
        typer.echo(
            f"{visible(str(self.directory))}: {counted(result.events, 'new event')}"
            f"{_late(result.late)} into {self.into}; {read}"
        )
        _tell_of_time(result, self.until)


def _log(result: RunResult) -> str:
    """Return how far the account's own log was read, in words."""
    if result.skipped:
        return "read to the end before"
    if result.failures:
        return "not read to the end"
    proof = "complete by the proof 'cursor'" if result.complete else "not proven"
    return f"read to the end, {proof}"


def _tell_of_time(result: RunResult, until: datetime | None) -> None:
    """Print the instant up to which the export covers the logs."""
    if result.as_of is not None:
        typer.echo(f"Covered as of {_instant(result.as_of)}, by the server's clock.")
    if result.unsettled_from is not None and until is not None:
        typer.echo(
            f"Events dated from {_instant(result.unsettled_from)} to {_instant(until)}"
            " may still be committed late, and no run of this export looks for them."
            " Without --until, the next run does."
        )


def _identities(result: RunResult) -> str:
    """Return the counts of identities, in words."""
    parts = [
        f"{result.done:,} read",
        f"{result.complete:,} proven complete",
        f"{result.failed:,} failed",
    ]
    for number, words in (
        (result.new_identities, "new"),
        (result.skipped, "done before"),
        (result.gone, "listed no more"),
    ):
        if number:
            parts.append(f"{number:,} {words}")
    return ", ".join(parts)


def _late(late: int) -> str:
    return f", {late:,} of them committed late," if late else ""


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _tell_of_failures(failures: Mapping[str, CanopyError], *, secret: str) -> None:
    """List the identities that could not be read, with their errors.

    Raises:
        typer.Exit: There is at least one.
    """
    if not failures:
        return
    for identity_id, error in list(failures.items())[:_MOST_NAMED]:
        complain(f"{one_line(identity_id)}: {error}", secret=secret)
    unnamed = len(failures) - _MOST_NAMED
    if unnamed > 0:
        complain(f"and {unnamed:,} more, which the manifest names")
    complain(
        f"{counted(len(failures), 'identity', 'identities')} could not be read:"
        " run it again to go on with what is left"
    )
    raise typer.Exit(INCOMPLETE)


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun; ``many`` is the plural if it is irregular."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
