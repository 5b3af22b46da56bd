"""The identities that a run of an export is given."""

import hashlib
from collections.abc import AsyncGenerator, Iterable, Sized
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, cast

from canopy_async._api.identity_ids import IdentityIds, ListedId, check_ids, each_id
from canopy_async._read.stream import Stream
from canopy_async.export.manifest_records import Asked, Listed
from canopy_async.models import Identity
from canopy_async.report import ReadReport
from canopy_async.session import CanopySession

__all__ = ["IdentitySource", "hash_of"]


class IdentitySource:
    """Gives each identity once, and tells then which ones these were.

    Args:
        session: What lists the identities of its account.
        identities: Ids, or objects with an ``id``, or a list of the account;
            None for all identities of the account.

    Raises:
        TypeError: It can't be iterated to ids.
        ValueError: It is known to be empty.

    Attributes:
        asked: Which identities are asked for.
        seen: Those that were given so far.
    """

    def __init__(self, session: CanopySession, identities: IdentityIds | None) -> None:
        source = session.identities() if identities is None else identities
        check_ids(source)
        if isinstance(source, Sized) and not source:
            raise ValueError("identities must name at least one identity")
        self._source: Final = source
        self._listing: Final = _listing_of(session, source)
        self.seen: Final[set[str]] = set()
        self._report: ReadReport | None = None
        self._counted = len(source) if isinstance(source, Sized) else None
        self._is_exhausted = False
        self.asked: Final = _asked(self._listing)

    async def ids(self) -> AsyncGenerator[str]:
        """Yield the ids, each once, each when it is asked for.

        Raises:
            TypeError: While iterating: one is neither a str nor has an ``id``.
            ValueError: While iterating: there are none, and no list of the account
                that could be empty.
            CanopyError: While iterating: the account's list can't be read.
        """
        found = each_id(self._source) if self._listing is None else self._listed_ids()
        async with aclosing(found):
            async for identity_id in found:
                if identity_id not in self.seen:
                    self.seen.add(identity_id)
                    yield identity_id
        if self._listing is None and not self.seen:
            raise ValueError("identities must name at least one identity")
        self._is_exhausted = True

    def listed(self, at: datetime) -> Listed | None:
        """Return what was given, None as long as that is not all.

        Args:
            at: The time.
        """
        if not self._is_exhausted:
            return None
        report = self._report
        return Listed(
            at=at,
            identities=len(self.seen),
            sha256=hash_of(self.seen),
            complete=report is None or report.complete,
            proof=None if report is None else report.proof,
            counted=None if report is None else report.expected,
        )

    @property
    def total(self) -> int | None:
        """The number of identities where it is known, else None."""
        return len(self.seen) if self._is_exhausted else self._counted

    @property
    def is_whole_list(self) -> bool:
        """Whether `seen` is the account's list, proven complete."""
        report = self._report
        return self._is_exhausted and report is not None and report.complete

    async def _listed_ids(self) -> AsyncGenerator[str]:
        if self._listing is None:
            return
        async with self._listing.open() as run:
            async for identity in run:
                self._counted = run.progress.total
                yield ListedId(identity.id)
            self._report = run.report


def hash_of(ids: Iterable[str]) -> str:
    """Return the sha256 of ids, sorted, each followed by a line feed."""
    lines = "".join(f"{identity_id}\n" for identity_id in sorted(ids))
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def _listing_of(session: CanopySession, source: Any) -> Stream[Identity] | None:
    """Return a source that is the list of this session's account, else None."""
    if not isinstance(source, Stream):
        return None
    stream = cast("Stream[Identity]", source)
    return stream if session.lists_identities(stream) else None


def _asked(listing: Stream[Identity] | None) -> Asked:
    if listing is None:
        return Asked(kind="selection")
    narrowed = listing.narrowed_by
    return Asked(kind="listing" if narrowed else "all", filter=narrowed or None)
