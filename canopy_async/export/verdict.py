"""The verdict on an export as a whole: finished, unfinished or damaged."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs

from canopy_async._util.instants import in_utc
from canopy_async._util.public import publish
from canopy_async.export.manifest import Manifest, RunEntry
from canopy_async.export.manifest_records import Asked, End

__all__ = [
    "Activity",
    "Status",
    "Verdict",
    "command_to_go_on",
    "instant_in_words",
    "verdict_on",
]


class Status(StrEnum):
    """The status of an export.

    Attributes:
        FINISHED: All files are as they were written. They have everything that was
            asked for, and it is proven complete.
        UNFINISHED: All files are as they were written, but something that was asked
            for is missing or not proven.
        DAMAGED: A data file is missing, altered or not in the manifest, or the
            manifest is cut or edited.
    """

    FINISHED = "finished"
    UNFINISHED = "unfinished"
    DAMAGED = "damaged"


class Activity(StrEnum):
    """Whether a process is writing to an export now.

    Attributes:
        WRITING: A process is writing.
        IDLE: No process is writing.
        UNKNOWN: This can't be known, as the directory's filesystem has no locks.
    """

    WRITING = "writing"
    IDLE = "idle"
    UNKNOWN = "unknown"


_NO_END: Final = {
    Activity.WRITING: None,
    Activity.IDLE: (
        "Run {} has no end: it was killed, the machine stopped, or the disk was full."
    ),
    Activity.UNKNOWN: "Run {} has no end: it is still running, or it was killed.",
}


@attrs.frozen(kw_only=True)
class Verdict:
    """The verdict on an export as a whole.

    Attributes:
        status: Whether the export is finished, unfinished or damaged.
        left_of_run: Sentences on what the last run did not finish.
        left_of_identities: Sentences on identities, or on the account's log, that are
            not finished or not proven.
        asked: The identities that the last run was asked to export; None if there was
            no run, as in a manifest of version 1.
        filters: The filters of an export of an account's log; None for all events.
        identities: The number of these identities; None if it is not known.
        covered: The number of identities whose logs are proven complete.
        failed: The number of identities whose logs could not be read, or that the
            account stopped listing before a run read their logs to the end.
        open: The number of identities whose logs are not read to the end yet.
        unproven: The number of identities whose logs were read to the end without a
            proof.
        gone: The number of identities that the account no longer lists.
        gaps: The number of identities of which events may be missing, because the
            server deleted them before a run could read them.
        as_of: The instant up to which the logs of all identities are covered, at
            least; None if one log was never read to the end.
    """

    status: Status
    left_of_run: tuple[str, ...]
    left_of_identities: tuple[str, ...]
    asked: Asked | None
    filters: Mapping[str, str] | None = None
    identities: int | None
    covered: int
    failed: int
    open: int
    unproven: int
    gone: int
    gaps: int
    as_of: datetime | None

    @property
    def is_of_log(self) -> bool:
        """Whether the export is of an account's own log, and not of identities."""
        return self.asked is not None and self.asked.kind == "log"

    @property
    def left(self) -> tuple[str, ...]:
        """All sentences on what is not finished or not proven."""
        return self.left_of_run + self.left_of_identities

    @property
    def scope(self) -> str:
        """The identities or the log that the export was asked for, in words."""
        if self.asked is None:
            return "an unknown number of identities"
        if self.is_of_log:
            named = ", ".join(f"{k}={v}" for k, v in (self.filters or {}).items())
            return f"the account's own log{f', events with {named}' if named else ''}"
        number = "" if self.identities is None else f"{self.identities:,} "
        noun = f"{number}{'identity' if self.identities == 1 else 'identities'}"
        if self.asked.kind == "all":
            return f"all {noun} of the account"
        if self.asked.kind == "selection":
            return f"a selection of {noun}, not the whole account"
        narrowed = ", ".join(f"{k}={v}" for k, v in (self.asked.filter or {}).items())
        return f"{noun} with {narrowed}, not the whole account"


def verdict_on(manifest: Manifest, *, is_damaged: bool, activity: Activity) -> Verdict:
    """Return the verdict on an export.

    Args:
        manifest: The summary of the export's manifest.
        is_damaged: Whether any file is not as it was written.
        activity: Whether a process is writing to the export now.
    """
    entries = manifest.identities.values()
    lost = [e for e in entries if e.state == "gone" and e.as_of is None]
    counts = _Counts(
        covered=sum(e.complete and e.state == "done" for e in entries),
        failed=sum(e.state == "failed" for e in entries) + len(lost),
        open=sum(e.state == "open" for e in entries),
        unproven=sum(e.state == "done" and not e.complete for e in entries),
        gaps=sum(e.gap is not None for e in entries),
    )
    last = manifest.runs[-1] if manifest.runs else None
    of_run = tuple(_left_of_run(manifest, activity))
    is_of_log = manifest.header.log_key is not None
    left = _left_of_log(counts) if is_of_log else _left_of_identities(counts, last)
    of_identities = tuple(left)
    is_finished = not of_run and not of_identities
    status = Status.FINISHED if is_finished else Status.UNFINISHED
    listed = None if last is None else last.listed
    return Verdict(
        status=Status.DAMAGED if is_damaged else status,
        left_of_run=of_run,
        left_of_identities=of_identities,
        asked=None if last is None else last.begin.asked,
        filters=manifest.header.filters,
        identities=None if listed is None else listed.identities,
        covered=counts.covered,
        failed=counts.failed,
        open=counts.open,
        unproven=counts.unproven,
        gone=sum(e.state == "gone" for e in entries),
        gaps=counts.gaps,
        as_of=manifest.as_of,
    )


