"""Closing the gap before a window whose seam does not hold.

Windows are fetched for it and taken before all that is planned; those that are
under way stay valid evidence. Where the gap lies in a run of ties that no window
can bridge, the run is read by shared rows (`canopy_async._walk.ties`).
"""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from canopy_async._walk.cover import Accepted, Cover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.ledger import Ledger
from canopy_async._walk.planner import Planner
from canopy_async._walk.seek import Seek
from canopy_async._walk.ties import TieRun
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window, plan_window
from canopy_async.errors import DriftTooFastError, UnorderedListError, UnprovenTiesError

__all__ = ["Bridge", "unproven_ties"]

R = TypeVar("R", bound=Row)

_MAX_PROBES: Final = 40
_MAX_FILLS: Final = 3


class Reader(Protocol[R]):
    """What a bridge needs of the walk that it is for."""

    def accept(self, view: View[R]) -> list[R]:
        """Hand out what a window adds that continues the cover."""
        ...

    def shows_end(self, view: View[R]) -> bool:
        """Tell whether a certified view shows that nothing is left to read."""
        ...

    def hand_out(self, accepted: Accepted[R]) -> list[R]:
        """Hand out rows, as far as they are wanted."""
        ...

    def finish(self) -> None:
        """End: nothing is left to read."""
        ...


