"""An export of an account's own log to be killed.

    python account_export_victim.py BASE_URL ACCOUNT FORMAT DIRECTORY once|again

The token is in ``CANOPY_TOKEN``. It exports the log in small files and with many
commits: once, or again and again until it is killed.
"""

import asyncio
import os
import sys

from canopy_async import CanopySession
from canopy_async.export import export_log


async def main(base_url, account, written_as, directory, how):
    """Export until killed, or done."""
    token = os.environ["CANOPY_TOKEN"]
    async with CanopySession(account, token, base_url=base_url) as canopy:
        while True:
            await export_log(
                canopy,
                directory,
                format=written_as,
                max_file_bytes=100_000,
                commit_every=0.02,
            )
            if how == "once":
                return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
