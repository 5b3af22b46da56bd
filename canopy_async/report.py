"""Reports: the counts of a read, and the proof that it is complete."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import attrs

from canopy_async._util.public import publish

__all__ = ["AccountReport", "Progress", "Proof", "ReadReport", "weakest"]


class Proof(StrEnum):
    """The kind of proof behind ``ReadReport.complete``, from strongest to weakest."""

    STRICT_KEY = "strict-key"
    SHARED_ID = "shared-id"
    COUNT = "count"
    FENCE = "fence"
    CURSOR = "cursor"
    NONE = "none"


def weakest(proofs: Iterable[Proof]) -> Proof:
    """Return the weakest of ``proofs``; ``Proof.STRICT_KEY`` if there are none."""
    return max(proofs, key=list(Proof).index, default=Proof.STRICT_KEY)


@attrs.frozen(kw_only=True)
class Progress:
    """The progress of a read.

    Attributes:
        seen: The number of events handed out so far.
        total: An estimate of the number of events in the read, from the server's last
            count; the log may change. None before the first response.
        requests: The number of requests sent so far, including retries.
    """

    seen: int = 0
    total: int | None = None
    requests: int = 0


@attrs.frozen(kw_only=True)
class ReadReport:
    """The report of one pass over a list: its counts, and whether it is complete.

    Attributes:
        complete: Whether the read reached its end or its limit, and ``proof`` holds
            for all of it. Never true if ``proof`` is ``none``.
        proof: The weakest kind of proof that the read depends on.
        expected: The server's count of rows when the read began, or None before the
            first response.
        delivered: The number of rows handed out.
        duplicates: The number of rows that were received twice in an overlap of two
            requests, and dropped.
        late: The number of rows that appeared in a part that was already read. They
            were not in the list when the read began, and were not handed out.
        purged: The number of rows, at least, that the server counted at the start and
            removed before they could be read.
        repairs: The number of times that two answers did not join, so that further
            requests were needed.
        requests: The number of requests sent, including retries.
        retries: The number of requests that were retries.
        order_observed: ``asc`` or ``desc`` as observed in the rows, or None if they
            did not show it.
        order_ignored: Whether the server used another order than was requested.
        warnings: Further findings, one sentence each.
    """

    complete: bool = False
    proof: Proof = Proof.NONE
    expected: int | None = None
    delivered: int = 0
    duplicates: int = 0
    late: int = 0
    purged: int = 0
    repairs: int = 0
    requests: int = 0
    retries: int = 0
    order_observed: str | None = None
    order_ignored: bool = False
    warnings: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class AccountReport(ReadReport):
    """The report of one pass over the log of an account.

    Its ``proof`` is ``cursor``. This proof assumes that the server returns rows in the
    order of their time, and all rows between the bounds of a request. Each answer is
    checked for that: two requests in a row share one millisecond, and must return the
    same rows in it. The server does not count this log, so ``expected`` is None.

    Attributes:
        since: The start of the requested range.
        until: The end of the requested range; one day ahead if the read had no
            ``until``.
        slices: The number of parts of the range that were read concurrently.
        seams: The number of shared milliseconds with events, in which two requests
            returned the same rows.
    """

    since: datetime | None = None
    until: datetime | None = None
    slices: int = 0
    seams: int = 0


publish("canopy_async", AccountReport, Progress, Proof, ReadReport)
