"""The completeness of an export, in words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import attrs

from canopy_async._util.instants import in_utc
from canopy_async.export.manifest_records import FileEntry, Header, IdentityEntry
from canopy_async.export.verdict import Status, Verdict
from canopy_async.export.verify import Checked
from canopy_async.report import Proof

__all__ = ["Box", "Completeness", "Doubtful", "Group", "completeness_of"]

_MOST_DOUBTFUL: Final = 200
_MOST_PROBLEMS: Final = 10

_LEFT_OUT: Final = (
    "The events of files that are not what was written are not in this page."
)
_FAILED: Final = (
    "Failed: {} could not be read.",
    "Events may be missing: see below of which identities, and why.",
)
_OPEN: Final = (
    "Open: {} not read to the end of the log.",
    "Events are missing.",
)
_UNPROVEN: Final = (
    "Unproven: {} read without a proof.",
    "Events may be missing.",
)
_GAP: Final = (
    "Gap: {} read too late.",
    "The server had deleted events before, which may never have been read.",
)

_NAMES: Final = {
    "complete": "Proven complete",
    "done": "Read, not proven",
    "open": "Not finished",
    "failed": "Failed",
    "gone": "Not listed any more",
}
_PROOFS: Final = {
    Proof.STRICT_KEY: "every page overlaps the next one in strict order of time",
    Proof.SHARED_ID: "every page shares an event with the one before it",
    Proof.COUNT: "as many different events as the server counted, all through",
    Proof.FENCE: "the first page, read again at the end, was still the same",
    Proof.CURSOR: "requests that follow one another in time share their events",
    Proof.NONE: "nothing",
}
_REASONS: Final = {
    "done": "plain pages do not show what moved between them",
    "open": "the export stopped before the end of its log",
    "failed": "its log could not be read, or not be proven",
    "gone": "the account lists it no more; its log is as it was read before",
}


@attrs.frozen(kw_only=True)
class Group:
    """Identities of which one thing is known.

    Attributes:
        name: The state that they are in.
        meaning: What that rests on.
        identities: How many they are.
        events: How many events of them there are.
    """

    name: str
    meaning: str
    identities: int
    events: int


@attrs.frozen(kw_only=True)
class Doubtful:
    """An identity that is not proven complete.

    Attributes:
        id: The identity.
        state: What became of it.
        events: How many events of it there are.
        why: What is known of the reason.
    """

    id: str
    state: str
    events: int
    why: str


@attrs.frozen(kw_only=True)
class Box:
    """One thing that is to be said of an export before all others.

    Attributes:
        tone: ``good``, ``plain``, ``warning`` or ``bad``.
        title: What it is, in a sentence.
        details: What it means, a sentence each.
    """

    tone: str
    title: str
    details: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class Completeness:
    """The proof of an export: what is complete, and what is not.

    Attributes:
        boxes: What is to be said first. One of them is ``good`` only where the
            export is finished, proven and as it was written.
        facts: What the export is of, by name.
        files: The data files.
        groups: The identities by what is known of them.
        doubtful: Those that are not proven complete, the failed ones first; not
            all of them if they are many.
        doubtful_note: How many of them are listed, if it is not all of them.
    """

    boxes: Sequence[Box]
    facts: Mapping[str, str]
    files: Sequence[FileEntry]
    groups: Sequence[Group]
    doubtful: Sequence[Doubtful]
    doubtful_note: str


def completeness_of(checked: Checked) -> Completeness:
    """Return what is proven of an export, and what is not."""
    manifest = checked.manifest
    entries = manifest.identities.values()
    doubtful = [entry for entry in entries if not entry.complete]
    doubtful.sort(key=lambda entry: (entry.state != "failed", entry.id))
    shown = doubtful[:_MOST_DOUBTFUL]
    return Completeness(
        boxes=list(_boxes(checked)),
        facts=_facts(checked),
        files=manifest.files,
        groups=_groups(entries),
        doubtful=[_doubtful(entry) for entry in shown],
        doubtful_note=(
            f"Of {len(doubtful):,}, the first {len(shown):,}: those that failed first."
            if len(shown) < len(doubtful)
            else ""
        ),
    )


def _boxes(checked: Checked) -> Iterator[Box]:
    verdict = checked.verdict
    if verdict.status is Status.DAMAGED:
        yield _damage(checked)
    if verdict.left_of_run:
        yield Box(
            tone="warning",
            title="Not finished: this may not be all that was asked for.",
            details=verdict.left_of_run,
        )
    if verdict.is_of_log:
        yield from _boxes_of_log(checked)
        return
    for count, (title, detail) in (
        (verdict.failed, _FAILED),
        (verdict.open, _OPEN),
        (verdict.unproven, _UNPROVEN),
        (verdict.gaps, _GAP),
    ):
        if count:
            noun = "1 identity" if count == 1 else f"{count:,} identities"
            yield Box(tone="warning", title=title.format(noun), details=(detail,))
    yield from _scope(verdict, _range(checked.manifest.header))


def _boxes_of_log(checked: Checked) -> Iterator[Box]:
    """Yield what is to be said of an export of an account's own log."""
    verdict, header = checked.verdict, checked.manifest.header
    errors = [
        f"{entry.error.type}: {entry.error.message}"
        for entry in checked.manifest.identities.values()
        if entry.error is not None
    ]
    if verdict.left_of_identities:
        yield Box(
            tone="warning",
            title="Events of the log may be missing.",
            details=[*verdict.left_of_identities, *errors],
        )
    wanted = _range(header)
    subject = f"{verdict.scope}, {wanted}" if wanted else verdict.scope
    as_of = f", as of {_instant(verdict.as_of)}" if verdict.as_of else ""
    proven = (
        (f"It is complete by the proof 'cursor'{as_of}: {_PROOFS[Proof.CURSOR]}.",)
        if verdict.status is Status.FINISHED
        else ()
    )
    yield Box(
        tone="plain",
        title="One log: the account's own, and not those of its identities.",
        details=(f"It was asked for {subject}.", *proven),
    )


