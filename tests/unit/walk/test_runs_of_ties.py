"""Runs of ties that no page bridges: how long a walk looks for their missing rows."""

import pytest
from support.lists import Reader, assert_all, log, page_of, row, tied

from canopy_async.errors import UnorderedListError, UnprovenTiesError
from canopy_async.report import Proof

HEAD, RUN, TAKE = 40, 60, 20
SAMPLES = 40


def list_with_a_run(*run):
    """Rows before a run, and the run, with which the list ends."""
    return [*log(HEAD), *run]


class HidesARow:
    """A server that orders a run anew for each page, so that one row is on none.

    Args:
        until: The number of the request from which on the row is on a page.
    """

    def __init__(self, until=None):
        self.hidden, self.others = row(HEAD, "hidden"), tied(RUN - 1, HEAD)
        self.until, self.served = until, []

    @property
    def rows(self):
        return list_with_a_run(*self.others, self.hidden)

    def __call__(self, window):
        self.served.append(window)
        run = [self.hidden, *self.others]
        if window.start <= HEAD:
            run = [*self.others, self.hidden]
        if self.until is not None and len(self.served) >= self.until:
            run = [*self.others[:50], self.hidden, *self.others[50:]]
        return page_of(list_with_a_run(*run), window)


def samples_of(serve):
    """The windows that were asked for once the end of the run had been seen."""
    ends = (at for at, w in enumerate(serve.served) if w.end > HEAD + RUN)
    return serve.served[next(ends) + 1 :]


def test_a_row_that_hides_all_along_is_looked_for_forty_times_and_never_passed_by():
    serve = HidesARow()
    reader = Reader(serve, take=TAKE, max_take=TAKE).fails(UnprovenTiesError)
    assert "hidden" not in {r.id for r in reader.read}
    assert len(samples_of(serve)) == SAMPLES


def test_the_whole_run_is_looked_at_by_half_a_page_each_time_and_nothing_else():
    serve = HidesARow()
    Reader(serve, take=TAKE, max_take=TAKE).fails(UnprovenTiesError)
    samples = samples_of(serve)
    assert all(HEAD <= w.start < HEAD + RUN for w in samples)
    once = samples[: RUN // (TAKE // 2)]
    assert {at for w in once for at in range(w.start, w.end)} >= {
        *range(HEAD, HEAD + RUN)
    }


@pytest.mark.parametrize("until", [10, 20, 40])
def test_a_row_that_is_shown_at_last_makes_the_run_whole(until):
    serve = HidesARow(until)
    reader = Reader(serve, take=TAKE, max_take=TAKE).run()
    assert sorted(r.id for r in reader.read) == sorted(r.id for r in serve.rows)
    assert (reader.report.complete, reader.report.proof) == (True, Proof.COUNT)
    # All is looked at again within six samples; then come page 1 and the end.
    assert len(serve.served) <= until + 6 + 3


def test_page_1_is_not_asked_for_again_where_a_count_has_shown_that_rows_moved():
    rows = list_with_a_run(*tied(RUN, HEAD))

    def serve(window):
        counted = len(rows) + (len(reader.asked) == 3)
        return page_of(rows, window, count=counted)

    reader = Reader(serve, take=TAKE, max_take=TAKE)
    reader.fails(UnprovenTiesError)
    assert len(reader.read) == len(rows)
    assert [w.page for w in reader.asked].count(1) == 1


@pytest.mark.parametrize("width", [1, 4])
def test_a_list_is_read_on_by_shared_rows_where_it_is_unsorted_behind_a_long_run(width):
    run, ordered = tied(130, 5), [row(key) for key in range(6, 150)]
    shuffled = [row(key * 37 % 101, f"s{key}") for key in range(90)]
    rows = [*run, *ordered, *shuffled]
    reader = Reader(
        lambda window: page_of(rows, window), accept_unordered=True, width=width
    ).run()
    assert_all(reader, rows, Proof.SHARED_ID)


@pytest.mark.parametrize("is_missing", [False, True])
def test_a_row_that_is_known_to_be_missing_is_not_made_good_by_shared_rows(is_missing):
    # A row of the run hides, and where it is looked for first, the count has changed:
    # it is looked for no longer. Further on, the list is unsorted.
    hidden, others = row(HEAD, "hidden"), tied(RUN - 1, HEAD)
    ordered = [row(key) for key in range(HEAD + 1, HEAD + 30)]
    shuffled = [row(key * 37 % 101, f"s{key}") for key in range(60)]
    served = []

    def serve(window):
        served.append(window)
        run = [*others, hidden] if window.start <= HEAD else [hidden, *others]
        rows = list_with_a_run(*run, *ordered, *shuffled)
        ends = [at for at, w in enumerate(served) if w.end > HEAD + RUN]
        if not ends or len(served) <= ends[0] + 1:
            return page_of(rows, window)
        if is_missing and len(served) == ends[0] + 2:
            return None
        return page_of([*rows, row(0, "new")], window)

    reader = Reader(serve, take=TAKE, max_take=TAKE, accept_unordered=True)
    reader.fails(UnorderedListError)
    assert "hidden" not in {r.id for r in reader.read}
