"""Page sizes that a walk infers from short pages, where only the list has moved."""

import pytest
from support.lists import Reader, page_of, row

from canopy_async._walk import Span
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import IncompleteReadError, UnprovenTiesError
from canopy_async.report import Proof

ROWS = [row(3), row(2), row(1)]
OLDER = row(0)


def test_a_list_without_ties_is_never_refused_for_its_ties():
    # An older row comes and goes, three times between a count and its rows. The pages
    # of three rows look as if the server cut them. Then the list holds still.
    answers = 0

    def serve(window):
        nonlocal answers
        answers += 1
        if answers <= 3:
            return page_of(ROWS, window, count=4)
        return page_of([*ROWS, OLDER], window)

    after = Checkpoint(
        scope="s",
        order="desc",
        key=ROWS[1].created_at,
        ids=frozenset({ROWS[1].id}),
        position=2,
        proof=Proof.STRICT_KEY,
    )
    reader = Reader(serve, take=4, max_take=8, order="desc", span=Span(resume=after))
    with pytest.raises(IncompleteReadError, match="send at most 3 rows") as caught:
        reader.run()
    assert not isinstance(caught.value, UnprovenTiesError)
    assert not reader.report.complete