class Bridge(Generic[R]):
    """The windows of one walk that are not of its plan.

    Args:
        cover: What is covered.
        plan: Where windows are asked for.
        ledger: What is counted.
        reader: The walk, which owns the bridge and is not owned by it.

    Attributes:
        leans_on_ties: Whether rows were taken by the rows that they share with
            others at their key, which alone proves nothing.
        has_sampled: Whether rows were taken out of the middle of a run of ties, so
            that not each window shares a row with the one before it.
    """

    def __init__(
        self,
        cover: Cover[R],
        plan: Planner,
        ledger: Ledger,
        reader: "Reader[R]",
    ) -> None:
        self._cover: Final = cover
        self._keys: Final = cover if isinstance(cover, KeyCover) else None
        self._plan: Final = plan
        self._ledger: Final = ledger
        # Not a reference: the two would be a cycle, which only a collection frees.
        self._reader: Final[Reader[R]] = weakref.proxy(reader)
        # What the first window is for, where it is not one of the plan.
        self._errand: Callable[[View[R] | None], list[R]] | None = None
        # Whether that is to look for where the cover ends.
        self._seeks = False
        self._held: View[R] | None = None
        self._ties: TieRun[R] | None = None
        self.leans_on_ties = False
        self.has_sampled = False

    @property
    def is_busy(self) -> bool:
        """Whether the first window is not one of the plan."""
        return self._errand is not None

    def send(self, window: Window, errand: Callable[[View[R] | None], list[R]]) -> None:
        """Ask for a window before all that is planned."""
        self._errand = errand
        self._seeks = False
        self._plan.ask_first(window)

    def take(self, view: View[R] | None) -> list[R]:
        """Take the first window, which is not of the plan or continues no cover.

        Args:
            view: What it holds, None where its page is not there.
        """
        errand, self._errand = self._errand, None
        return errand(view) if errand is not None else self._settle(view)

    def ask_for_fewer(self) -> list[R]:
        """Take it that the first window's page was too large: ask for fewer rows."""
        self._plan.windows.popleft()
        if self._ties is not None:
            self._ties.limit(self._plan.max_take)
        if not self._seeks:
            return self.take(None)
        self._errand = None
        self.seek()
        return []

    def clear(self) -> None:
        """Want nothing more."""
        self._held = None
        self._errand = None

    def _settle(self, view: View[R] | None) -> list[R]:
        """Begin to bridge the gap before a planned window, unless ties do."""
        if view is not None and view.rows:
            ties = self._ties_here(fills=0)
            if ties is not None and ties.continues_in(view):
                return self._accept_tied(ties, view)
            self._held = view
        if view is None or not self._cover.touches(view):
            self._plan.loosen()
        self._ledger.repairs += 1
        self.seek()
        return []

    def seek(self) -> None:
        """Begin to look for where the cover ends."""
        seek = Seek(
            self._cover,
            self._ledger.latest,
            take=self._plan.max_take,
            slack=self._plan.overlap,
        )
        self._look_inside_ties(seek)
        self._ask_next(seek)

    def _ask_next(self, seek: Seek) -> None:
        if seek.probes >= _MAX_PROBES:
            raise self._lost(seek)
        window = seek.next_window(self._plan.max_take)
        self.send(window, partial(self._probe, seek))
        self._seeks = True

    def _probe(self, seek: Seek, view: View[R] | None) -> list[R]:
        """Take a window that was fetched to bridge a gap."""
        cover = self._cover
        if view is None or not view.rows:
            if view is not None and view.is_first and view.is_end:
                self._reader.finish()  # all that was left is gone
                return []
            seek.found_nothing(self._ledger.latest)
        elif cover.certifies(view):
            if cover.has_new(view) or self._reader.shows_end(view):
                return self._reader.accept(view) + self.reconsider()
            cover.revisit(view)
            seek.ended_before(cover, view)
            self._look_inside_ties(seek)
        elif self._ties and self._ties.continues_in(view):
            return self._accept_tied(self._ties, view) + self.reconsider()
        else:
            seek.began_past(cover, view)
        self._ask_next(seek)
        return []

    def reconsider(self) -> list[R]:
        """Look again at the window whose seam did not hold.

        Raises:
            ProtocolError: A row of it came with another key since.
        """
        held = self._held
        if held is None or self._errand is not None:
            return []
        self._held = None
        held.shared = 0  # with what was accepted since, that is unknown
        self._cover.track.check_keys(held)
        if self._cover.certifies(held):
            rows = self._reader.accept(held)
        elif not self._cover.has_new(held):
            return []
        elif self._ties and self._ties.continues_in(held):
            rows = self._accept_tied(self._ties, held)
        else:
            self._held = held
            self._ledger.repairs += 1
            self.seek()
            return []
        return rows

    def _ties_here(self, fills: int) -> TieRun[R] | None:
        """Return the run at the cover if no window can bridge it.

        Args:
            fills: How many probes the run has filled to the end.
        """
        keys = self._keys
        if keys is None:
            return None
        if self._ties is not None and self._ties.key == keys.key:
            return self._ties
        bridge = plan_window(keys.track.position - 1, self._plan.max_take)
        filled = bridge.end <= keys.track.position + len(keys.at)
        too_long = len(keys.at) >= self._plan.max_take or (
            filled and self._ledger.steady
        )
        if too_long or fills >= _MAX_FILLS:
            self._ties = TieRun(keys, self._plan.max_take)
            return self._ties
        return None

    def _look_inside_ties(self, seek: Seek) -> None:
        """Give up starting before a run that no window can bridge."""
        if self._ties_here(seek.fills) is not None:
            seek.look_inside(self._cover.track.end - self._plan.overlap)

    def _accept_tied(self, ties: TieRun[R], view: View[R]) -> list[R]:
        """Accept a window inside a run of ties by the rows that it shares."""
        self.leans_on_ties = True
        if self._ledger.steady and ties.closes_in(view):
            ties.closing = view
            return self._complete_ties(ties, view)
        return self._reader.accept(view)

    def _complete_ties(self, ties: TieRun[R], view: View[R] | None) -> list[R]:
        """Sample a run again until no row of it is missing."""
        closing = ties.closing
        if closing is None:
            return []
        rows: list[R] = []
        if view is not None:
            rows = self._reader.hand_out(ties.accept(view))
            self.has_sampled |= bool(rows) and view is not closing
        if self._ledger.steady and ties.missing_after(closing) > 0:
            sample = ties.next_sample()
            if sample is not None:
                self.send(sample, partial(self._complete_ties, ties))
                return rows
        ties.closing = None
        return rows + self._reader.accept(closing) + self.reconsider()

    def _lost(self, seek: Seek) -> Exception:
        ties, keys = self._ties, self._keys
        if keys is not None:
            is_read_by_ties = ties is not None and ties.key == keys.key
            if is_read_by_ties or (seek.is_amid_run and len(keys.at) > 1):
                return unproven_ties()
            if keys.order is None:
                return UnorderedListError(
                    "the rows that were read are gone, and had one created_at: nothing"
                    " shows in which order the list is, and so what comes next"
                )
        return DriftTooFastError(
            "the list moves by a page or more per round trip, or the server sends the"
            " rows of one page for others: the place where the read stood was not found"
            f" again in {_MAX_PROBES} requests"
        )


def unproven_ties() -> UnprovenTiesError:
    """Return the error of a run of ties that can't be proven."""
    return UnprovenTiesError(
        "more rows share one created_at than a page shows together with what comes"
        " before and after them, and the list moved while they were read"
    )
