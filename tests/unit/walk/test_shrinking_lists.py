"""Lists that are much shorter by the time their parts are looked for."""

import pytest
from support.lists import Reader, log, page_of

from canopy_async._walk.span import WHOLE, Span
from canopy_async.checkpoint import Checkpoint
from canopy_async.report import Proof

ROWS, LEFT = 20_000, 2_000


def part(how, row, position, order):
    if how == "since":
        return Span(since=row.created_at)
    if how == "until":
        return Span(until=row.created_at)
    if how == "whole":
        return WHOLE
    checkpoint = Checkpoint(
        scope="s",
        order=order,
        key=row.created_at,
        ids=frozenset({row.id}),
        position=position,
        proof=Proof.STRICT_KEY,
    )
    return Span(resume=checkpoint)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("is_missing", [True, False], ids=["404", "empty"])
@pytest.mark.parametrize("how", ["since", "until", "resume", "whole"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_that_shrinks_after_page_1_costs_its_rows_and_a_short_search(
    order, how, is_missing, width
):
    before = log(ROWS, order)
    after = before[-LEFT:] if order == "asc" else before[:LEFT]
    place = before[ROWS // 2]

    def serve(window):
        page = page_of(before if len(reader.asked) == 1 else after, window)
        return None if is_missing and window.page > 1 and not page.items else page

    span = part(how, place, ROWS // 2, order)
    reader = Reader(serve, order=order, span=span, width=width)
    reader.run()
    assert reader.report.complete
    assert reader.report.proof == Proof.STRICT_KEY
    got = {r.id for r in reader.read}
    wanted = {r.id for r in after if span.holds(r.created_at)}
    if how == "resume":
        sign = 1 if order == "asc" else -1
        wanted = {
            r.id
            for r in after
            if sign * (r.created_at - place.created_at).total_seconds() > 0
        }
    assert wanted <= got
    assert len(reader.asked) <= 1.16 * len(got) / 100 + 18
