"""Rows of a local server, made of what a test gives and of what is realistic."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from canopy_async.testing.api_instants import as_sort_key, as_text, as_utc
from canopy_async.testing.dice import Dice
from canopy_async.testing.sample_data import make_identity
from canopy_async.testing.store import Item, Row, as_json

__all__ = ["SEED_START", "event_item", "given_instant", "identity_item", "merged"]

SEED_START = datetime(2026, 1, 1, tzinfo=UTC)

_SEARCHED = ("action", "actor_label", "resource_label", "category")
_SEARCHED_IDENTITY = ("email", "first_name", "last_name", "external_id", "id")


def merged(row: Row, fields: Mapping[str, object]) -> Row:
    """A row with fields set over it; ``...`` drops one."""
    given = {
        name: as_text(as_utc(value)) if isinstance(value, datetime) else value
        for name, value in fields.items()
    }
    return {k: v for k, v in (row | given).items() if v is not ...}


def given_instant(value: object, fallback: datetime) -> datetime:
    """The instant that a test gives, or another one where that is no instant."""
    if not isinstance(value, datetime | str):
        return fallback
    try:
        return as_utc(value)
    except ValueError:
        return fallback


def event_item(row: Row, sort_key: str, text: str) -> Item:
    """An event as the store keeps it.

    Args:
        row: Its fields.
        sort_key: Its instant, as `as_sort_key` writes it.
        text: The row as it is served.
    """
    return Item(
        id=str(row.get("id", "")),
        sort_key=sort_key,
        haystack=_haystack(row, _SEARCHED),
        row=text,
    )


def identity_item(
    number: int, fields: Mapping[str, object], *, apps: Sequence[str], dice: Dice
) -> Item:
    """An identity as the store keeps it.

    Args:
        number: Which identity of its server it is, from 1.
        fields: What its row says, with its id; realistic where nothing is given.
        apps: The slugs of its applications.
        dice: Where what is realistic comes from.
    """
    created_at = given_instant(
        fields.get("created_at"), SEED_START + number * timedelta(minutes=1)
    )
    made = make_identity(number, dice, as_text(created_at))
    if apps:
        made["app_membership_count"] = len(apps)
    row = merged({"id": ""} | made, fields)
    return Item(
        id=str(row["id"]),
        sort_key=as_sort_key(created_at),
        haystack=_haystack(row, _SEARCHED_IDENTITY),
        tags=f" {' '.join(apps)} ",
        row=as_json(row),
    )


def _haystack(row: Row, names: Iterable[str]) -> str:
    words = [word for word in map(row.get, names) if isinstance(word, str)]
    return "\n".join(words).casefold()