@attrs.frozen(kw_only=True)
class _Counts:
    covered: int
    failed: int
    open: int
    unproven: int
    gaps: int


def _left_of_run(manifest: Manifest, activity: Activity) -> Iterator[str]:
    """Yield a sentence on each thing that the last run did not finish."""
    last = manifest.runs[-1] if manifest.runs else None
    if activity is Activity.WRITING:
        yield "It is being written now."
    if last is None:
        yield (
            "It has no record of a run, so it is unknown what was asked for."
            if manifest.header.version > _OLD
            else "Its manifest is of version 1, which did not keep what was asked for."
        )
        return
    if last.end is not None:
        yield from _left_of_end(last.end)
    elif (words := _NO_END[activity]) is not None:
        yield words.format(last.begin.run)
    if manifest.is_cut_short and activity is not Activity.WRITING:
        yield (
            "The last line of the manifest is cut short: a process was probably killed"
            " while it wrote."
        )
    if manifest.header.log_key is not None:
        return
    if last.listed is None:
        yield (
            "The number of identities is not known yet."
            if last.end is None
            else "The number of identities was not known yet when the run ended."
        )
    elif not last.listed.complete:
        yield (
            "The account's list of identities is not proven complete:"
            f" {last.listed.proof}."
        )


def _left_of_end(end: End) -> Iterator[str]:
    """Yield a sentence on the end of a run that did not finish."""
    if end.outcome == "stopped":
        yield f"Run {end.run} was stopped before its end."
    elif end.error is not None:
        yield f"Run {end.run} was ended by {end.error.type}: {end.error.message}"
    elif end.outcome != "finished":
        yield f"Run {end.run} failed."


def _left_of_identities(counts: _Counts, last: RunEntry | None) -> Iterator[str]:
    """Yield sentences on the identities that are not finished, failed or unproven."""
    listed = None if last is None else last.listed
    known = counts.covered + counts.failed + counts.open + counts.unproven
    total = f" of {max(known, listed.identities):,}" if listed is not None else ""
    for count, words in (
        (counts.failed, "could not be read"),
        (counts.open, "not read to the end of the log"),
        (counts.unproven, "read without a proof"),
        (0 if listed is None else listed.identities - known, "not begun"),
        (counts.gaps, "with a gap: the server had deleted events before a run"),
    ):
        if count > 0:
            yield f"Identities {words}: {count:,}{total}."


def _left_of_log(counts: _Counts) -> Iterator[str]:
    """Yield why the log of an account is not finished, or not proven."""
    known = counts.covered + counts.failed + counts.open + counts.unproven
    for is_so, words in (
        (counts.failed, "could not be read to its end"),
        (counts.open, "is not read to its end"),
        (counts.unproven, "was read without a proof"),
        (not known, "is not begun"),
        (counts.gaps, "has a gap, where the server had deleted events before"),
    ):
        if is_so:
            yield f"The log of the account {words}."


_OLD: Final = 1


def command_to_go_on(directory: str, manifest: Manifest) -> str:
    """Return the shell command that continues an export.

    Args:
        directory: The directory of the export.
        manifest: The summary of its manifest.
    """
    header = manifest.header
    asked = manifest.runs[-1].begin.asked if manifest.runs else None
    which = ["--all"] if asked is None or asked.kind == "all" else ["--from", "IDS.txt"]
    if header.log_key is not None:
        which = ["--log"]
    options = {
        "--out": directory,
        "--account": header.account,
        "--base-url": header.base_url,
        "--format": header.format,
        "--since": header.since and instant_in_words(header.since),
        "--until": header.until and instant_in_words(header.until),
        "--q": header.q,
    }
    words = [word for name, value in options.items() if value for word in (name, value)]
    for name, value in (header.filters or {}).items():
        flag = f"--{name.replace('_', '-')}"
        values = value.split(",") if name == "action" else [value]
        words += [word for one in values for word in (flag, one)]
    return shlex.join(["canopy-async", "export", *which, *words])


def instant_in_words(at: datetime) -> str:
    """Return an instant as ISO 8601 text in UTC, ending with ``Z``."""
    return in_utc(at).isoformat().replace("+00:00", "Z")


publish("canopy_async.export", Status)
