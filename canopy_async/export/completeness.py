"""What an export proves of its identities, in words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from canopy_async.export.manifest import IdentityEntry, Manifest
from canopy_async.report import Proof

__all__ = ["Completeness", "Doubtful", "Group", "completeness_of"]

_MOST_DOUBTFUL: Final = 200

_NAMES: Final = {
    "complete": "Proven complete",
    "done": "Read, not proven",
    "open": "Not finished",
    "failed": "Failed",
}
_PROOFS: Final = {
    Proof.STRICT_KEY: "every page overlaps the next one in strict order of time",
    Proof.SHARED_ID: "every page shares an event with the one before it",
    Proof.COUNT: "as many different events as the server counted, all through",
    Proof.FENCE: "the first page, read again at the end, was still the same",
    Proof.NONE: "nothing",
}
_REASONS: Final = {
    "done": "plain pages do not show what moved between them",
    "open": "the export stopped before the end of its log",
    "failed": "its log could not be read, or not be proven",
}


@attrs.frozen(kw_only=True)
class Group:
    """Identities of which the same is known.

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
class Completeness:
    """What is proven of an export.

    Attributes:
        is_whole: Whether there are identities, and each is proven complete.
        verdict: That in a sentence.
        explanation: What it means.
        groups: The identities by what is known of them.
        doubtful: Those that are not proven complete, the failed ones first; not
            all of them if they are many.
        doubtful_note: How many of them are listed, if it is not all of them.
    """

    is_whole: bool
    verdict: str
    explanation: str
    groups: Sequence[Group]
    doubtful: Sequence[Doubtful]
    doubtful_note: str


def completeness_of(manifest: Manifest) -> Completeness:
    """Return what a manifest says is proven, and what is not."""
    entries = manifest.identities.values()
    doubtful = [entry for entry in entries if not entry.complete]
    doubtful.sort(key=lambda entry: (entry.state != "failed", entry.id))
    shown = doubtful[:_MOST_DOUBTFUL]
    return Completeness(
        is_whole=bool(entries) and not doubtful,
        verdict=_verdict(len(entries), Counter(entry.state for entry in doubtful)),
        explanation=_explanation(len(entries), len(doubtful)),
        groups=_groups(entries),
        doubtful=[_doubtful(entry) for entry in shown],
        doubtful_note=(
            f"Of {len(doubtful):,}, the first {len(shown):,}: those that failed first."
            if len(shown) < len(doubtful)
            else ""
        ),
    )


def _verdict(identities: int, doubtful: Counter[str]) -> str:
    if not identities:
        return "Nothing is proven: no identity was exported."
    if not doubtful:
        if identities == 1:
            return "Complete: the identity's log is proven complete."
        return f"Complete: the logs of all {identities:,} identities are proven."
    proven = identities - doubtful.total()
    parts = [
        f"{doubtful[state]:,} {words}"
        for state, words in (
            ("failed", "failed"),
            ("open", "not finished"),
            ("done", "read without proof"),
        )
        if doubtful[state]
    ]
    return (
        f"Not complete: {proven:,} of {identities:,} identities are proven,"
        f" {', '.join(parts)}."
    )


def _explanation(identities: int, doubtful: int) -> str:
    if not identities:
        return "This report says nothing of the account."
    if not doubtful:
        return "No event that was in their logs can be missing from this report."
    return "Of the others, events may be missing from this report."


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
