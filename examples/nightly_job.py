"""Export what is new, check all of it, and make a report: the job of every night.

    pip install pyarrow jinja2 vl-convert-python  # and this library, as its README says
    CANOPY_ACCOUNT=acme CANOPY_TOKEN=… python nightly_job.py /var/audit

It ends with status 0 if the export is finished and proven, 3 if it is not, and 1 if
it is damaged or could not go on. Run it again after any failure: it goes on where it
was.
"""

import asyncio
import sys
from pathlib import Path

from canopy_async import CanopyError, CanopySession
from canopy_async.export import Status, export, verify, write_report

STATUSES = {Status.FINISHED: 0, Status.UNFINISHED: 3, Status.DAMAGED: 1}


async def main(directory: Path) -> int:
    """Do the job and return the status to end with."""
    files = directory / "events"
    async with CanopySession.from_env() as canopy:
        result = await export(canopy, None, files, format="parquet")
    print(f"{result.events:,} new events of {result.done:,} identities")
    for identity_id, error in result.failures.items():
        print(f"{identity_id}: {error}", file=sys.stderr)
    found = await asyncio.to_thread(verify, files)
    print(f"{found.status}; digest {found.digest}")
    page = directory / "report.html"
    await asyncio.to_thread(write_report, files, page, latest=20_000)
    return STATUSES[found.status]


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(Path(sys.argv[1]))))
    except CanopyError as error:
        sys.exit(f"the export could not go on: {error}")
