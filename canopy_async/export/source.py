"""The identities of a run: from the account's list, or from the caller."""

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
    """Yields the id of each identity once, and records which were yielded.

    Args:
        session: The session that lists the identities of the account.
        identities: Ids, or objects with an ``id``, or a stream of
            `CanopySession.identities`; None for all identities of the account.

    Raises:
        TypeError: ``identities`` is no iterable of ids.
        ValueError: ``identities`` is empty.

    Attributes:
        asked: The identities that the run is asked to export.
        seen: The ids that were yielded so far.
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
        """Yield each id once, without reading ahead.

        Raises:
            TypeError: While iterating: an identity is neither a str nor has an ``id``.
            ValueError: While iterating: the caller named no identity. The account's
                list may be empty.
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
        """Return the record of all ids, or None until all were yielded.

        Args:
            at: The time of the record.
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
        """The number of identities, or None if it is not known yet."""
        return len(self.seen) if self._is_exhausted else self._counted

    @property
    def is_whole_list(self) -> bool:
        """Whether `seen` has all ids of the account's list, proven complete."""
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
    """Return the source if it is a list of this session's account, else None."""
    if not isinstance(source, Stream):
        return None
    stream = cast("Stream[Identity]", source)
    return stream if session.lists_identities(stream) else None


def _asked(listing: Stream[Identity] | None) -> Asked:
    if listing is None:
        return Asked(kind="selection")
    narrowed = listing.narrowed_by
    return Asked(kind="listing" if narrowed else "all", filter=narrowed or None)
