"""`Tally`: how the reads of a fan-out ended, and what is left to read."""

from collections.abc import Callable
from typing import Final

from canopy_async._fanout.open_read import OpenRead
from canopy_async._fanout.results import IdentityOutcome
from canopy_async._fanout.suspects import Suspects
from canopy_async._util.frames import forget_frames
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import CanopyError
from canopy_async.report import ReadReport

__all__ = ["MAX_REPORTS", "Tally"]

MAX_REPORTS: Final = 10_000
"""Reports that one fan-out keeps at most."""


class Tally:
    """Counts how reads ended, and tells of each end.

    Args:
        collects: Whether an identity that fails does not end the others.
        on_end: Is called with the end of each read.
        stop: Ends all reads with an error.

    Attributes:
        failures: The error of each identity that could not be read.
        reports: The reports of identities that are not proven complete, of the first
            `MAX_REPORTS` of them.
        open: The reads that are not over.
        cut_short: The place to go on from, of each read that ended before its end.
        done: How many identities were read to their end.
        complete: How many of these were proven complete.
        failed: How many identities could not be read.
        requests: The requests of reads that are over, retries included.
    """

    def __init__(
        self,
        *,
        collects: bool,
        on_end: Callable[[IdentityOutcome], None] | None,
        stop: Callable[[Exception], None],
    ) -> None:
        self._collects: Final = collects
        self._on_end: Final = on_end
        self._stop: Final = stop
        self._suspects: Final = Suspects()
        self.failures: Final[dict[str, CanopyError]] = {}
        self.reports: Final[dict[str, ReadReport]] = {}
        self.open: Final[dict[OpenRead, None]] = {}
        self.cut_short: Final[dict[str, Checkpoint | None]] = {}
        self.done = 0
        self.complete = 0
        self.failed = 0
        self.requests = 0

    @property
    def checkpoints(self) -> dict[str, Checkpoint | None]:
        """The place to go on from, of each identity that was begun and not finished."""
        return self.cut_short | {
            reading.identity_id: reading.checkpoint for reading in self.open
        }

    @property
    def requests_so_far(self) -> int:
        """The requests of all reads, retries included."""
        runs = [reading.run for reading in self.open if reading.run is not None]
        return self.requests + sum(run.progress.requests for run in runs)

    def note_end(
        self, reading: OpenRead, report: ReadReport, checkpoint: Checkpoint
    ) -> None:
        """Note that an identity was read to its end."""
        self.note_answer()
        outcome = IdentityOutcome(
            identity_id=reading.identity_id, report=report, checkpoint=checkpoint
        )
        # Until its end was told, there is a place to go on from.
        self.cut_short[reading.identity_id] = checkpoint
        self._close(reading, report)
        if self._on_end is not None:
            self._on_end(outcome)
        del self.cut_short[reading.identity_id]
        self.done += 1
        self.complete += report.complete

    def note_failure(self, reading: OpenRead, error: CanopyError) -> None:
        """Note that an identity could not be read; end all reads if that is due."""
        if error.concerns_all:
            self._stop(error)
            return
        if error.checkpoint is None:
            error.checkpoint = reading.checkpoint
        self.cut_short[reading.identity_id] = error.checkpoint
        report = None if reading.run is None else reading.run.report
        self._close(reading, report)
        failed = IdentityOutcome(
            identity_id=reading.identity_id,
            report=report,
            error=error,
            checkpoint=error.checkpoint,
        )
        if not self._collects:
            self._stop(error)
        elif self._suspects.hold(failed):
            forget_frames(error)
            self.judge_suspects(at_end=False)
            return
        self._count(failed, error)

    def note_answer(self) -> None:
        """Count refusals that were held back: an identity was answered."""
        for failed in self._suspects.release():
            if failed.error is not None:
                self._count(failed, failed.error)

    def judge_suspects(self, *, at_end: bool) -> None:
        """End all reads if all identities are refused alike.

        Args:
            at_end: Whether there is no other identity: refusals that were held back
                are then counted, if they don't concern all.
        """
        error = self._suspects.verdict(at_end=at_end)
        if error is not None:
            self._stop(error)
        elif at_end:
            self.note_answer()

    def _count(self, failed: IdentityOutcome, error: CanopyError) -> None:
        self.failed += 1
        self.failures[failed.identity_id] = error
        if self._collects:
            forget_frames(error)
        if self._on_end is not None:
            self._on_end(failed)

    def _close(self, reading: OpenRead, report: ReadReport | None) -> None:
        del self.open[reading]
        if report is None:
            return
        self.requests += report.requests
        if not report.complete and len(self.reports) < MAX_REPORTS:
            self.reports[reading.identity_id] = report
