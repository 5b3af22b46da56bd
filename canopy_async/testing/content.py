"""The data of a local server: what tests put in, and the truth they compare with."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from canopy_async._util.instants import clamped, moved
from canopy_async.testing.api_instants import (
    Clock,
    as_sort_key,
    as_text,
    as_utc,
    written_sort_key,
)
from canopy_async.testing.dice import Dice
from canopy_async.testing.given_rows import (
    SEED_START,
    event_item,
    given_instant,
    identity_item,
    merged,
)
from canopy_async.testing.sample_data import EventMaker
from canopy_async.testing.server_thread import synchronized
from canopy_async.testing.store import (
    IDENTITIES,
    UNION,
    Item,
    Row,
    Store,
    as_json,
    log_of,
    plain_as_json,
)

_TICK = timedelta(milliseconds=1)
_OF_NO_IDENTITY = ""
_HIDDEN = "hidden"
"""The list of what the account does not see; no list of events has this name."""


class Content:
    """Identities and their events. `LocalCanopy` is one, with a server on top.

    A field given as ``...`` is left out of the row. A ``created_at`` may be a
    datetime, which is served in milliseconds and sorted by its microseconds, or
    text, which is served as it is.
    """

    def __init__(self, *, account: str, path: str, seed: int, clock: Clock) -> None:
        self.account = account
        self.lock = threading.RLock()
        self._path = path
        self._seed = seed
        self._clock = clock
        self._opened: Store | None = None
        self._closed = False
        self._makers: dict[str, EventMaker] = {}
        self._identity_dice = Dice(f"identities of {seed}")
        self._seeded = 0

    @property
    def store(self) -> Store:
        """The database, opened by its first use."""
        return self._opened or self.open_store()

    @synchronized
    def open_store(self) -> Store:
        """Opens the database.

        Returns:
            The database.

        Raises:
            RuntimeError: If it has been closed.
        """
        if self._closed:
            raise RuntimeError("this LocalCanopy has been stopped; its data is closed")
        if self._opened is None:
            self._opened = Store(self._path)
        return self._opened

    @synchronized
    def seed_events(
        self,
        identity: str,
        count: int,
        *,
        start: datetime | str | None = None,
        spacing: float = 30.0,
        tie_probability: float = 0.05,
    ) -> int:
        """Appends realistic events to a log, and creates the identity when new.

        Equal seeds, identities and calls give equal events.

        Args:
            identity: The identity's id.
            count: How many events.
            start: When the first one happened; after the newest one when None, or
                at the start of 2026 when the log is empty.
            spacing: The mean number of seconds between events that do not tie.
            tie_probability: How many share the ``created_at`` of the one before.

        Returns:
            How many events the log has now.

        Example:
            ```python
            server.seed_events("idn_1", 5_000, tie_probability=0.3)
            ```
        """
        self._ensure_identity(identity)
        if start is None:
            start = self._next_instant(identity, SEED_START)
        series = self._maker(identity).series(
            count,
            start=clamped(as_utc(start)),
            spacing=spacing,
            tie_probability=tie_probability,
        )
        items = (
            event_item(row, written_sort_key(row["created_at"]), plain_as_json(row))
            for row in series
        )
        self.store.add(log_of(identity), items)
        return self.count(identity)

    @synchronized
    def seed_identities(self, count: int) -> list[str]:
        """Adds realistic identities.

        Args:
            count: How many.

        Returns:
            Their ids, in the order of the list.
        """
        ids = [self._free_id() for _ in range(count)]
        first = self._identity_count() + 1
        items = [
            self._identity_item(number, {"id": identity})
            for number, identity in enumerate(ids, first)
        ]
        self.store.add(IDENTITIES, items)
        return ids

    @synchronized
    def add_identity(self, *, apps: Iterable[str] = (), **fields: object) -> str:
        """Adds an identity.

        Args:
            apps: The slugs of its applications, which ``not_in_app`` looks at.
            **fields: What its row says; realistic where nothing is given.

        Returns:
            Its id.

        Raises:
            ValueError: If there is one of that id.
        """
        row = fields if "id" in fields else {"id": self._free_id(), **fields}
        identity = str(row["id"])
        if self.has_identity(identity):
            raise ValueError(f"there is an identity {identity!r} already")
        number = self._identity_count() + 1
        self.store.add(IDENTITIES, [self._identity_item(number, row, tuple(apps))])
        return identity

    @synchronized
    def delete_identity(self, identity: str) -> None:
        """Deletes an identity with its events.

        Args:
            identity: The identity's id.

        Raises:
            LookupError: If there is none.
        """
        numbers = self.store.numbers(IDENTITIES, identity)
        if not numbers:
            raise LookupError(f"no identity {identity!r}")
        self.store.remove(IDENTITIES, numbers)
        self.store.clear(log_of(identity))

    @synchronized
    def has_identity(self, identity: str) -> bool:
        """Whether there is an identity of this id."""
        return bool(self.store.numbers(IDENTITIES, identity))

    @synchronized
    def add_event(self, identity: str, /, **fields: object) -> Row:
        """Adds one event to a log, and creates the identity when new.

        Args:
            identity: The identity's id.
            **fields: What its row says, fields of any name; realistic where nothing
                is given. Without a ``created_at`` the event happens now, and at
                least a millisecond after the newest one.

        Returns:
            The row as it is served.

        Example:
            ```python
            server.add_event("idn_1", action="role.created", severity=...)
            server.add_event("idn_1", created_at="2026-01-01T00:00:00.000Z")
            ```
        """
        (row,) = self.add_events(identity, [fields])
        return row

    @synchronized
    def add_events(
        self, identity: str, rows: Iterable[Mapping[str, object]]
    ) -> list[Row]:
        """Adds events to a log in one transaction, as `add_event` would.

        Args:
            identity: The identity's id.
            rows: The fields of each.

        Returns:
            The rows as they are served.
        """
        self._ensure_identity(identity)
        made = list(self._given_items(identity, rows))
        self.store.add(log_of(identity), [item for _, item in made])
        return [row for row, _ in made]

    @synchronized
    def add_account_event(self, *, hidden: bool = False, **fields: object) -> Row:
        """Adds one event that belongs to the account, and to no identity.

        Args:
            hidden: Whether the log of the account does not show it.
            **fields: As in `add_event`.

        Returns:
            The row as it is served.
        """
        ((row, item),) = self._given_items(_OF_NO_IDENTITY, [fields])
        self.store.add(_HIDDEN if hidden else log_of(_OF_NO_IDENTITY), [item])
        return row

    @synchronized
    def account_events(self, *, order: Literal["asc", "desc"] = "desc") -> list[Row]:
        """The events of the log of the account as they are now.

        They are those of all identities, and those that belong to no identity, such as
        the rows that reading this log writes.

        Args:
            order: By ``created_at``; ties by insertion, or the other way round.

        Returns:
            The rows as they are served.
        """
        numbers = [number for _, number in self.store.order(UNION)]
        if order == "desc":
            numbers.reverse()
        return [json.loads(row) for row in self.store.rows(numbers)]

    @synchronized
    def delete_oldest(self, identity: str, n: int = 1) -> list[str]:
        """Deletes the oldest events of a log, as retention does.

        Args:
            identity: The identity's id.
            n: How many at most.

        Returns:
            Their ids.
        """
        return self.store.remove_oldest(log_of(identity), n)

    @synchronized
    def delete_event(self, identity: str, event_id: str) -> None:
        """Deletes one event.

        Args:
            identity: The identity's id.
            event_id: The event's id.

        Raises:
            LookupError: If there is none.
        """
        numbers = self.store.numbers(log_of(identity), event_id)
        if not numbers:
            raise LookupError(f"no event {event_id!r} of identity {identity!r}")
        self.store.remove(log_of(identity), numbers)

    @synchronized
    def events(
        self, identity: str, *, order: Literal["asc", "desc"] = "asc"
    ) -> list[Row]:
        """The events of a log as they are now.

        Args:
            identity: The identity's id.
            order: By ``created_at``; ties by insertion in both orders.

        Returns:
            The rows as they are served.
        """
        rows = self.store.rows(self._numbers(identity, order))
        return [json.loads(row) for row in rows]

    @synchronized
    def event_ids(
        self, identity: str, *, order: Literal["asc", "desc"] = "asc"
    ) -> list[str]:
        """The ids of a log's events as they are now, in the order of `events`."""
        return self.store.ids(self._numbers(identity, order))

    @synchronized
    def count(self, identity: str) -> int:
        """The number of events that a log has now."""
        return len(self.store.order(log_of(identity)))

    @synchronized
    def close_store(self) -> None:
        """Closes the database for good."""
        self._closed = True
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _numbers(self, identity: str, order: str) -> list[int]:
        entries = self.store.order(log_of(identity))
        if order == "desc":
            entries = sorted(entries, key=_instant_of, reverse=True)
        return [number for _, number in entries]

    def _given_items(
        self, identity: str, rows: Iterable[Mapping[str, object]]
    ) -> Iterator[tuple[Row, Item]]:
        maker = self._maker(identity)
        following = self._next_instant(identity, self._clock())
        for fields in rows:
            moment = given_instant(fields.get("created_at"), following)
            row = merged(maker.event(as_text(moment)), fields)
            following = max(following, moved(moment, _TICK))
            yield row, event_item(row, as_sort_key(moment), as_json(row))

    def _next_instant(self, identity: str, earliest: datetime) -> datetime:
        moment = as_utc(as_text(as_utc(earliest)))
        entries = self.store.order(log_of(identity))
        if not entries:
            return moment
        return max(moment, moved(as_utc(entries[-1][0]), _TICK))

    def _maker(self, identity: str) -> EventMaker:
        if identity not in self._makers:
            origin = f"{self._seed}, {identity}, {self.count(identity)}"
            dice = Dice(f"events of {origin}")
            maker = EventMaker(account=self.account, identity=identity, dice=dice)
            self._makers[identity] = maker
        return self._makers[identity]

    def _ensure_identity(self, identity: str) -> None:
        if not self.has_identity(identity):
            self.add_identity(id=identity)

    def _free_id(self) -> str:
        while True:
            self._seeded += 1
            if not self.has_identity(f"idn_{self._seeded}"):
                return f"idn_{self._seeded}"

    def _identity_count(self) -> int:
        return len(self.store.order(IDENTITIES))

    def _identity_item(
        self, number: int, fields: Mapping[str, object], apps: Sequence[str] = ()
    ) -> Item:
        return identity_item(number, fields, apps=apps, dice=self._identity_dice)


def _instant_of(entry: tuple[str, int]) -> str:
    return entry[0]
