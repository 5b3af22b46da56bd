"""The requests that a time range costs in a long log.

python benchmarks/time_range.py --events 1000000
"""

import argparse
import asyncio
import time
from datetime import UTC, datetime, timedelta

from canopy_async import CanopySession
from canopy_async.testing import LocalCanopy

START = datetime(2020, 1, 1, tzinfo=UTC)
SPACING = 180.0


async def main() -> None:
    """Read one day from the middle of a log, in both orders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    async with LocalCanopy() as server:
        server.seed_events("idn_1", options.events, start=START, spacing=SPACING)
        newest = datetime.fromisoformat(
            server.events("idn_1", order="desc")[0]["created_at"]
        )
        since = START + (newest - START) / 3
        print(f"{options.events:,} events over {(newest - START).days} days")
        async with CanopySession(
            server.account, server.token, base_url=server.base_url
        ) as canopy:
            for order in ("asc", "desc"):
                began = time.perf_counter()
                async with canopy.events(
                    "idn_1", order=order, since=since, until=since + timedelta(days=1)
                ).open() as run:
                    rows = [event async for event in run]
                seconds = time.perf_counter() - began
                print(
                    f"one day, {order}: {len(rows)} events,"
                    f" {run.report.requests} requests, {seconds:.2f} s,"
                    f" complete: {run.report.complete}"
                )


if __name__ == "__main__":
    asyncio.run(main())
