"""Checkpoints that were written once, and that every later version has to read.

What is here is never changed: it is what people have in their files. A new version of
the text gets new lines beside these.
"""

from datetime import UTC, datetime, timedelta

import pytest

from canopy_async import (
    CanopySession,
    Checkpoint,
    CheckpointError,
    FollowCheckpoint,
    Proof,
)

KEY = datetime(2026, 4, 20, 12, 0, 0, 123000, tzinfo=UTC)

READS = {
    "oldest first": (
        (
            '{"v":2,"scope":"66d207c16bb82556","order":"asc","key":"2026-04-20T12:00:00.123000Z",'
            '"ids":["evt_1","evt_2"],"position":1234,"delivered":1200,'
            '"proof":"strict-key"}'
        ),
        {"order": "asc"},
        Checkpoint(
            scope="66d207c16bb82556",
            order="asc",
            key=KEY,
            ids=frozenset({"evt_1", "evt_2"}),
            position=1234,
            delivered=1200,
            proof=Proof.STRICT_KEY,
        ),
    ),
    "a range, newest first, of a search": (
        (
            '{"v":2,"scope":"e554f4c589d2b34a","order":"desc","key":"2026-04-20T12:00:00.123000Z",'
            '"ids":["evt_é"],"position":7,"delivered":7,"proof":"fence"}'
        ),
        {
            "q": "naïve & co",
            "sort_by": "created_at",
            "order": "desc",
            "since": datetime(2026, 4, 1, tzinfo=UTC),
            "until": datetime(2026, 5, 1, tzinfo=UTC),
        },
        Checkpoint(
            scope="e554f4c589d2b34a",
            order="desc",
            key=KEY,
            ids=frozenset({"evt_é"}),
            position=7,
            delivered=7,
            proof=Proof.FENCE,
        ),
    ),
    "after ties that a count has proven": (
        (
            '{"v":2,"scope":"66d207c16bb82556","order":"asc","key":"2026-04-20T12:00:00.123000Z",'
            '"ids":["evt_7"],"position":412,"delivered":412,"proof":"count"}'
        ),
        {"order": "asc"},
        Checkpoint(
            scope="66d207c16bb82556",
            order="asc",
            key=KEY,
            ids=frozenset({"evt_7"}),
            position=412,
            delivered=412,
            proof=Proof.COUNT,
        ),
    ),
    "amid ties that nothing has proven yet": (
        (
            '{"v":2,"scope":"66d207c16bb82556","order":"desc","key":"2026-04-20T12:00:00.123000Z",'
            '"ids":["evt_1","evt_2","evt_3"],"position":203,"delivered":203,'
            '"proof":"shared-id"}'
        ),
        {"order": "asc"},
        Checkpoint(
            scope="66d207c16bb82556",
            order="desc",  # the server has ignored what was asked for
            key=KEY,
            ids=frozenset({"evt_1", "evt_2", "evt_3"}),
            position=203,
            delivered=203,
            proof=Proof.SHARED_ID,
        ),
    ),
    "of a read of plain pages": (
        (
            '{"v":2,"scope":"4acbb75dd1a059d5","order":null,"key":"2026-04-20T12:00:00.123000Z",'
            '"ids":["evt_9"],"position":100,"delivered":100,"proof":"none"}'
        ),
        {},  # a read goes on from it that is to be proven, and says that it is not
        Checkpoint(
            scope="4acbb75dd1a059d5",
            key=KEY,
            ids=frozenset({"evt_9"}),
            position=100,
            delivered=100,
        ),
    ),
    "before the first event, in the server's order": (
        (
            '{"v":2,"scope":"4acbb75dd1a059d5","order":null,"key":null,"ids":[],"position":0,'
            '"delivered":0,"proof":"none"}'
        ),
        {},
        Checkpoint(scope="4acbb75dd1a059d5"),
    ),
}


@pytest.fixture(params=READS)
def golden(request):
    return READS[request.param]


def test_a_checkpoint_of_a_read_is_read_as_what_it_was(golden):
    text, _, checkpoint = golden
    assert Checkpoint.loads(text) == checkpoint


def test_a_read_goes_on_from_its_checkpoint(golden):
    text, options, _ = golden
    canopy = CanopySession("acme", "t0ken")
    canopy.events("idn/1 ü", **options, resume=text)
    with pytest.raises(CheckpointError, match="of another read"):
        canopy.events("idn/2", **options, resume=text)


def test_there_is_one_for_each_proof_of_a_read():
    proofs = {checkpoint.proof for _, _, checkpoint in READS.values()}
    assert proofs == {*Proof} - {Proof.CURSOR}  # which is of the account's log


def test_it_is_still_written_like_that(golden):
    # Where this is changed on purpose, the version of the text goes up.
    text, _, checkpoint = golden
    assert checkpoint.dumps() == text


FOLLOWS = {
    "some events": (
        (
            '{"v":2,"kind":"follow","scope":"SCOPE","wm":"2026-04-20T12:00:00.123000Z",'
            '"floor":"2026-04-20T11:00:00.123000Z","ids":{"evt_1":0,"evt_é":1500000},'
            '"n":1234,"explained":1230}'
        ),
        {
            "newest": KEY,
            "floor": KEY - timedelta(hours=1),
            "ids": {"evt_1": KEY, "evt_é": KEY - timedelta(seconds=1.5)},
            "count": 1234,
            "explained": 1230,
        },
    ),
    "an empty log": (
        (
            '{"v":2,"kind":"follow","scope":"SCOPE","wm":null,"floor":null,"ids":{},'
            '"n":0}'
        ),
        {},
    ),
}
SCOPE = "bf3aae98e23455af"


@pytest.fixture(params=FOLLOWS)
def followed(request):
    text, fields = FOLLOWS[request.param]
    return text.replace("SCOPE", SCOPE), FollowCheckpoint(scope=SCOPE, **fields)


def test_a_checkpoint_of_a_follower_is_read_as_what_it_was(followed):
    text, checkpoint = followed
    assert FollowCheckpoint.loads(text) == checkpoint
    assert checkpoint.dumps() == text


def test_a_follower_goes_on_from_its_checkpoint(followed):
    text, _ = followed
    canopy = CanopySession("acme", "t0ken")
    canopy.follow("idn/1 ü", checkpoint=text)
    with pytest.raises(CheckpointError, match="of another log"):
        canopy.follow("idn/2", checkpoint=text)


def test_a_checkpoint_from_before_the_first_release_is_refused_by_name(followed):
    text, _ = followed
    with pytest.raises(CheckpointError, match=r"before version 0\.1\.0"):
        FollowCheckpoint.loads(text.replace('"v":2', '"v":1'))
