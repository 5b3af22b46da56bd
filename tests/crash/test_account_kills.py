"""What reads an account's log and is killed with SIGKILL loses nothing."""

import sys

import accountexportsim
import pytest
from accountkillsim import kill_again_and_again

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


@pytest.mark.parametrize("how", ["with", "after"])
async def test_every_event_of_the_account_is_posted_whenever_it_is_killed(
    tmp_path, how
):
    outcome = await kill_again_and_again(
        tmp_path, how=how, kills=4, seed=1, order="desc", longest=0.4
    )
    assert outcome.made > 50
    assert outcome.lost == 0
    if how == "with":
        assert outcome.repeated == 0


@pytest.mark.parametrize(("written_as", "order"), [("jsonl", "desc"), ("csv", "asc")])
async def test_every_event_of_the_account_is_exported_once_whenever_it_is_killed(
    tmp_path, written_as, order
):
    outcome = await accountexportsim.kill_again_and_again(
        tmp_path, written_as=written_as, kills=4, seed=2, order=order, events=2_000
    )
    assert outcome.made > 2_000
    assert outcome.late > 0
    assert (outcome.lost, outcome.repeated, outcome.strange) == (0, 0, 0)
    assert (outcome.status, outcome.problems) == ("finished", ())
