"""The lines of ``--verbose``: each request, retry and pause, when it happens."""

from canopy_async import CooldownStarted, HookRecord, RequestFinished, RetryScheduled
from canopy_async.cli.terminal.exit import complain

__all__ = ["say_record"]


def say_record(record: HookRecord) -> None:
    """Write a session's record to standard error as one line; a hook.

    Records contain no token, no id and no data of a row.
    """
    match record:
        case RequestFinished():
            status = "no complete answer" if record.status is None else record.status
            attempt = "" if record.attempt == 1 else f", attempt {record.attempt}"
            complain(
                f"GET {record.path} page {record.page} of {record.take} rows{attempt}:"
                f" {status}, {record.size:,} bytes in {record.seconds:.3f} s"
            )
        case RetryScheduled():
            complain(
                f"GET {record.path} page {record.page} failed ({record.reason}),"
                f" attempt {record.attempt}; again in {record.wait:.2f} s"
            )
        case CooldownStarted():
            complain(
                f"the server answered {record.status}: no requests for"
                f" {record.seconds:.2f} s"
            )
        case _:
            pass  # RequestFinished has reported the page's request already
