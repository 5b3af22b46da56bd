"""A follower killed with SIGKILL at random instants, and restarted from its file.

The log gets events all the while, with late commits, ties and some dated ahead. Prints
how many events were lost and how many were posted twice, by when the checkpoint is
saved: ``with`` the events in one transaction, or ``after`` them.

    export PYTHONPATH=tests:tests/simulation
    python tests/crash/follow_kills.py --kills 20 --seed 0
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from followsim import kill_again_and_again


async def main(kills: int, seed: int) -> None:
    """Print one line for each way of saving."""
    print(f"{'saved':6} {'kills':>5} {'events':>7} {'late':>6} {'tied':>6}", end=" ")
    print(f"{'ahead':>6}", end=" ")
    print(f"{'lost':>5} {'twice':>6}")
    for how in ("with", "after"):
        with tempfile.TemporaryDirectory() as directory:
            done = await kill_again_and_again(
                Path(directory), how=how, kills=kills, seed=seed
            )
        print(
            f"{how:6} {done.kills:5} {done.made:7} {done.late:6} {done.tied:6}",
            f"{done.ahead:6}",
            f"{done.lost:5} {done.repeated:6}",
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(main(options.kills, options.seed))
