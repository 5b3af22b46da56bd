"""`TaskPlan`: which identities, and which parts of giant logs, each task reads."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Final

import attrs

from canopy_async.distributed.task_records import fingerprints
from canopy_async.distributed.work import Job, Rest, Work
from canopy_async.export.journal import Journal
from canopy_async.export.look_back import MOST_KEPT
from canopy_async.export.standing import Standing

__all__ = ["TaskPlan"]

MOST_IN_SHARD: Final = 256
SHARDS_PER_THREAD: Final = 4

MOST_KNOWN: Final = 1 << 22
"""Characters of look-backs that are sent with one task at most."""


class TaskPlan:
    """Cuts the work of one run into tasks, and numbers them.

    Args:
        job: The options of the run.
        journal: Where each identity stands.
    """

    def __init__(self, job: Job, journal: Journal) -> None:
        self._job: Final = job
        self._journal: Final = journal
        self._numbers: Final = count(1)

    def shards(
        self, ids: Sequence[str], *, size: int | None, threads: int
    ) -> Iterator[Work]:
        """Yield the tasks that read these identities.

        Args:
            ids: The identities, each once.
            size: Identities of a task at most, None for what is usual.
            threads: How many threads all workers have.
        """
        size = size or _usual_size(len(ids), threads)
        # Dealt out like cards: identities that are listed together are often alike.
        step = max(1, -(-len(ids) // size))
        for at in range(min(step, len(ids))):
            yield from self.works(ids[at::step])

    def works(self, ids: Sequence[str]) -> Iterator[Work]:
        """Yield the tasks of a shard: more than one where its look-backs are large."""
        some: dict[str, Standing | None] = {}
        known = 0
        for name in ids:
            standing = self._journal.standings.get(name)
            size = len(standing.known or "") if standing is not None else 0
            if some and known + size > MOST_KNOWN:
                yield self._work(some)
                some, known = {}, 0
            some[name] = standing
            known += size
        if some:
            yield self._work(some)

    def parts(self, name: str, rest: Rest, within: Work | None) -> Iterator[Work]:
        """Yield the tasks that read the rest of a log, or of a part of a log.

        Args:
            name: The identity.
            rest: The rest, with the place where it begins.
            within: The part that it is the rest of, None for the whole log.
        """
        standing = rest.standing
        end = None if within is None else within.until
        for bound in (*rest.bounds, end):
            yield Work(
                number=next(self._numbers),
                ids=(name,),
                standings={} if standing is None else {name: standing},
                until=bound,
                limit=rest.limit,
                follows=True,
            )
            if standing is not None:
                standing = attrs.evolve(
                    standing, since=bound, checkpoint=None, known=None
                )

    def _work(self, ids: Mapping[str, Standing | None]) -> Work:
        standings = {name: at for name, at in ids.items() if at is not None}
        limit = self._job.split_over
        if any(standing.known for standing in standings.values()):
            # The events of look-backs are read again, and don't count.
            limit += MOST_KEPT
        return Work(
            number=next(self._numbers),
            ids=tuple(ids),
            standings=standings,
            begins=fingerprints(ids, standings),
            limit=limit,
        )


def _usual_size(identities: int, threads: int) -> int:
    shards = SHARDS_PER_THREAD * threads
    return max(1, min(MOST_IN_SHARD, -(-identities // shards)))
