"""What reads an account's log, killed with SIGKILL at random instants while it moves.

Prints for `follow_account` and for an export of the log how many events were lost, and
how many were handed out or written twice.

    export PYTHONPATH=tests:tests/simulation:tests/crash
    python tests/crash/account_kills.py --kills 20 --seed 0
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

import accountexportsim
import accountkillsim

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")
ORDERS = ("desc", "asc")


async def kill_followers(kills: int, seed: int) -> None:
    """Print one line for each way of saving checkpoints, and each order of a server."""
    print(f"{'saved':6} {'order':5} {'kills':>5} {'events':>7} {'late':>6}", end=" ")
    print(f"{'lost':>5} {'twice':>6}")
    for how in ("with", "after"):
        for order in ORDERS:
            with tempfile.TemporaryDirectory() as directory:
                done = await accountkillsim.kill_again_and_again(
                    Path(directory), how=how, kills=kills, seed=seed, order=order
                )
            print(
                f"{how:6} {order:5} {done.kills:5} {done.made:7} {done.late:6}",
                f"{done.lost:5} {done.repeated:6}",
                flush=True,
            )


async def kill_exports(kills: int, seed: int, events: int) -> None:
    """Print one line for each format, and each order of a server."""
    print(f"{'format':10} {'order':5} {'kills':>5} {'runs':>5} {'commits':>7}", end=" ")
    print(f"{'events':>7} {'late':>6} {'lost':>5} {'twice':>6}  verify")
    for written_as in FORMATS:
        for order in ORDERS:
            with tempfile.TemporaryDirectory() as directory:
                done = await accountexportsim.kill_again_and_again(
                    Path(directory),
                    written_as=written_as,
                    kills=kills,
                    seed=seed,
                    order=order,
                    events=events,
                )
            print(
                f"{written_as:10} {order:5} {done.kills:5} {done.runs:5}",
                f"{done.commits:7} {done.made:7} {done.late:6} {done.lost:5}",
                f"{done.repeated + done.strange:6}  {done.status}",
                *done.problems,
                flush=True,
            )


async def main(kills: int, seed: int, events: int) -> None:
    """Kill both."""
    print("follow_account()")
    await kill_followers(kills, seed)
    print("\nexport_log()")
    await kill_exports(kills, seed, events)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events", type=int, default=10_000)
    options = parser.parse_args()
    asyncio.run(main(options.kills, options.seed, options.events))
