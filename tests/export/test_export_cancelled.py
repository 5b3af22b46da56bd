"""An export that is cancelled while it writes: each place where it may happen."""

import asyncio
import os

import pytest
from support.exports import read_back, truth

from canopy_async.export import (
    Status,
    export,
    export_log,
    iter_commits,
    read_manifest,
    verify,
)

STEPS = 40
"""More calls of ``fsync`` than an export of these logs makes."""


class CancelAt:
    """Cancels a task while a thread of it puts a file on the disk.

    Args:
        step: At which of the calls of ``fsync``.
    """

    def __init__(self, step):
        self._left = step
        self._fsync = os.fsync
        self._loop = asyncio.get_running_loop()
        self.task = None

    def __call__(self, descriptor):
        self._fsync(descriptor)
        self._left -= 1
        if not self._left:
            asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()

    async def _cancel(self):
        self.task.cancel()

    @property
    def was_reached(self):
        return self._left <= 0


@pytest.fixture(autouse=True)
def logs(server):
    """Three logs, one of them empty."""
    server.seed_events("a", 150)
    server.seed_events("b", 250)
    server.add_identity(id="empty")
    return server


async def of_identities(session, out):
    await export(session, None, out, max_file_bytes=60_000)


async def of_account(session, out):
    await export_log(session, out, max_file_bytes=60_000)


both = pytest.mark.parametrize("exported", [of_identities, of_account])


async def cancelled(exported, session, out, step, monkeypatch):
    """Export, and cancel that at a step; tell whether there was such a step."""
    with monkeypatch.context() as patch:
        cancel = CancelAt(step)
        patch.setattr(os, "fsync", cancel)
        cancel.task = asyncio.create_task(exported(session, out))
        try:
            await cancel.task
        except asyncio.CancelledError:
            assert cancel.was_reached
    return cancel.was_reached


@both
async def test_an_end_counts_what_was_committed_while_it_was_cancelled(
    exported, session, tmp_path, monkeypatch
):
    outcomes = set()
    for step in range(1, STEPS):
        out = tmp_path / str(step)
        if not await cancelled(exported, session, out, step, monkeypatch):
            break
        runs = read_manifest(out).runs
        if not runs:
            continue  # it was cancelled before the run began
        (run,) = runs
        committed = [entry for one in iter_commits(out) for entry in one.identities]
        assert run.end is not None, f"no end is written after step {step}"
        assert run.end.events == sum(entry.events for entry in committed)
        outcomes.add(run.end.outcome)
        checked = verify(out)
        assert checked.problems == ()
        is_finished = run.end.outcome == "finished"
        assert (checked.status is Status.FINISHED) == is_finished, f"step {step}"
        assert (out / "_SHA256SUMS").exists() == is_finished, f"step {step}"
    assert step < STEPS - 1
    assert outcomes == {"stopped", "finished"}


@both
async def test_an_export_goes_on_wherever_it_was_cancelled(
    exported, logs, session, tmp_path, monkeypatch
):
    seen = {event.id async for event in session.account_events()}
    assert len(seen) > 300
    for step in range(1, STEPS):
        out = tmp_path / str(step)
        if not await cancelled(exported, session, out, step, monkeypatch):
            break
        await exported(session, out)
        if exported is of_identities:
            assert read_back(out) == truth(logs, "a", "b", "empty")
        else:
            ids = [row["id"] for log in read_back(out).values() for row in log]
            assert len(set(ids)) == len(ids)
            assert seen <= set(ids)
        assert verify(out).status is Status.FINISHED
