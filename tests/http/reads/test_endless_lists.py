"""A server whose list has no end is found out after a few requests."""

from datetime import UTC, datetime, timedelta

import pytest
from support.samples import event_row, page_body
from support.scripted import simulated

from canopy_async import CanopySession, IncompleteReadError, ProtocolError
from canopy_async.errors import RequestBudgetError

FIRST = datetime(2026, 4, 20, tzinfo=UTC)
COUNT = 1_000_000
FEW = 190


def rows(take, *, start=0, step=1):
    return [
        event_row(
            start + n, created_at=(FIRST + timedelta(seconds=step * n)).isoformat()
        )
        for n in range(take)
    ]


def page(items, number, take):
    return page_body(
        items,
        page=number,
        take=take,
        item_count=COUNT,
        page_count=-(-COUNT // take),
        has_next_page=True,
    )


def asked(call):
    return int(call.url.query["page"]), int(call.url.query["take"])


def one_page(call):
    number, take = asked(call)
    return page(rows(take), number, take)


def one_page_newest_first(call):
    number, take = asked(call)
    return page(rows(take)[::-1], number, take)


def one_page_of_ties(call):
    number, take = asked(call)
    return page(rows(take, step=0), number, take)


def one_row(call):
    number, take = asked(call)
    return page(rows(1), number, take)


def nothing(call):
    number, take = asked(call)
    return page([], number, take)


def one_page_whatever_is_asked(call):
    return page(rows(100), asked(call)[0], 100)


LISTS = {
    script.__name__: script
    for script in (
        one_page,
        one_page_newest_first,
        one_page_of_ties,
        one_row,
        nothing,
        one_page_whatever_is_asked,
    )
}
READS = {
    "all": {},
    "oldest first": {"order": "asc"},
    "newest first": {"order": "desc"},
    "limit": {"limit": 250},
    "unproven": {"lossless": False},
    "range": {"since": FIRST + timedelta(days=1)},
    "by action": {"sort_by": "action"},
}


@pytest.mark.parametrize("options", READS.values(), ids=READS)
@pytest.mark.parametrize("script", LISTS.values(), ids=LISTS)
async def test_rows_that_come_again_and_again_end_a_read(script, options):
    ended = None
    with simulated(script) as calls:
        async with (
            CanopySession("acme", "token") as canopy,
            canopy.events("idn_1", **options).open() as run,
        ):
            try:
                handed = [event.id async for event in run]
            except (IncompleteReadError, ProtocolError) as error:
                ended = error
    assert len(calls) <= FEW
    if ended is None:
        # Newest first, the one page is older than the range: nothing is in it.
        assert (options, handed) == (READS["range"], [])
    elif isinstance(ended, IncompleteReadError):
        assert not ended.report.complete
        assert ended.checkpoint is not None


async def test_a_limit_bounds_the_requests_whatever_the_server_counts():
    with simulated(one_row) as calls:
        async with CanopySession("acme", "token", concurrency=1) as canopy:
            with pytest.raises(RequestBudgetError):
                await canopy.events("idn_1", limit=250).collect()
    assert len(calls) <= 70


async def test_the_error_says_what_the_server_did():
    with simulated(one_page) as _:
        async with CanopySession("acme", "token") as canopy:
            with pytest.raises(IncompleteReadError, match="the rows of one page for"):
                await canopy.events("idn_1").collect()
            with pytest.raises(
                RequestBudgetError, match="9 pages in a row brought nothing new"
            ):
                await canopy.events("idn_1", lossless=False).collect()


async def test_pages_that_are_all_missing_are_the_end_of_an_unproven_read():
    def missing_after_one(call):
        number, take = asked(call)
        return page(rows(take), number, take) if number == 1 else 404

    with simulated(missing_after_one) as calls:
        async with CanopySession("acme", "token") as canopy:
            events = await canopy.events("idn_1", lossless=False).collect()
    assert len(events) == 100
    assert len(calls) < 30


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_list_that_jumps_far_under_a_read_is_still_read(server, connect, order):
    for second in range(4_000):
        server.add_event("idn_1", created_at=FIRST + timedelta(seconds=second))
    async with (
        connect(concurrency=2) as canopy,
        canopy.events("idn_1", order=order).open() as run,
    ):
        seen = [await anext(run) for _ in range(150)]
        for second in range(3_000):
            server.add_event(
                "idn_1", created_at=FIRST + timedelta(seconds=10_000 + second)
            )
        seen += [event async for event in run]
    assert run.report.complete
    instants = [event.created_at for event in seen]
    assert instants == sorted(instants, reverse=order == "desc")
    assert len({event.id for event in seen}) == len(seen) >= 4_000
    assert run.report.requests < 200
