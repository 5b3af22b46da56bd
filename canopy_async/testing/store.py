"""The rows of a local server, in SQLite."""

import json
import sqlite3
from bisect import insort
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import msgspec

Row = dict[str, Any]
Entry = tuple[str, int]
"""The sort key of a row and its number, which grows with every insert."""

IDENTITIES = "identities"
"""The name of the list of identities."""

UNION = "audit/*"
"""The name of all lists of events together: what an account sees."""

_OF_UNION = "audit/"
_VIEWS = 16
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PLAIN_ENCODER = msgspec.json.Encoder()

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY,
    list TEXT NOT NULL,
    id TEXT NOT NULL,
    sort_key TEXT NOT NULL,
    haystack TEXT NOT NULL,
    tags TEXT NOT NULL,
    row TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS items_in_order ON items (list, sort_key, number);
CREATE INDEX IF NOT EXISTS items_by_id ON items (list, id);
CREATE INDEX IF NOT EXISTS items_by_id_alone ON items (id);
"""
_INSERT = """
INSERT INTO items (number, list, id, sort_key, haystack, tags, row)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_TIMELINE = """
SELECT sort_key, number FROM items WHERE list = ? ORDER BY sort_key, number
"""
_UNION_TIMELINE = """
SELECT sort_key, number FROM items WHERE list GLOB 'audit/*' ORDER BY sort_key, number
"""
_UNION_VIEW = """
SELECT sort_key, number FROM items
WHERE list GLOB 'audit/*' AND instr(haystack, ?) > 0
    AND (? = '[]' OR json_extract(row, '$.action') IN (SELECT value FROM json_each(?)))
    AND NOT EXISTS (
        SELECT 1 FROM json_each(?) AS wanted
        WHERE json_extract(items.row, '$.' || wanted.key) IS NOT wanted.value
    )
ORDER BY sort_key, number
"""
_UNION_ROWS = """
SELECT row FROM items
WHERE list GLOB 'audit/*' AND json_extract(row, '$.' || ?) = ?
ORDER BY sort_key, number
"""
_UNION_ROWS_BY_ID = """
SELECT row FROM items WHERE list GLOB 'audit/*' AND id = ? ORDER BY number
"""
_ROWS = """
SELECT number, row FROM items WHERE number IN (SELECT value FROM json_each(?))
"""
_IDS = """
SELECT number, id FROM items WHERE number IN (SELECT value FROM json_each(?))
"""
_VIEW = """
SELECT
    CASE :sort_by
        WHEN 'created_at' THEN sort_key
        ELSE COALESCE(CAST(json_extract(row, '$.' || :sort_by) AS TEXT), '')
    END AS sorted_by,
    number
FROM items
WHERE list = :list
    AND instr(haystack, :term) > 0
    AND (:active IS NULL OR :active = json_extract(row, '$.is_active'))
    AND (
        :assigned IS NULL
        OR :assigned = (COALESCE(json_extract(row, '$.total_assignments'), 0) > 0)
    )
    AND (:without_tag IS NULL OR instr(tags, :without_tag) = 0)
ORDER BY sorted_by, number
"""


def log_of(identity: str) -> str:
    """The name of the list that holds the events of an identity."""
    return f"{_OF_UNION}{identity}"


@attrs.frozen(kw_only=True)
class Item:
    """One row with what it is found and sorted by.

    Attributes:
        id: Its id; more than one row of a list may share it.
        sort_key: Its instant, as text that sorts like time.
        haystack: The text that a search term is looked for in, case folded.
        tags: Words with a space on either side of each.
        row: What is served, as JSON.
    """

    id: str
    sort_key: str
    haystack: str
    tags: str = ""
    row: str


@attrs.frozen(kw_only=True)
class View:
    """A selection of a list's rows, and the column it is sorted by."""

    sort_by: str = "created_at"
    term: str = ""
    active: bool | None = None
    assigned: bool | None = None
    without_tag: str | None = None


@attrs.frozen(kw_only=True)
class LogView:
    """A selection of the rows of an account.

    Attributes:
        term: What is looked for in the text of rows.
        actions: The actions, any of which may match; none for all.
        fields: Fields that must have a value, by name.
    """

    term: str = ""
    actions: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


WHOLE_LIST = View()
WHOLE_LOG = LogView()


