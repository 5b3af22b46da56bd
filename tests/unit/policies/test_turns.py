"""Turns: what a round that holds as much ready as it may still sends."""

import pytest

from canopy_async._transport.turns import ReadQueue, RoundRobin

MOST = 1_000


@pytest.fixture
def queue():
    """A read that holds an answer ready, in a round that is full by it."""
    turns = RoundRobin(max_ready=MOST)
    queue = ReadQueue(turns)
    first = queue.ticket()
    queue.push(first)
    assert turns.pop() is first
    queue.admitted(first)
    queue.hold(MOST)
    return queue


def test_a_full_round_sends_nothing_that_nobody_waits_for(queue):
    assert not queue.admits(queue.ticket())


def test_a_full_round_sends_what_its_reader_waits_for(queue):
    assert queue.admits(queue.ticket(urgent=True))


def test_a_full_round_sends_again_what_it_has_sent_before():
    turns = RoundRobin(max_ready=MOST)
    queue = ReadQueue(turns)
    failed, other = queue.ticket(), queue.ticket()
    for ticket in (failed, other):
        queue.admitted(ticket)
    queue.release()  # the first of them has failed
    queue.hold(MOST)
    assert turns.is_full
    assert queue.admits(failed)
    assert not queue.admits(queue.ticket())


def test_a_full_round_sends_one_request_of_a_read_that_holds_nothing(queue):
    queue.release()  # what was sent has failed; another read holds the bytes
    assert queue.admits(queue.ticket())


def test_a_round_has_room_again_once_less_is_held(queue):
    assert queue.release(1)
    another = queue.ticket()
    queue.admitted(another)
    assert queue.admits(queue.ticket())
