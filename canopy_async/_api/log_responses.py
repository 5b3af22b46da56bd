"""Answers of the account's log, without I/O."""

from datetime import datetime
from typing import Final

import msgspec

from canopy_async._api.decoding import has_fine_instants
from canopy_async._api.responses import Response, decoded_by
from canopy_async.models import EventDetail

__all__ = ["detail_from", "ends_of"]


class _Instant(msgspec.Struct, gc=False):
    created_at: datetime


class _Cursor(msgspec.Struct, gc=False):
    next_cursor: str | None


class _Shape(msgspec.Struct, gc=False):
    """A page of which only the instants are read."""

    items: list[_Instant]
    pagination: _Cursor


_shape_of: Final = msgspec.json.Decoder(_Shape).decode


def ends_of(body: bytes) -> tuple[list[datetime], str | None] | None:
    """Return the instants of the rows of a page, and its cursor.

    This takes a fraction of the time of decoding the rows.

    Returns:
        None if the body is not a page, or has an instant that msgspec rounds or does
        not read: decoding the page then says more.
    """
    if has_fine_instants(body):
        return None
    try:
        shape = _shape_of(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    instants = [row.created_at for row in shape.items]
    if any(instant.tzinfo is None for instant in instants):
        return None
    return instants, shape.pagination.next_cursor


def detail_from(response: Response) -> EventDetail:
    """Return the event in an answer with status 200.

    Raises:
        ProtocolError: The answer breaks the contract; names the field.
    """
    # Imported here: cattrs doubles the time that importing this package takes.
    from canopy_async._api.conversion import structure_detail

    def decode(kind: str) -> EventDetail:
        return structure_detail(response.body, content_type=kind)

    return decoded_by(decode, response)
