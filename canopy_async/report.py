"""Reports: what a read has read, and what it can prove."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import attrs

from canopy_async._util.public import publish

__all__ = ["AccountReport", "Progress", "Proof", "ReadReport", "weakest"]


class Proof(StrEnum):
    """The proof behind ``ReadReport.complete``, the strongest first."""

    STRICT_KEY = "strict-key"
    SHARED_ID = "shared-id"
    COUNT = "count"
    FENCE = "fence"
    CURSOR = "cursor"
    NONE = "none"


def weakest(proofs: Iterable[Proof]) -> Proof:
    """Return the weakest of some proofs; of none, the strongest that there is."""
    return max(proofs, key=list(Proof).index, default=Proof.STRICT_KEY)


@attrs.frozen(kw_only=True)
class Progress:
    """The progress of a read.

    Attributes:
        seen: Events handed out so far.
        total: Events the read expects by the server's last count, or None
            before the first answer. An estimate: the log moves.
        requests: Requests sent so far, retries included.
    """

    seen: int = 0
    total: int | None = None
    requests: int = 0


@attrs.frozen(kw_only=True)
class ReadReport:
    """The report of one pass over a list: what was read, and what it proves.

    Attributes:
        complete: Whether the read reached its end and ``proof`` holds for all
            of it. Never true where ``proof`` is ``none``.
        proof: The weakest certificate that the read leans on.
        expected: Rows the server counted when the read began, None before
            the first answer.
        delivered: Rows handed out.
        duplicates: Rows that came again in an overlap and were dropped.
        late: Rows that appeared behind the place already read; they were not
            in the list when the read began, and were not handed out.
        purged: Rows counted at the start that were gone before they could be
            read: at least so many.
        repairs: Seams that did not hold at first and were bridged.
        requests: Requests sent, retries included.
        retries: How many of the requests were repeats.
        order_observed: ``asc`` or ``desc`` as seen in the rows, None where
            they did not tell.
        order_ignored: Whether the server kept another order than was asked.
        warnings: What else is worth knowing, one sentence each.
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
    """What one pass over the log of an account read, and what it can prove.

    Its ``proof`` is ``cursor``. It rests on what the server does, and each answer is
    checked against it: rows come in the order of their time, and a request shows all
    rows between its bounds. Two requests after one another share a millisecond, and
    must show the rows in it alike. The server does not count this log, so ``expected``
    is None.

    Attributes:
        since: From when on events were asked for.
        until: Up to when events were asked for; without an ``until`` of the read, a
            day ahead.
        slices: Parts of that time that were read side by side.
        seams: Milliseconds with events that two requests showed alike.
    """

    since: datetime | None = None
    until: datetime | None = None
    slices: int = 0
    seams: int = 0


publish("canopy_async", AccountReport, Progress, Proof, ReadReport)
