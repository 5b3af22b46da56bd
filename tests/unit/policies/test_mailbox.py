"""`Mailbox`: items of many tasks, one reader, and every way to come to an end."""

import asyncio

import pytest
from support.virtual import settle

from canopy_async._util.mailbox import Mailbox


@pytest.fixture
def mailbox():
    return Mailbox("this test", lambda: False)


async def putting(mailbox, *items):
    return [asyncio.ensure_future(mailbox.put(item)) for item in items]


async def test_items_come_in_their_order_each_until_the_next_is_asked_for(mailbox):
    first, second = await putting(mailbox, "a", "b")
    assert await mailbox.next() == "a"
    assert mailbox.current == "a"
    await settle()
    assert not first.done()
    assert await mailbox.next() == "b"
    await settle()
    assert first.done()
    assert not second.done()


async def test_an_item_that_is_given_back_is_its_tasks_error(mailbox):
    (task,) = await putting(mailbox, "a")
    await mailbox.next()
    mailbox.give_back(ValueError("not this one"))
    with pytest.raises(ValueError, match="not this one"):
        await task
    assert mailbox.current is None


async def test_the_item_of_a_task_that_was_cancelled_is_passed_over(mailbox):
    first, _ = await putting(mailbox, "a", "b")
    await settle()
    first.cancel()
    assert await mailbox.next() == "b"


async def test_two_tasks_cannot_read_at_once(mailbox):
    reader = asyncio.ensure_future(mailbox.next())
    await settle()
    with pytest.raises(RuntimeError, match="this test is being read by another task"):
        await mailbox.next()
    mailbox.close()
    assert await reader is None


async def test_a_reader_that_was_cancelled_reads_on_later(mailbox):
    reader = asyncio.ensure_future(mailbox.next())
    await settle()
    reader.cancel()
    await settle()
    await putting(mailbox, "a")
    assert await mailbox.next() == "a"


async def test_the_end_comes_after_what_waits():
    ended = False
    mailbox = Mailbox("this test", lambda: ended)
    await putting(mailbox, "a")
    await settle()
    ended = True
    assert await mailbox.next() == "a"
    assert await mailbox.next() is None


async def test_a_reader_that_waits_hears_of_the_end():
    ended = False
    mailbox = Mailbox("this test", lambda: ended)
    reader = asyncio.ensure_future(mailbox.next())
    await settle()
    ended = True
    mailbox.wake()
    assert await reader is None


async def test_the_first_error_stops_it_before_what_waits(mailbox):
    tasks = await putting(mailbox, "a")
    await settle()
    assert mailbox.stop(ValueError("first"))
    assert not mailbox.stop(ValueError("second"))
    assert await mailbox.next() is None
    assert str(mailbox.error) == "first"
    tasks[0].cancel()


async def test_an_item_can_be_given_back_though_its_task_was_cancelled(mailbox):
    tasks = await putting(mailbox, "a", "b")
    await settle()
    assert await mailbox.next() == "a"
    tasks[0].cancel()
    await settle()
    mailbox.give_back(ValueError("not wanted"))
    assert await mailbox.next() == "b"


async def test_what_was_dropped_does_not_come(mailbox):
    tasks = await putting(mailbox, "a", "b", "a")
    await settle()
    mailbox.drop(lambda item: item == "a")
    assert await mailbox.next() == "b"
    for task in tasks:
        task.cancel()
