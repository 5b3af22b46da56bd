"""A driver to be killed: exports on a cluster.

python distributed_victim.py SCHEDULER BASE_URL DIRECTORY OPTIONS IDENTITY...

Options are an object of JSON; without identities, all of the account are exported.
"""

import json
import sys
from datetime import datetime

from distributed import Client
from support.clusters import TOKEN_VARIABLE

from canopy_async import RetryPolicy
from canopy_async.distributed import export


def main(scheduler, base_url, directory, options, *ids):
    options = json.loads(options)
    if "until" in options:
        options["until"] = datetime.fromisoformat(options["until"])
    with Client(scheduler) as client:
        export(
            client,
            ids or None,
            directory,
            account="acme",
            base_url=base_url,
            token=f"env:{TOKEN_VARIABLE}",
            retry=RetryPolicy(base=0.001, throttled_base=0.001),
            **options,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