def _damage(checked: Checked) -> Box:
    problems = checked.problems
    shown = problems.sentences[:_MOST_PROBLEMS]
    more = problems.count - len(shown)
    return Box(
        tone="bad",
        title="Damaged: what is here is not what was written.",
        details=[*shown, *([f"And {more:,} more."] if more else []), _LEFT_OUT],
    )


def _scope(verdict: Verdict, wanted: str) -> Iterator[Box]:
    """Yield what it is of; that it is complete, where that is so.

    Args:
        verdict: What may be said of the export.
        wanted: Which events were asked for, in words; empty for all.
    """
    is_finished = verdict.status is Status.FINISHED
    if verdict.asked is None:
        return
    if verdict.asked.kind != "all":
        logs = f"Of their logs, the events {wanted}" if wanted else "Their logs"
        proven = (f"{logs} are proven complete.",) if is_finished else ()
        yield Box(
            tone="plain",
            title="Selected: this is not the whole account.",
            details=(f"It was asked for {verdict.scope}.", *proven),
        )
    elif is_finished:
        as_of = f", as of {_instant(verdict.as_of)}" if verdict.as_of else ""
        logs = f"the logs of {verdict.scope}"
        subject = f"of {logs}, the events {wanted}" if wanted else logs
        event = "such event" if wanted else "event"
        yield Box(
            tone="good",
            title=f"Complete: {subject} are proven complete{as_of}.",
            details=(f"No {event} that was in them then can be missing here.",),
        )


def _facts(checked: Checked) -> dict[str, str]:
    manifest, verdict = checked.manifest, checked.verdict
    header = manifest.header
    return {
        "Source": f"account {header.account} at {header.base_url}",
        "Scope": verdict.scope,
        "Range": _range(header) or "all events",
        "Covered as of": (
            _instant(verdict.as_of) if verdict.as_of else "not all logs are covered"
        ),
        "Runs": f"{len(manifest.runs):,}",
        "Written by": header.library,
        "Digest of the manifest": f"sha256 {manifest.digest}",
    }


def _range(header: Header) -> str:
    """Return which events an export is of, in words; empty for all."""
    bounds = (
        f"from {_instant(header.since)}" if header.since else "",
        f"before {_instant(header.until)}" if header.until else "",
        f"that match {header.q!r}" if header.q else "",
    )
    return " and ".join(filter(None, bounds))


def _instant(at: datetime) -> str:
    return f"{in_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def _groups(entries: Iterable[IdentityEntry]) -> list[Group]:
    identities: Counter[tuple[str, Proof]] = Counter()
    events: Counter[tuple[str, Proof]] = Counter()
    for entry in entries:
        group = (
            ("complete", entry.proof) if entry.complete else (entry.state, Proof.NONE)
        )
        identities[group] += 1
        events[group] += entry.events
    states, proofs = list(_NAMES), list(Proof)
    return [
        Group(
            name=_NAMES[state],
            meaning=(
                f"{proof}: {_PROOFS[proof]}" if state == "complete" else _REASONS[state]
            ),
            identities=identities[state, proof],
            events=events[state, proof],
        )
        for state, proof in sorted(
            identities,
            key=lambda group: (states.index(group[0]), proofs.index(group[1])),
        )
    ]


def _doubtful(entry: IdentityEntry) -> Doubtful:
    why = _REASONS[entry.state]
    if entry.error is not None:
        why = f"{entry.error.type}: {entry.error.message}"
    return Doubtful(
        id=entry.id, state=_NAMES[entry.state], events=entry.events, why=why
    )
