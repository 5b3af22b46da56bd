"""A ``sitecustomize`` that makes a process stop at a chosen place.

When it stops, the process writes a line to standard error. The variable ``STOP_AT``
names a module: the process stops when it is imported. The variable ``HANG_IN`` names
what hangs in the cleanup of a command: ``aclose`` for closing its session, ``thread``
for a thread that the event loop waits for.
"""

import os
import signal
import sys

STOPPED = b"stopped here\n"


class Stopper:
    """An import hook that waits for a signal before the module is imported."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # noqa: ARG004 - as it is called
        if name == os.environ.get("STOP_AT"):
            os.write(2, STOPPED)
            signal.pause()


def hang(where):
    """Make closing a session hang, or leave a thread behind that hangs."""
    import asyncio  # not in a process that stops before
    import time

    from canopy_async import CanopySession

    def hang_in_thread():
        os.write(2, STOPPED)
        time.sleep(60)

    async def aclose(_):
        if where == "thread":
            asyncio.get_running_loop().run_in_executor(None, hang_in_thread)
            return
        os.write(2, STOPPED)
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    CanopySession.aclose = aclose


sys.meta_path.insert(0, Stopper)
if os.environ.get("HANG_IN"):
    hang(os.environ["HANG_IN"])
