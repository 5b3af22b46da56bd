"""The proof of a read that goes on: it is no better than that of the read before."""

import contextlib
import itertools
import random

import pytest
from support.lists import Reader, log, page_of, read, row, tied
from walksim import SimRow

from canopy_async._walk.span import Span
from canopy_async.checkpoint import Checkpoint, CheckpointBuilder
from canopy_async.errors import (
    IncompleteReadError,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.report import Proof, ReadReport, weakest

SIZE = 20


@pytest.fixture(params=["asc", "desc"])
def order(request):
    return request.param


class IgnoresTake:
    """A server with one page size, whose oldest rows may go before a request."""

    def __init__(self, rows, *, goes=None):
        self.rows, self.goes, self.asked = rows, goes or {}, 0

    def __call__(self, window):
        self.asked += 1
        del self.rows[: self.goes.get(self.asked, 0)]
        return page_of(self.rows, window, cut=SIZE)


def begin(serve, pages, **options):
    """Read so many pages, leave, and return the rows and the checkpoint as text."""
    reader = Reader(serve, take=10, **options)
    place = CheckpointBuilder(lambda: "scope")
    for _ in range(pages):
        window = reader.walk.plan()
        rows = reader.walk.accept_page(serve(window))
        reader.read += rows
        place.advance(rows)
    report, position = reader.walk.report(), reader.walk.position
    return reader.read, place.checkpoint((), report, position=position).dumps()


def resumed(serve, text, **options):
    span = Span(resume=Checkpoint.loads(text))
    return Reader(serve, take=10, span=span, **options)


def after(row, *, proof, order="asc"):
    return Span(
        resume=Checkpoint(
            scope="s",
            order=order,
            key=row.created_at,
            ids=frozenset({row.id}),
            position=30,
            proof=proof,
        )
    )


# Behind a fence


def test_what_was_read_behind_a_fence_before_resume_is_not_called_proven():
    # The thirty oldest rows go between page 2 and page 3 of the first pass, so
    # that page 3 passes thirty rows by. Only page 1, asked for again, would show it.
    serve = IgnoresTake(log(200), goes={3: 30})
    read_before, text = begin(serve, 3)
    reader = resumed(serve, text).run()
    got = {r.id for r in [*read_before, *reader.read]}
    assert not {r.id for r in serve.rows} <= got
    assert not reader.report.complete
    assert reader.report.proof == Proof.NONE


def test_a_fence_says_nothing_of_the_pass_before_even_where_nothing_moved():
    serve = IgnoresTake(log(100))
    read_before, text = begin(serve, 3)
    reader = resumed(serve, text).run()
    assert [r.id for r in [*read_before, *reader.read]] == [r.id for r in log(100)]
    assert (reader.report.complete, reader.report.proof) == (False, Proof.NONE)


def test_a_resumed_read_that_goes_on_behind_a_fence_is_proven_by_the_fence(order):
    rows = log(100, order)
    span = after(rows[29], proof=Proof.STRICT_KEY, order=order)
    reader = read(rows, take=10, cut=SIZE, span=span)
    assert [r.id for r in reader.read] == [r.id for r in rows[30:]]
    assert (reader.report.complete, reader.report.proof) == (True, Proof.FENCE)
    assert reader.report.expected is None


def test_ties_at_the_seam_of_a_fence_are_counted_from_where_a_read_goes_on():
    rows = [*log(58), *tied(4, 58), *log(100)[62:]]
    span = after(rows[29], proof=Proof.STRICT_KEY)
    reader = read(rows, take=10, cut=SIZE, span=span)
    assert [r.id for r in reader.read] == [r.id for r in rows[30:]]
    assert (reader.report.complete, reader.report.proof) == (True, Proof.FENCE)


def test_ties_that_one_pass_has_to_read_are_not_made_good_by_a_fence():
    rows = log(100)
    span = after(rows[29], proof=Proof.SHARED_ID)
    serve = IgnoresTake(rows)
    Reader(serve, take=10, span=span).fails(UnprovenTiesError, "before resume")


@pytest.mark.parametrize("seen", [2, 3, 4])
@pytest.mark.parametrize("how", ["since", "resume"])
def test_a_fence_stands_before_page_1_though_none_of_its_rows_are_wanted(how, seen):
    # Thirty rows go from the head, so that the next page passes thirty by: they
    # may lie right where the wanted part begins.
    rows = log(200)
    since = rows[50].created_at
    span = (
        Span(since=since) if how == "since" else after(rows[49], proof=Proof.STRICT_KEY)
    )
    serve = IgnoresTake(list(rows), goes={seen: 30})
    Reader(serve, take=10, span=span).fails(IncompleteReadError, "passed by")
    still = IgnoresTake(list(rows))
    reader = Reader(still, take=10, span=span).run()
    assert [r.id for r in reader.read] == [r.id for r in rows[50:]]
    assert (reader.report.complete, reader.report.proof) == (True, Proof.FENCE)


def test_a_fence_that_is_raised_late_stands_before_page_1_too():
    # Asked for 100 rows, the server says that it sends 20; asked for fewer, it
    # sends 20 as well. Only then it is seen to ignore take.
    rows = log(200)
    serve = IgnoresTake(list(rows), goes={4: 30})
    span = Span(since=rows[50].created_at)
    Reader(serve, take=100, span=span).fails(IncompleteReadError, "passed by")


# Whatever the past was


@pytest.mark.parametrize("past", list(Proof))
def test_a_resumed_read_is_never_proven_better_than_its_past(past):
    rows = log(300)
    reader = Reader(
        lambda window: page_of(rows, window), span=after(rows[99], proof=past)
    )
    if past is Proof.SHARED_ID:
        reader.fails(UnprovenTiesError, "before resume")
        return
    reader.run()
    weak = past in {Proof.FENCE, Proof.NONE}
    assert reader.report.complete is not weak
    assert reader.report.proof == (Proof.NONE if weak else past)


@pytest.mark.parametrize("past", list(Proof))
def test_what_a_past_was_worth_lasts_over_any_number_of_resumptions(past):
    rows = log(300)
    place = rows[99]
    proof = past
    for _ in range(3):
        span = after(place, proof=proof)
        reader = Reader(lambda window: page_of(rows, window), limit=50, span=span)
        with contextlib.suppress(UnprovenTiesError):
            reader.run()
        proof, place = reader.report.proof, (reader.read or [place])[-1]
    assert list(Proof).index(proof) >= list(Proof).index(past)


def test_the_weakest_of_proofs_is_the_last_that_is_listed():
    for one, other in itertools.pairwise(Proof):
        assert weakest((one, other)) is weakest((other, one)) is other
    assert weakest(()) is Proof.STRICT_KEY


# The report of a walk that goes on unproven


def test_a_plain_read_that_follows_keeps_what_was_worth_knowing():
    rows = [SimRow(f"r{n}", None) for n in range(150)]
    asked = []

    def serve(window):
        asked.append(window)
        return "denied" if len(asked) == 1 else page_of(rows, window)

    reader = Reader(serve, sort_by="action")
    window = reader.walk.plan()
    assert serve(window) == "denied"
    assert reader.walk.retry_without_sort()
    reader.run()
    report = reader.report
    assert report == ReadReport(
        expected=150, delivered=150, warnings=report.warnings, proof=Proof.NONE
    )
    assert any("refused sort_by" in warning for warning in report.warnings)
    assert any("without created_at" in warning for warning in report.warnings)


def test_a_fence_around_a_part_expects_no_number_of_rows():
    rows = log(100)
    reader = read(rows, take=10, cut=SIZE, span=Span(until=row(50).created_at))
    assert [r.id for r in reader.read] == [r.id for r in rows[:50]]
    assert reader.report.expected is None


class ShufflesTies:
    """A server that orders ties anew at each request, and whose list is unsorted."""

    def __init__(self, seed, take):
        rng = self.rng = random.Random(seed)
        self.ties = tied(rng.randint(take, 3 * take), 1000)
        self.head = log(rng.randint(0, take))
        keys = [
            1005 - 3 * n if rng.random() < 0.5 else 1000 + n
            for n in range(rng.randint(2, 30))
        ]
        self.tail = [row(key, f"z{n}") for n, key in enumerate(keys)]

    def __call__(self, window):
        if self.rng.random() < 0.7:
            self.rng.shuffle(self.ties)
        return page_of([*self.head, *self.ties, *self.tail], window)


def test_rows_sampled_out_of_a_run_of_ties_share_no_row_with_what_comes_after():
    sampled = 0
    for seed, take in itertools.product(range(150), (4, 6, 10)):
        reader = Reader(ShufflesTies(seed, take), take=take, accept_unordered=True)
        with contextlib.suppress(IncompleteReadError):
            reader.run()
        if reader.walk._state.gap.has_sampled:  # noqa: SLF001
            sampled += 1
            assert reader.report.proof != Proof.SHARED_ID or not reader.report.complete
    assert sampled > 5


@pytest.mark.parametrize("take", [5, 10, 20])
def test_a_resumed_list_that_is_unsorted_where_its_place_is_looked_for_is_refused(take):
    # Page 1 is in order of time by chance; the place of the checkpoint is not in it.
    rows = [row(key) for key in (*range(30), 99, 40, 70, 33, 50, 12.5, 60, 45, 80, 31)]
    span = after(rows[29], proof=Proof.STRICT_KEY)
    reader = Reader(
        lambda window: page_of(rows, window),
        take=take,
        span=span,
        accept_unordered=True,
    )
    reader.fails(UnorderedListError)
    assert reader.read == []  # none of the thirty rows that were read before


def test_rows_without_created_at_are_counted_while_they_are_read():
    rows = [row(None, f"n{number}") for number in range(150)]
    reader = Reader(lambda window: page_of(rows, window))
    reader.walk.accept_page(page_of(rows, reader.walk.plan()))
    assert reader.walk.total == 150
