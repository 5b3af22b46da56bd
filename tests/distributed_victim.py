"""A driver to be killed: exports on a cluster, all identities in two shards.

python distributed_victim.py SCHEDULER BASE_URL DIRECTORY TIMEOUT IDENTITY...
"""

import sys

from distributed import Client
from support.clusters import TOKEN_VARIABLE

from canopy_async.distributed import export


def main(scheduler, base_url, directory, timeout, *ids):
    with Client(scheduler) as client:
        export(
            client,
            ids,
            directory,
            account="acme",
            base_url=base_url,
            token=f"env:{TOKEN_VARIABLE}",
            shard_size=-(-len(ids) // 3),
            width=1,
            timeout=float(timeout),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
