"""The split of a giant log: instants that cut the rest of it into parts."""

from datetime import datetime
from typing import Final

import attrs

from canopy_async.checkpoint import Checkpoint
from canopy_async.distributed.work import Job
from canopy_async.errors import CanopyError, UnauthorizedError
from canopy_async.report import Proof
from canopy_async.session import CanopySession

__all__ = ["Split", "split_of"]

MAX_PARTS: Final = 64
"""Parts that a log is split into at a time; each may be split again."""

_WHOLE: Final = frozenset((Proof.STRICT_KEY, Proof.COUNT))
"""Proofs that do not weaken those of what comes after."""


@attrs.frozen(kw_only=True)
class Split:
    """The instants at which the rest of a log is split.

    Attributes:
        bounds: Instants, oldest first.
        limit: Events of each part at most, None where it has to be read in one go.
    """

    bounds: tuple[datetime, ...] = ()
    limit: int | None = None


async def split_of(
    session: CanopySession,
    job: Job,
    identity_id: str,
    checkpoint: Checkpoint,
    *,
    until: datetime | None,
) -> Split:
    """Return where to split what is left of a log after a checkpoint.

    The parts are to have equally many events: each instant is that of the
    event which is at its place now, one small request for each. It need not be
    there any more when the parts are read. They are ranges of time that leave
    nothing out, whatever moves meanwhile, and each is proven from bound to
    bound: whatever lies before an instant is in the part before it, and the
    rest, the instant itself included, in the part that begins there.

    Args:
        session: The session that asks.
        job: The options of the run.
        identity_id: The identity.
        checkpoint: The place where the rest begins.
        until: The instant where it ends, None for the end of the export's range.

    Raises:
        UnauthorizedError: The token was refused.
    """
    if checkpoint.order != "asc" or checkpoint.proof not in _WHOLE:
        return Split()  # no part could be proven
    try:
        return await _split(session, job, identity_id, checkpoint, until)
    except UnauthorizedError:
        raise
    except CanopyError:
        return Split()


async def _split(
    session: CanopySession,
    job: Job,
    identity_id: str,
    checkpoint: Checkpoint,
    until: datetime | None,
) -> Split:
    # Of what is dated ahead of its time, no part can be proven to be over.
    ends = filter(None, (until or job.header.until, session.server_time))
    end = min(ends, default=None)

    async def row(number: int) -> tuple[int, datetime | None]:
        page = await session.page(
            identity_id, number, take=1, order="asc", q=job.header.q
        )
        at = page.items[0].created_at if page.items else None
        return page.pagination.item_count, at

    count, _ = await row(1)
    left = max(0, count - checkpoint.position)
    parts = min(MAX_PARTS, -(-left // job.split_over))
    bounds: list[datetime] = []
    newest = checkpoint.key
    for part in range(1, parts):
        _, at = await row(checkpoint.position + left * part // parts + 1)
        if at is None or (end is not None and at >= end):
            break
        if newest is None or at > newest:
            bounds.append(at)
            newest = at
    share = left // max(1, parts)
    return Split(bounds=tuple(bounds), limit=2 * max(share, job.split_over))
