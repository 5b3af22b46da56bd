"""Rows as text: JSON lines and tables.

All text of a server passes through `visible` or `json_lines`, so that no control
character reaches the terminal.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from canopy_async import AuditEvent, Identity, Proof, ReadReport
from canopy_async.cli.terminal.visible_text import one_line, visible

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "event_table",
    "field_table",
    "fields_line",
    "identity_table",
    "in_words",
    "json_lines",
    "one_line",
    "visible",
    "wire_of",
]


def json_lines(rows: Iterable[AuditEvent | Identity]) -> bytes:
    """Return the wire form of each row as a line of JSON, in UTF-8.

    Characters that JSON need not escape but that act on a terminal are escaped, too:
    DEL, C1 controls, bidirectional overrides and line separators. The parsed values
    stay the same.
    """
    return b"".join(map(_json_line, rows))


def event_table(
    events: Iterable[AuditEvent], *, width: int, header: bool = True
) -> "Table":
    """Return events as a table. Its columns depend only on ``width``."""
    columns = _EVENT_COLUMNS if width >= _WIDE else _EVENT_COLUMNS[:-1]
    return _table(columns, events, header=header)


def identity_table(
    identities: Iterable[Identity], *, width: int, header: bool = True
) -> "Table":
    """Return identities as a table. Its columns depend only on ``width``."""
    columns = _IDENTITY_COLUMNS if width >= _WIDE else _IDENTITY_COLUMNS[:-1]
    return _table(columns, identities, header=header)


def field_table(
    names: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    width: int,
    header: bool = True,
) -> "Table":
    """Return the named fields of rows as a table, a column for each field."""
    del width  # rich divides the console's width between the columns
    columns = [_field_column(name) for name in names]
    return _table(columns, rows, header=header)


def wire_of(row: AuditEvent | Identity) -> dict[str, Any]:
    """Return all fields of a row by name, including unknown ones.

    The result is that of ``canopy_async.converter``, but instants stay datetimes. It
    takes half the time.
    """
    names, values = _FIELDS[type(row)]
    return {**row.extra, **dict(zip(names, values(row), strict=True))}


def fields_line(fields: Mapping[str, Any]) -> bytes:
    """Return fields as a line of JSON, escaped as by `json_lines`."""
    return _escaped(msgspec.json.encode(fields))


def in_words(report: ReadReport) -> str:
    """Return a sentence on what a read can prove."""
    if report.complete:
        return f"complete: {_PROOFS[report.proof]}"
    if report.proof is Proof.NONE:
        return "not proven: plain pages do not show what moved between them"
    return f"not complete: up to here, {_PROOFS[report.proof]}"


_PROOFS: Final = {
    Proof.STRICT_KEY: (
        "every page overlaps the next one in strict order of time, so no event"
        " can have slipped between them"
    ),
    Proof.SHARED_ID: "every page shares an event with the one before it",
    Proof.COUNT: "as many different events as the server counted, all through",
    Proof.FENCE: "the first page read again at the end was still the same",
    Proof.CURSOR: (
        "the log was read by time, and every two requests after one another showed the"
        " events between them alike"
    ),
    Proof.NONE: "nothing to lean on",
}


def _json_line(row: AuditEvent | Identity) -> bytes:
    return _escaped(msgspec.json.encode(wire_of(row)))


def _escaped(line: bytes) -> bytes:
    if line.isascii() and b"\x7f" not in line:  # the encoder escapes the rest
        return line + b"\n"
    text = line.decode()
    if not text.isprintable():
        text = "".join(map(_json_visible, text))
    return text.encode() + b"\n"


def _json_visible(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(
        f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2)
    )


def _fields_of(cls: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], Any]]:
    names = tuple(field.name for field in attrs.fields(cls) if field.name != "extra")
    return names, attrgetter(*names)


_FIELDS: Final = {cls: _fields_of(cls) for cls in (AuditEvent, Identity)}


@attrs.frozen
class _Column:
    """A column of a table, with a fixed width or a share of the remaining width."""

    name: str
    value: Callable[[Any], object]
    width: int | None = None
    share: int | None = None
    styles: dict[str, str] = attrs.field(factory=dict[str, str])


def _field_column(name: str) -> _Column:
    fixed = {"created_at": 20, "outcome": 7, "severity": 8}
    styles = {"outcome": _OUTCOMES, "severity": _SEVERITIES}

    def value(row: Mapping[str, Any]) -> object:
        found = row[name]
        if isinstance(found, datetime):
            return _moment(found)
        if isinstance(found, dict):
            return msgspec.json.encode(found).decode()
        return found

    width = fixed.get(name)
    return _Column(
        name,
        value,
        width=width,
        share=None if width else 1,
        styles=styles.get(name, {}),
    )


def _instant(row: AuditEvent | Identity) -> str | None:
    return None if row.created_at is None else _moment(row.created_at)


def _moment(moment: datetime) -> str:
    try:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    except OverflowError:  # at an end of the calendar, UTC has no such datetime
        return moment.isoformat()


def _actor(event: AuditEvent) -> str:
    return event.actor_label or event.actor_id or event.actor_type


def _resource(event: AuditEvent) -> str | None:
    return event.resource_id or event.resource_label or event.resource_type


def _name(identity: Identity) -> str:
    return " ".join(filter(None, (identity.first_name, identity.last_name)))


def _activity(identity: Identity) -> str | None:
    if identity.is_active is None:
        return None
    return "active" if identity.is_active else "inactive"


_WIDE: Final = 100
_OUTCOMES: Final = {"success": "green", "failure": "red", "denied": "magenta"}
_SEVERITIES: Final = {"notice": "cyan", "warning": "yellow", "critical": "bold red"}
_EVENT_COLUMNS: Final[Sequence[_Column]] = (
    _Column("created_at", _instant, width=20),
    _Column("action", attrgetter("action"), share=4),
    _Column("outcome", attrgetter("outcome"), width=7, styles=_OUTCOMES),
    _Column("severity", attrgetter("severity"), width=8, styles=_SEVERITIES),
    _Column("actor", _actor, share=3),
    _Column("resource", _resource, share=3),
)
_IDENTITY_COLUMNS: Final[Sequence[_Column]] = (
    _Column("id", attrgetter("id"), share=3),
    _Column("email", attrgetter("email"), share=4),
    _Column("status", _activity, width=8, styles={"inactive": "yellow"}),
    _Column("created_at", _instant, width=20),
    _Column("name", _name, share=3),
)


def _table(columns: Sequence[_Column], rows: Iterable[Any], *, header: bool) -> "Table":
    from rich.table import Table  # slow, and not needed for JSON
    from rich.text import Text  # slow, and not needed for JSON

    table = Table(box=None, expand=True, pad_edge=False, show_header=header)
    for column in columns:
        table.add_column(
            column.name,
            width=column.width,
            ratio=column.share,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        values = [(column, _shown(column.value(row))) for column in columns]
        # Text objects, as rich would interpret a str as markup.
        table.add_row(
            *(Text(value, column.styles.get(value, "")) for column, value in values)
        )
    return table


def _shown(value: object) -> str:
    return "" if value is None else visible(str(value))
