"""An export that is gone on with each night on a cluster, and by one process."""

import sys

import pytest
from clustersim import nights_on_a_cluster
from support.clusters import local_client
from support.sampled import sampled

from canopy_async.distributed import driver, task_plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


@pytest.fixture(scope="module")
def client():
    with local_client(processes=True) as made:
        yield made


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.05)
    # So that logs that are known are split as well.
    monkeypatch.setattr(task_plan, "MOST_KEPT", 40)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("nights", sampled([2, 7], 2))
async def test_each_event_is_there_once_whatever_is_killed_each_night(
    client, tmp_path, nights
):
    sim = await nights_on_a_cluster(client, tmp_path / "out", seed=1, nights=nights)
    assert sim.wrong == []
    assert sim.ends.total() == nights
    assert sim.late > 0
