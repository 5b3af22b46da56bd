"""An event loop whose clock jumps to the next timer: no test waits for time."""

import asyncio
import functools


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a virtual clock, which never waits.

    When no callback is ready, `time` jumps to the earliest timer. If there is no timer
    either, the loop would wait for ever, and raises an error instead. While a thread of
    `run_in_executor` works, the virtual time stands still.

    Attributes:
        woken_at: The instants at which a timer ended the sleep of the loop.
    """

    def __init__(self):
        super().__init__()
        self._virtual_now = 0.0
        self.woken_at = []
        self._in_threads = 0

    def time(self):
        return self._virtual_now

    def run_in_executor(self, executor, func, *args):
        work = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        work.add_done_callback(self._is_done)
        return work

    def _is_done(self, _work):
        self._in_threads -= 1

    def _run_once(self):
        if not (self._ready or self._in_threads):
            timers = [t.when() for t in self._scheduled if not t.cancelled()]
            if not timers:
                raise AssertionError("every task waits for what will never happen")
            self._virtual_now = max(self._virtual_now, min(timers))
            self.woken_at.append(self._virtual_now)
        super()._run_once()


def run(coroutine):
    """Run a coroutine in virtual time, which starts at 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def virtual(test):
    """Decorator: run an async test in virtual time."""

    @functools.wraps(test)
    def wrapper(*args, **kwargs):
        run(test(*args, **kwargs))

    return wrapper


def now():
    """The time of the running loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


async def settle(turns=20):
    """Let the loop run some iterations, without virtual time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)
