"""A core for the server and another for the client, where there are two."""

import os


def pin(who: str) -> None:
    """Keep this process on the core of the ``server`` or of the ``client``."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[-1] if who == "server" else cores[0]})
