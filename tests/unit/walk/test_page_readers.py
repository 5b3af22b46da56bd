"""A reader of pages and what it is made from, where something is missing or refused."""

import pytest
from support.samples import event_row, page_body
from support.scripted import simulated

from canopy_async import CanopySession
from canopy_async._walk import PlainWalk
from canopy_async.errors import RequestBudgetError

PAGES = 9


def page_of(call):
    return page_body(
        [event_row(call.page)],
        page=call.page,
        take=1,
        item_count=PAGES,
        page_count=PAGES,
        has_next_page=call.page < PAGES,
    )


@pytest.fixture
def calls():
    with simulated(page_of) as calls:
        yield calls


@pytest.fixture
async def canopy(calls):  # noqa: ARG001 - they answer its requests
    async with CanopySession("acme", "token", concurrency=2) as canopy:
        yield canopy


async def test_the_counts_of_a_page_are_not_there_before_the_first_page(canopy):
    async with canopy.events("idn_1", take=1, lossless=False).open() as run:
        with pytest.raises(RuntimeError, match="no numbered page was taken"):
            run.pagination  # noqa: B018 - it raises
        await anext(run)
        assert run.pagination.item_count == PAGES


async def test_a_reader_that_was_closed_waits_for_nothing(canopy, calls):
    async with canopy.events("idn_1").reader() as reader:
        await reader.aclose()
        assert not await reader.wait()
    assert not calls


class ShortOfRequests(PlainWalk):
    """A walk that may ask for four pages, and is then over its budget."""

    asked = 0

    def plan(self):
        if self.asked == 4:
            raise RequestBudgetError("enough")
        window = super().plan()
        self.asked += window is not None
        return window


async def test_a_plan_that_fails_ahead_ends_the_read_after_the_pages_before(canopy):
    stream = canopy.events("idn_1", take=1, lossless=False)
    read = []
    async with stream.reader(walk=ShortOfRequests(take=1)) as reader:
        for _ in range(4):
            read += await reader.next_batch()
        with pytest.raises(RequestBudgetError, match="enough") as caught:
            await reader.next_batch()
    assert [event.id for event in read] == [f"evt_{n}" for n in range(1, 5)]
    assert caught.value.checkpoint.delivered == 4


async def test_a_stream_is_not_read_by_a_plain_for(canopy):
    with pytest.raises(TypeError, match="'async for'"):
        iter(canopy.events("idn_1"))


async def test_a_stream_shows_which_list_it_reads(canopy):
    path = "/portal/v1/accounts/acme/identities/idn_1/audit"
    assert repr(canopy.events("idn_1")) == f"<Stream of AuditEvent: {path}>"


async def test_a_read_goes_on_only_with_a_proof(canopy):
    async with canopy.events("idn_1").open() as run:
        checkpoint = run.checkpoint
    with pytest.raises(ValueError, match="lossless must be True"):
        canopy.events("idn_1", lossless=False, resume=checkpoint)


async def test_a_fan_out_names_an_option_that_it_does_not_know(canopy):
    with pytest.raises(TypeError, match=r"fan_out\(\) got .* 'ordered'"):
        canopy.fan_out(["idn_1"], ordered="asc")
