"""Events made for a test, without a server."""

from datetime import datetime
from enum import Enum
from itertools import count
from typing import Any

import canopy_async
from canopy_async._util.public import publish
from canopy_async.testing.api_instants import as_text, as_utc
from canopy_async.testing.dice import Dice
from canopy_async.testing.given_rows import SEED_START, merged
from canopy_async.testing.sample_data import EventMaker

__all__ = ["make_event"]

_made = count(1)


def make_event(**fields: Any) -> "canopy_async.AuditEvent":
    """Makes an event for a test: realistic, with the fields that are given.

    Args:
        **fields: As the API names them; a ``created_at`` may be a datetime or text,
            an enum its member or text. A field that the library does not know is
            kept in ``extra``, and one that is ``...`` is left out.

    Returns:
        An event, with an id that no other made event of this process has.

    Raises:
        ValueError: A field has a value that no event has; names it.

    Example:
        ```python
        event = make_event(action="role.created", severity="critical")
        assert is_alarming(event)
        ```
    """
    number = next(_made)
    maker = EventMaker(
        account="acme", identity="idn_1", dice=Dice(f"a made event {number}")
    )
    plain = {name: _plain(value) for name, value in fields.items()}
    row = merged(maker.event(as_text(SEED_START)), {"id": f"evt_made_{number}"} | plain)
    try:
        return canopy_async.converter.structure(row, canopy_async.AuditEvent)
    except Exception as error:  # noqa: BLE001 - whatever cattrs raises
        raise ValueError(f"no event has these fields: {_reason(error)}") from None


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return as_text(as_utc(value)) if isinstance(value, datetime) else value


def _reason(error: BaseException) -> str:
    """Says what the innermost error says, with the field that it is about."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if inner:
        return _reason(inner[0])
    notes = "; ".join(str(note) for note in getattr(error, "__notes__", ()))
    return f"{error} ({notes})" if notes else str(error)


publish("canopy_async.testing", make_event)
