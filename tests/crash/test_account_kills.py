"""A follower of an account that is killed with SIGKILL loses nothing."""

import sys

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
