"""The journal of a run: its records, and the state of each identity."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

from canopy_async._version import __version__
from canopy_async.errors import ExportError
from canopy_async.export.manifest_records import (
    Asked,
    Begin,
    Commit,
    End,
    Failure,
    Outcome,
    Record,
)
from canopy_async.export.standing import Standing, Standings

__all__ = ["LIBRARY", "Journal"]

LIBRARY: Final = f"canopy-async {__version__}"

_ENTRIES: Final = 10_000
"""The most identities in one commit."""

_MOST_GAPS: Final = 1_000


class Journal:
    """Keeps the state of each identity and the counts of the current run.

    Args:
        asked: The identities that the run is asked to export.
        look_back: The length of the time before a log's newest event that is read
            again.
        standings: The state of identities after earlier runs, if known already.

    Attributes:
        standings: The current state of each identity.
        run: The number of the run, from 1.
        has_commits: Whether any run committed anything.
        events: The number of new events that this run committed.
        late: How many of these events were committed late.
        new_identities: The number of identities whose logs this run was the first to
            read to the end.
        gone: The number of exported identities that the account no longer lists.
        gaps: The ids of identities of which events may be missing.
        as_of: The instant up to which the run covered all logs that it read to the
            end, or None if there is none.
    """

    def __init__(
        self,
        asked: Asked,
        look_back: timedelta,
        *,
        standings: Mapping[str, Standing] | None = None,
    ) -> None:
        self._asked: Final = asked
        self._look_back: Final = look_back
        self._asked_before: Asked | None = None
        self._covered = 0
        self._failed = 0
        self.standings: Final = Standings(standings or {})
        self.run = 1
        self.has_commits = False
        self.events = 0
        self.late = 0
        self.new_identities = 0
        self.gone = 0
        self.gaps: Final[list[str]] = []
        self.as_of: datetime | None = None

    def restore(self, record: Record) -> None:
        """Add a record of an earlier run."""
        if isinstance(record, Begin):
            self.run = record.run + 1
            self._asked_before = record.asked
        elif isinstance(record, Commit):
            self.has_commits = True
            self.standings.add(record)

    def check(self, where: object) -> None:
        """Check that the run is asked for the same identities as the runs before.

        Args:
            where: The directory, for the error message.

        Raises:
            ExportError: The runs before were asked for other identities.
        """
        before, now = self._asked_before, self._asked
        if before is not None and before != now:
            raise ExportError(
                f"{where} holds an export of {_named(before)}; it can't be continued as"
                f" an export of {_named(now)}"
            )

    def begin(self, at: datetime) -> Begin:
        """Return the record of the run's begin.

        Args:
            at: The time by this machine's clock.
        """
        return Begin(
            run=self.run,
            at=at,
            asked=self._asked,
            look_back=self._look_back.total_seconds(),
            library=LIBRARY,
        )

    def add(self, commit: Commit) -> None:
        """Add a commit of this run."""
        self.has_commits = True
        instants: list[datetime] = []
        if commit.unchanged_as_of is not None:
            instants.append(commit.unchanged_as_of)
        self._covered += len(commit.unchanged)
        for entry in commit.identities:
            self.events += entry.events
            self.late += entry.late
            is_new = self.standings.of(entry.id).as_of is None
            self.new_identities += is_new and entry.state == "done"
            self._failed += entry.state == "failed"
            self._covered += entry.state == "done"
            if entry.state == "done" and entry.as_of is not None:
                instants.append(entry.as_of)
            if entry.gap is not None and len(self.gaps) < _MOST_GAPS:
                self.gaps.append(entry.id)
        if instants:
            earliest = min(instants)
            self.as_of = earliest if self.as_of is None else min(self.as_of, earliest)
        self.standings.add(commit)

    def commits_of_gone(
        self, listed: AbstractSet[str], at: datetime, *, is_open: bool
    ) -> Iterator[Commit]:
        """Yield commits for exported identities that the account no longer lists.

        Args:
            listed: The ids that the account lists.
            at: The time of the commits.
            is_open: Whether the export has no ``until``. In an export with ``until``,
                an identity that is done stays done.
        """
        gone = [
            standing.gone(name)
            for name, standing in self.standings.items()
            if name not in listed
            and standing.state != "gone"
            and (is_open or standing.state != "done")
        ]
        self.gone = len(gone)
        for start in range(0, len(gone), _ENTRIES):
            yield Commit(at=at, identities=tuple(gone[start : start + _ENTRIES]))

    def end(
        self,
        outcome: Outcome,
        *,
        began: datetime | None,
        at: datetime,
        error: BaseException | None = None,
    ) -> End:
        """Return the record of the run's end.

        Args:
            outcome: The outcome of the run.
            began: The begin of the run by the server's clock, or None if unknown.
            at: The time of the end.
            error: The error that ended the run, if any.
        """
        return End(
            run=self.run,
            began=began,
            at=at,
            outcome=outcome,
            error=None if error is None else Failure.of(error),
            events=self.events,
            late=self.late,
            covered=self._covered,
            failed=self._failed,
            new_identities=self.new_identities,
            as_of=self.as_of,
        )

    def broken_off(
        self, error: BaseException, *, began: datetime | None, at: datetime
    ) -> End:
        """Return the end record of a run that an error or a signal ended early.

        Args:
            error: The error that ended the run.
            began: The begin of the run by the server's clock, or None if unknown.
            at: The time of the end.
        """
        if isinstance(error, Exception):
            return self.end("failed", began=began, at=at, error=error)
        return self.end("stopped", began=began, at=at)

    def note_of_kept(self, where: object) -> str:
        """Return a note for the error that ends the run, on the events that are kept.

        Args:
            where: The directory, or its URL.
        """
        return (
            f"{self.events:,} events of this run are kept in {where}: run the export"
            " again to go on"
        )


def _named(asked: Asked) -> str:
    if asked.kind == "all":
        return "all identities"
    if asked.kind == "log":
        return "the account's own log"
    if asked.kind == "selection":
        return "a selection of identities"
    narrowed = (asked.filter or {}).items()
    return f"the identities with {', '.join(f'{n}={value}' for n, value in narrowed)}"
