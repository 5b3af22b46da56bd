"""Identity ids: which inputs are accepted, and the ids that the server lists."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any, Final, TypeAlias

from canopy_async._util.arguments import check_segment
from canopy_async._util.display import clipped
from canopy_async.errors import ProtocolError
from canopy_async.models import Identity

__all__ = [
    "IdentityIds",
    "ListedId",
    "check_ids",
    "check_listed_id",
    "each_id",
    "id_of",
    "shown_id",
]

_LONGEST_SHOWN: Final = 200

IdentityIds: TypeAlias = Iterable[str | Identity] | AsyncIterable[str | Identity]


class ListedId(str):
    """An id that the server listed: if it is invalid, no caller is to blame."""

    __slots__ = ()


def check_ids(source: Any) -> None:
    """Check that a source of ids can be iterated over.

    Raises:
        TypeError: The source is text, or neither an iterable nor an async one.
    """
    if isinstance(source, (str, bytes)) or not isinstance(
        source, (Iterable, AsyncIterable)
    ):
        raise TypeError(
            "identity_ids must be an iterable or an async iterable of ids,"
            f" not {type(source).__name__}"
        )


async def each_id(source: IdentityIds) -> AsyncGenerator[str]:
    """Yield the ids one by one, each when it is asked for.

    Raises:
        TypeError: While iterating: an element is neither a str nor has an ``id``.
    """
    # Asked first: a Stream has an __iter__, too, which only raises an error.
    if not isinstance(source, AsyncIterable):
        for found in source:
            yield id_of(found)
        return
    iterator = aiter(source)
    try:
        async for found in iterator:
            yield id_of(found)
    finally:
        # This iterator was made here, so it ends here; a caller's own does not.
        if iterator is not source and isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def id_of(found: Any) -> str:
    """Return the id of an identity.

    Args:
        found: The id, or an object with an ``id``.

    Returns:
        A `ListedId` for an `Identity`, which the server has listed.

    Raises:
        TypeError: ``found`` is neither a str nor has an ``id``.
    """
    if isinstance(found, Identity):
        return ListedId(found.id)
    identity_id = found if isinstance(found, str) else getattr(found, "id", None)
    if not isinstance(identity_id, str):
        raise TypeError(
            f"an identity must be a str or have an id, not {type(found).__name__}"
        )
    return identity_id


def check_listed_id(identity_id: str) -> None:
    """Check an id that the server has listed.

    Raises:
        ProtocolError: The id is invalid: it is empty, or too long, for example.
    """
    try:
        check_segment("id", identity_id)
    except ValueError as error:
        fault = str(error)
    else:
        return
    shown = shown_id(identity_id)
    raise ProtocolError(f"the server lists {shown}, which can't be an id: {fault}")


def shown_id(identity_id: str) -> str:
    """Return an id as a message quotes it, cut if it is very long."""
    return clipped(repr(identity_id[:_LONGEST_SHOWN]), _LONGEST_SHOWN)
