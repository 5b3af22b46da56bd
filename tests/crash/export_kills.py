"""An export killed with SIGKILL at random instants, and run again each time.

Prints how many events were lost, how many are in the files twice, and whether
each identity's are in the order of its log, as the server has it.

    export PYTHONPATH=tests:tests/simulation
    python tests/crash/export_kills.py --kills 20 --seed 0
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from exportsim import kill_again_and_again

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")


async def main(kills: int, seed: int, identities: int, events: int) -> None:
    """Print one line for each format."""
    print(f"{'format':10} {'kills':>5} {'commits':>7} {'events':>7}", end=" ")
    print(f"{'lost':>5} {'twice':>6} {'in order':>9} {'problems':>9}")
    for written_as in FORMATS:
        with tempfile.TemporaryDirectory() as directory:
            done = await kill_again_and_again(
                Path(directory),
                written_as=written_as,
                kills=kills,
                seed=seed,
                identities=identities,
                events=events,
            )
        print(
            f"{written_as:10} {done.kills:5} {done.commits:7} {done.made:7}",
            f"{done.lost:5} {done.repeated:6} {done.in_order!s:>9}",
            f"{len(done.problems):9}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--identities", type=int, default=40)
    parser.add_argument("--events", type=int, default=500)
    options = parser.parse_args()
    asyncio.run(main(options.kills, options.seed, options.identities, options.events))