class Store:
    """Named lists of rows in one SQLite table, with their order kept in memory.

    SQLite walks over every row that an OFFSET skips. The order of each list in
    use is therefore kept as a sorted Python list as well, and a page is a slice
    of it and one look-up by row numbers.
    """

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)
        (newest,) = self._db.execute("SELECT max(number) FROM items").fetchone()
        self._number: int = newest or 0
        self._timelines: dict[str, list[Entry]] = {}
        self._views: OrderedDict[tuple[str, View | LogView], list[Entry]] = (
            OrderedDict()
        )

    def close(self) -> None:
        """Closes the database; the rows of a file stay in it."""
        self._db.close()

    def add(self, name: str, items: Iterable[Item]) -> int:
        """Inserts rows in one transaction.

        Args:
            name: The list.
            items: The rows, in the order of their insertion. An iterator that makes
                them may read the list, and sees it half inserted.

        Returns:
            How many they were.
        """
        added: list[Entry] = []
        # An order that is read while rows are on their way must not be kept.
        names = _lists_with(name)
        timelines = {one: self._timelines.pop(one, None) for one in names}
        try:
            with self._db:
                self._db.executemany(_INSERT, self._numbered(name, items, added))
        finally:
            for one in names:
                self._forget(one)
        for one, timeline in timelines.items():
            if timeline is not None:
                self._timelines[one] = _extended(timeline, added)
        return len(added)

    def remove(self, name: str, numbers: Iterable[int]) -> None:
        """Deletes rows by their numbers."""
        with self._db:
            self._db.executemany(
                "DELETE FROM items WHERE list = ? AND number = ?",
                [(name, number) for number in numbers],
            )
        for one in _lists_with(name):
            self._forget(one)

    def remove_oldest(self, name: str, count: int) -> list[str]:
        """Deletes the first rows of a list.

        Args:
            name: The list.
            count: How many at most.

        Returns:
            The ids of the deleted rows.
        """
        timeline = self._timeline(name)
        numbers = [number for _, number in timeline[:count]]
        ids = self.ids(numbers)
        self.remove(name, numbers)
        self._timelines[name] = timeline[count:]
        return ids

    def clear(self, name: str) -> None:
        """Deletes every row of a list."""
        with self._db:
            self._db.execute("DELETE FROM items WHERE list = ?", (name,))
        for one in _lists_with(name):
            self._forget(one)

    def numbers(self, name: str, item_id: str) -> list[int]:
        """The numbers of the rows with this id."""
        found = self._db.execute(
            "SELECT number FROM items WHERE list = ? AND id = ?", (name, item_id)
        )
        return [number for (number,) in found]

    def union_rows(self, field: str, value: str) -> list[str]:
        """The rows of all lists of events with a value, as JSON, oldest first.

        Args:
            field: The name of a field.
            value: Its value.
        """
        if field == "id":
            found = self._db.execute(_UNION_ROWS_BY_ID, (value,))
        else:
            found = self._db.execute(_UNION_ROWS, (field, value))
        return [row for (row,) in found]

    def order(self, name: str, view: View | LogView = WHOLE_LIST) -> Sequence[Entry]:
        """The order of a list, ascending, ties by insertion.

        Args:
            name: The list.
            view: Which of its rows, sorted by what.

        Returns:
            The entries. They are live: slice them before the next write.
        """
        if view in (WHOLE_LIST, WHOLE_LOG):
            return self._timeline(name)
        key = (name, view)
        if key not in self._views:
            self._views[key] = (
                self._select_view(name, view)
                if isinstance(view, View)
                else self._select_log(view)
            )
            if len(self._views) > _VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(key)
        return self._views[key]

    def rows(self, numbers: Sequence[int]) -> list[str]:
        """The rows of these numbers, as JSON, in the order of the numbers."""
        found = self._by_number(_ROWS, numbers)
        return [found[number] for number in numbers if number in found]

    def ids(self, numbers: Sequence[int]) -> list[str]:
        """The ids of the rows of these numbers, in the order of the numbers."""
        found = self._by_number(_IDS, numbers)
        return [found[number] for number in numbers if number in found]

    def _numbered(
        self, name: str, items: Iterable[Item], added: list[Entry]
    ) -> Iterable[tuple[int, str, str, str, str, str, str]]:
        for item in items:
            self._number += 1
            added.append((item.sort_key, self._number))
            yield (
                self._number,
                name,
                item.id,
                item.sort_key,
                item.haystack,
                item.tags,
                item.row,
            )

    def _timeline(self, name: str) -> list[Entry]:
        if name not in self._timelines:
            self._timelines[name] = (
                self._db.execute(_UNION_TIMELINE).fetchall()
                if name == UNION
                else self._db.execute(_TIMELINE, (name,)).fetchall()
            )
        return self._timelines[name]

    def _select_view(self, name: str, view: View) -> list[Entry]:
        parameters = attrs.asdict(view) | {"list": name, "term": view.term.casefold()}
        return self._db.execute(_VIEW, parameters).fetchall()

    def _select_log(self, view: LogView) -> list[Entry]:
        actions = json.dumps(view.actions)
        fields = json.dumps(dict(view.fields))
        asked = (view.term.casefold(), actions, actions, fields)
        return self._db.execute(_UNION_VIEW, asked).fetchall()

    def _forget(self, name: str) -> None:
        self._timelines.pop(name, None)
        for key in [key for key in self._views if key[0] == name]:
            del self._views[key]

    def _by_number(self, lookup: str, numbers: Sequence[int]) -> dict[int, str]:
        return dict(self._db.execute(lookup, (json.dumps(numbers),)).fetchall())


def as_json(value: object) -> str:
    """Writes JSON as a server does: compact, and only lone surrogates escaped."""
    text = _ENCODER.encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def plain_as_json(row: Row) -> str:
    """Writes a row of strings, numbers and the like as `as_json` does, but faster.

    Values of other types, and numbers that JSON does not have, come out differently.
    """
    try:
        return _PLAIN_ENCODER.encode(row).decode()
    except UnicodeEncodeError:
        return as_json(row)


def _lists_with(name: str) -> tuple[str, ...]:
    """Names the lists that a row of a list is in."""
    return (name, UNION) if name.startswith(_OF_UNION) else (name,)


def _extended(timeline: list[Entry], added: list[Entry]) -> list[Entry]:
    if len(added) == 1:
        insort(timeline, added[0])
        return timeline
    timeline.extend(added)
    timeline.sort()
    return timeline
