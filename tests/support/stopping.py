"""The ``sitecustomize`` of a process that stops at a place, and says so in a line.

``STOP_AT`` names the module at whose import it stops. ``HANG_IN`` names what never
ends once a command is cleaned up: ``aclose``, the end of its session; or ``thread``, a
thread that its event loop waits for.
"""

import os
import signal
import sys

STOPPED = b"stopped here\n"


class Stopper:
    """Waits for a signal when a module is about to be imported."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # noqa: ARG004 - as it is called
        if name == os.environ.get("STOP_AT"):
            os.write(2, STOPPED)
            signal.pause()


def hang(where):
    """Let the end of a session hang, or leave a thread that does."""
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
