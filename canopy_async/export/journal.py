"""The journal of a run: its begin, its commits and its end, as records."""

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
"""Identities of one commit at most."""

_MOST_GAPS: Final = 1_000


class Journal:
    """Keeps the account of one run, and of what the runs before it have left.

    Args:
        asked: Which identities the run is asked to export.
        look_back: How long before its newest event a log is read again.
        standings: Where identities stand, if that is known already.

    Attributes:
        standings: Where each identity stands by now.
        run: The number of the run.
        has_commits: Whether anything was committed, in any run.
        events: New events that the run has committed.
        late: How many of these were committed late.
        new_identities: Identities that the run was the first to read to their end.
        gone: Identities that the account lists no more, as the run has found.
        gaps: Identities of which events may be missing.
        as_of: How far the logs are covered that the run has read to the end.
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
        """Take note of a record of an earlier run."""
        if isinstance(record, Begin):
            self.run = record.run + 1
            self._asked_before = record.asked
        elif isinstance(record, Commit):
            self.has_commits = True
            self.standings.add(record)

    def check(self, where: object) -> None:
        """Refuse to go on with an export of other identities.

        Args:
            where: The directory, named in the error.

        Raises:
            ExportError: The runs before were asked for others.
        """
        before, now = self._asked_before, self._asked
        if before is not None and before != now:
            raise ExportError(
                f"{where} holds an export of {_named(before)}; it can't be gone on with"
                f" as one of {_named(now)}"
            )

    def begin(self, at: datetime) -> Begin:
        """Return the begin of the run.

        Args:
            at: The time by the clock of the machine.
        """
        return Begin(
            run=self.run,
            at=at,
            asked=self._asked,
            look_back=self._look_back.total_seconds(),
            library=LIBRARY,
        )

    def add(self, commit: Commit) -> None:
        """Take note of a commit of this run."""
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
        """Yield commits that name the identities which the account lists no more.

        Args:
            listed: Those that it lists.
            at: The time.
            is_open: Whether the export has no ``until``. With one, an identity
                that is done stays done.
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
        """Return the end of the run.

        Args:
            outcome: How it ends.
            began: When it began, by the server's clock.
            at: The time.
            error: What ends it, where an error does.
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


def _named(asked: Asked) -> str:
    if asked.kind == "all":
        return "all identities"
    if asked.kind == "log":
        return "the account's own log"
    if asked.kind == "selection":
        return "a selection of identities"
    narrowed = (asked.filter or {}).items()
    return f"the identities with {', '.join(f'{n}={value}' for n, value in narrowed)}"
