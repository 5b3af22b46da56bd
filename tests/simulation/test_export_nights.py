"""Seven nights of an account, exported into one directory: each event is there once."""

import sys

import pytest
from nightsim import seven_nights
from support.sampled import sampled

CASES = [
    ("jsonl", "plain"),
    ("jsonl", "newest first"),
    ("jsonl", "ties"),
    ("jsonl.gz", "newest first"),
    ("jsonl.zst", "ties"),
    ("csv", "plain"),
    ("csv-bom", "newest first"),
    ("parquet", "newest first"),
]


@pytest.mark.parametrize(
    ("written_as", "server"),
    sampled(
        CASES, ("jsonl", "plain"), ("jsonl.gz", "newest first"), ("jsonl.zst", "ties")
    ),
)
async def test_seven_nights_lose_nothing_double_nothing_and_say_what_is_true(
    tmp_path, written_as, server
):
    outcome = await seven_nights(
        tmp_path / "out",
        written_as=written_as,
        server=server,
        seed=CASES.index((written_as, server)),
    )
    assert outcome.wrong == []
    assert outcome.ends.total() == 7
    assert outcome.made > 500
    assert outcome.exported > 500
    assert outcome.late > 0
    assert outcome.finished > 7 or outcome.gaps


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("server", sampled(["plain", "newest first"], "newest first"))
async def test_seven_nights_with_a_process_that_is_killed_each_night(tmp_path, server):
    outcome = await seven_nights(
        tmp_path / "out",
        written_as="jsonl",
        server=server,
        seed=7,
        ends=("SIGKILL",),
    )
    assert outcome.wrong == []
    assert outcome.ends == {"SIGKILL": 7}
    assert outcome.finished > 7 or outcome.gaps
