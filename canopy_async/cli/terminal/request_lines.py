"""The lines of ``--verbose``: requests, retries and cooldowns, as they happen."""

from canopy_async import CooldownStarted, HookRecord, RequestFinished, RetryScheduled
from canopy_async.cli.terminal.exit import complain

__all__ = ["say_record"]


def say_record(record: HookRecord) -> None:
    """Write a record of a session to standard error, as one line.

    Records hold no token, no id and nothing of a row.
    """
    match record:
        case RequestFinished():
            status = "no whole answer" if record.status is None else record.status
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
            pass  # a page is said by its request
