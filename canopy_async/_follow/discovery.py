"""The identities that are followed: named ones, and those that appear later."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import TypeAlias

from canopy_async._api.identity_ids import IdentityIds, check_ids, each_id, id_of
from canopy_async.models import Identity

__all__ = ["Identities", "IdentitySource"]

Identities: TypeAlias = str | Identity | IdentityIds
"""One identity or many, each an id or an object with an ``id``."""


class IdentitySource:
    """The identities to follow, as the caller gave them.

    A single identity and a collection are read at once. Other sources, such as a
    generator or `CanopySession.identities`, are read while following. An async iterable
    that can be iterated more than once is read again and again, for the identities that
    appear later.

    Args:
        identities: One identity, or any iterable or async iterable of identities.

    Raises:
        TypeError: ``identities`` is something else, or an identity in a collection is
            neither a str nor has an ``id``.

    Attributes:
        named: The ids that were read at once.
        changes: Whether the source may name other identities when it is read again.
    """

    def __init__(self, identities: Identities) -> None:
        self.named: tuple[str, ...] = ()
        self.changes = False
        self._rest: IdentityIds = ()
        if isinstance(identities, (str, Identity)):
            self.named = (id_of(identities),)
            return
        check_ids(identities)
        if isinstance(identities, Collection):
            self.named = tuple(id_of(found) for found in identities)
            return
        self._rest = identities
        is_async = hasattr(identities, "__aiter__")
        self.changes = is_async and not isinstance(identities, AsyncIterator)

    async def each(self) -> AsyncGenerator[str]:
        """Yield the ids that were not read at once.

        Raises:
            TypeError: An identity is neither a str nor has an ``id``.
            CanopyError: The identities can't be listed.
        """
        ids = each_id(self._rest)
        try:
            async for identity_id in ids:
                yield identity_id
        finally:
            await ids.aclose()
