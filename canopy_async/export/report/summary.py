"""The summary of an export's events, in one pass and bounded memory."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, TypeAlias

import attrs

from canopy_async.export.batches import Batch, Row
from canopy_async.export.report.audit import Audit, AuditBuilder
from canopy_async.export.report.ranking import Ranking, Standings
from canopy_async.export.report.timeline import Timeline, TimelineCounter

__all__ = ["Actor", "Summary", "SummaryBuilder", "summarize"]

ROOM: Final = 50_000
"""Different actors, and actions, that are told apart at most."""

_LEAST_SPARE: Final = 2_000
"""Rows beyond those that are kept which may wait before they are sorted."""

_MOST_TEXTS: Final = 100_000
_OFTEN_SHARED: Final = ("actor_id", "actor_label", "resource_type", "category")

_ActorKey: TypeAlias = tuple[str, str | None, str | None]
"""The type and the id of an actor, or its type and its label if it has no id."""

_created_at: Final = attrgetter("created_at")


@attrs.frozen(kw_only=True)
class Actor:
    """Whoever did something.

    Attributes:
        type: What kind of actor.
        id: Its id, None where the log has none.
        label: What it was last called, None where the log does not say.
    """

    type: str
    id: str | None
    label: str | None


@attrs.frozen(kw_only=True)
class Summary:
    """The summary of the events of an export.

    Attributes:
        events: How many there are.
        first: When the earliest was, in microseconds since 1970; None without any.
        last: When the latest was.
        timeline: How many there were when.
        actors: The most active actors.
        actions: The most frequent actions.
        troubled_actors: The actors with most failures and denials.
        troubled_actions: The actions that failed or were denied most often.
        latest: The latest events, the newest first.
        audit: What an auditor asks of them.
    """

    events: int
    first: int | None
    last: int | None
    timeline: Timeline
    actors: Ranking[Actor]
    actions: Ranking[str]
    troubled_actors: Ranking[Actor]
    troubled_actions: Ranking[str]
    latest: Sequence[Row]
    audit: Audit


def summarize(
    batches: Iterable[Batch],
    *,
    latest: int = 2_000,
    top: int = 10,
    room: int = ROOM,
) -> Summary:
    """Read rows once and add them up.

    Args:
        batches: The rows, in any order.
        latest: How many of the latest events to keep.
        top: How many entries a ranking has at most.
        room: How many different actors, and how many actions, are told apart at
            most, which bounds memory; rankings say what that costs them.

    Returns:
        What they add up to.
    """
    builder = SummaryBuilder(latest=latest, room=room)
    for batch in batches:
        builder.add(batch)
    return builder.result(top)


class SummaryBuilder:
    """Counts rows, some at a time.

    Args:
        latest: How many of the latest events to keep.
        room: How many different actors, and how many actions, are told apart at
            most.
    """

    def __init__(self, *, latest: int, room: int = ROOM) -> None:
        self._events = 0
        self._first: int | None = None
        self._last: int | None = None
        self._timeline: Final = TimelineCounter()
        self._actors: Final = _Actors(room)
        self._actions: Final = Standings[str].with_room(room)
        self._latest: Final = _Latest(latest)
        self._audit: Final = AuditBuilder()

    def add(self, batch: Batch) -> None:
        """Count some rows."""
        first, last = batch.span()
        self._events += len(batch)
        self._first = first if self._first is None else min(first, self._first)
        self._last = last if self._last is None else max(last, self._last)
        self._timeline.add(batch)
        self._actors.add(batch)
        self._actions.add(
            [
                (action, outcome, n)
                for (action, outcome), n in batch.counts("action", "outcome")
            ]
        )
        self._latest.add(batch)
        self._audit.add(batch)

    def result(self, top: int) -> Summary:
        """Return what all rows add up to.

        Args:
            top: How many entries a ranking has at most.
        """
        timeline = self._timeline.result()
        outcomes = timeline.totals["outcome"]
        trouble = outcomes.get("failure", 0) + outcomes.get("denied", 0)
        return Summary(
            events=self._events,
            first=self._first,
            last=self._last,
            timeline=timeline,
            actors=self._actors.most_active(top, of=self._events),
            actions=self._actions.most_active(top, of=self._events),
            troubled_actors=self._actors.most_troubled(top, of=trouble),
            troubled_actions=self._actions.most_troubled(top, of=trouble),
            latest=self._latest.result(),
            audit=self._audit.result(),
        )


class _Actors:
    """The standings of actors: whoever has an id may be called this and that."""

    def __init__(self, room: int) -> None:
        self._room: Final = room
        self._standings: Final = Standings[_ActorKey].with_room(room)
        self._labels: dict[_ActorKey, str] = {}

    def add(self, batch: Batch) -> None:
        names = ("actor_type", "actor_id", "actor_label", "outcome")
        counts: list[tuple[_ActorKey, str, int]] = []
        for (kind, actor_id, label, outcome), n in batch.counts(*names):
            key = kind, actor_id, (label if actor_id is None else None)
            counts.append((key, outcome, n))
            if actor_id is not None and label is not None:
                self._labels[key] = label
        self._standings.add(counts)
        if len(self._labels) > 2 * self._room:
            self._labels = {
                key: label
                for key, label in self._labels.items()
                if key in self._standings
            }

    def most_active(self, top: int, *, of: int) -> Ranking[Actor]:
        return self._standings.most_active(top, of=of).renamed(self._actor)

    def most_troubled(self, top: int, *, of: int) -> Ranking[Actor]:
        return self._standings.most_troubled(top, of=of).renamed(self._actor)

    def _actor(self, key: _ActorKey) -> Actor:
        kind, actor_id, label = key
        return Actor(type=kind, id=actor_id, label=self._labels.get(key, label))


class _Latest:
    """The latest rows of any number."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._rows: list[Row] = []
        self._floor: int | None = None
        self._texts: dict[str, str] = {}

    def add(self, batch: Batch) -> None:
        found = batch.latest(self._most, after=self._floor)
        self._share_texts(found)
        self._rows += found
        if len(self._rows) > self._most + max(self._most // 4, _LEAST_SPARE):
            self._trim()

    def _share_texts(self, rows: Sequence[Row]) -> None:
        """Keep each text once: rows of a log have most of their texts in common."""
        if len(self._texts) > _MOST_TEXTS:
            self._texts = {}
        share = self._texts.setdefault
        for row in rows:
            row.identity_id = share(row.identity_id, row.identity_id)
            row.action = share(row.action, row.action)
            row.outcome = share(row.outcome, row.outcome)
            row.severity = share(row.severity, row.severity)
            row.actor_type = share(row.actor_type, row.actor_type)
            for name in _OFTEN_SHARED:
                value: str | None = getattr(row, name)
                if value is not None:
                    setattr(row, name, share(value, value))

    def result(self) -> Sequence[Row]:
        self._trim()
        return self._rows

    def _trim(self) -> None:
        self._rows.sort(key=_created_at, reverse=True)
        del self._rows[self._most :]
        if len(self._rows) == self._most:
            self._floor = self._rows[-1].created_at
