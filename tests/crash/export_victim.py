"""An export to be killed.

    python export_victim.py BASE_URL ACCOUNT FORMAT DIRECTORY

The token is in ``CANOPY_TOKEN``. It exports every identity of the account, in
small files and with many commits.
"""

import asyncio
import os
import sys

from canopy_async import CanopySession
from canopy_async.export import export


async def main(base_url, account, written_as, directory):
    """Export until killed, or done."""
    token = os.environ["CANOPY_TOKEN"]
    async with CanopySession(account, token, base_url=base_url) as canopy:
        await export(
            canopy,
            canopy.identities(),
            directory,
            format=written_as,
            max_file_bytes=100_000,
            commit_every=0.02,
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
