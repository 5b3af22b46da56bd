"""Answers to what an auditor asks: who, what, and what came after failures."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from canopy_async.export.batches import Batch, Row

__all__ = [
    "PRIVILEGE_WORDS",
    "READING_WORDS",
    "Audit",
    "AuditBuilder",
    "FailureRun",
    "IdentityTally",
    "failure_runs",
    "is_privilege_change",
]

PRIVILEGE_WORDS: Final = (
    *("role", "permission", "policy", "grant", "privilege", "admin", "owner"),
    *("key", "apikey", "credential", "secret", "member", "membership", "group"),
    *(
        "invitation",
        "mfa",
        "totp",
        "webauthn",
        "passkey",
        "sso",
        "saml",
        "oidc",
        "scim",
    ),
    "impersonation",
)
"""Words of an action, in singular, that make it one of privileges."""

READING_WORDS: Final = (
    *("read", "list", "listed", "get", "view", "viewed", "queried"),
    *("checked", "evaluated", "passed", "tested", "verified"),
)
"""Last words of an action that changes nothing."""

_MOST_CHANGES: Final = 500
"""Changes of privileges that a page lists; it counts all of them."""

_LEAST_RUN: Final = 3
_MOST_RUNS: Final = 50
_TROUBLE: Final = frozenset(("failure", "denied"))
_OUTCOME_WORD: Final = re.compile(
    r"[._:-](failed|failure|denied|rejected|refused|succeeded|success|successful)$"
)
"""The end of an action that says how it went."""
_WORD: Final = re.compile(r"[A-Za-z0-9]+")

_Key: TypeAlias = tuple[str, str | None, str | None, str]


@attrs.define
class IdentityTally:
    """The counts of one identity's events.

    Attributes:
        events: How many there are.
        failures: How many of them failed.
        denials: How many of them were denied.
        first: When the earliest was, in microseconds since 1970.
        last: When the latest was.
    """

    events: int = 0
    failures: int = 0
    denials: int = 0
    first: int | None = None
    last: int | None = None


@attrs.frozen(kw_only=True)
class FailureRun:
    """Failures and denials of one actor and action, up to the success after them.

    Attributes:
        last: The last event of the run that failed or was denied.
        failures: How many there were, with no success between them.
        began: When the first of them was, in microseconds since 1970.
        succeeded: When the success after them was, None where none came.
    """

    last: Row
    failures: int
    began: int
    succeeded: int | None


@attrs.frozen(kw_only=True)
class Audit:
    """The answers to an auditor's questions on an export.

    Attributes:
        identities: The counts of each identity that has events.
        changes: The latest changes of privileges, the newest first.
        changed: How many changes there are of each action, the most frequent first.
    """

    identities: Mapping[str, IdentityTally]
    changes: Sequence[Row]
    changed: Mapping[str, int]


class AuditBuilder:
    """Counts rows, some at a time."""

    def __init__(self) -> None:
        self._identities: Final[dict[str, IdentityTally]] = {}
        self._is_change: Final[dict[str, bool]] = {}
        self._changed: Final[Counter[str]] = Counter()
        self._changes: list[Row] = []

    def add(self, batch: Batch) -> None:
        """Count some rows."""
        for (whose, outcome), n in batch.counts("identity_id", "outcome"):
            tally = self._identities.setdefault(whose, IdentityTally())
            tally.events += n
            tally.failures += n if outcome == "failure" else 0
            tally.denials += n if outcome == "denied" else 0
        for whose, first, last in batch.spans("identity_id"):
            tally = self._identities[whose]
            tally.first = first if tally.first is None else min(first, tally.first)
            tally.last = last if tally.last is None else max(last, tally.last)
        self._add_changes(batch)

    def result(self) -> Audit:
        """Return what all rows add up to."""
        self._trim()
        return Audit(
            identities=self._identities,
            changes=self._changes,
            changed=dict(self._changed.most_common()),
        )

    def _add_changes(self, batch: Batch) -> None:
        actions: list[str] = []
        for (action,), n in batch.counts("action"):
            if self._changes_privileges(action):
                actions.append(action)
                self._changed[action] += n
        if not actions:
            return
        self._changes += batch.of_actions(actions)
        if len(self._changes) > 2 * _MOST_CHANGES:
            self._trim()

    def _changes_privileges(self, action: str) -> bool:
        if action not in self._is_change:
            if len(self._is_change) > 50_000:  # noqa: PLR2004 - a log of odd actions
                self._is_change.clear()
            self._is_change[action] = is_privilege_change(action)
        return self._is_change[action]

    def _trim(self) -> None:
        self._changes.sort(key=_created_at, reverse=True)
        del self._changes[_MOST_CHANGES:]


def is_privilege_change(action: str) -> bool:
    """Tell whether an action changes who may do what, by the words of its name."""
    words = [word.lower() for word in _WORD.findall(action)]
    if not words or words[-1] in READING_WORDS:
        return False
    return any(
        word in PRIVILEGE_WORDS
        or word.removesuffix("s") in PRIVILEGE_WORDS
        or (word.endswith("ies") and f"{word[:-3]}y" in PRIVILEGE_WORDS)
        for word in words
    )


def failure_runs(rows: Iterable[Row]) -> list[FailureRun]:
    """Return the longest runs of failures, each of one actor and one action.

    ``auth.login.failed`` and ``auth.login.succeeded`` are one action here. Events whose
    actor has neither an id nor a label are left out.

    Args:
        rows: Events in any order.

    Returns:
        Runs of three or more; those that a success came after are first, then the
        longest; no more than fifty.
    """
    open_runs: dict[_Key, tuple[int, int, Row]] = {}
    found: list[FailureRun] = []
    for row in sorted(rows, key=_created_at):
        if not (row.actor_id or row.actor_label):
            continue  # who these are can't be told apart
        name = row.actor_label if row.actor_id is None else None
        key = row.actor_type, row.actor_id, name, _OUTCOME_WORD.sub("", row.action)
        run = open_runs.get(key)
        if row.outcome in _TROUBLE:
            count, began = (0, row.created_at) if run is None else run[:2]
            open_runs[key] = count + 1, began, row
        elif run is not None:
            del open_runs[key]
            found += _run(run, row.created_at)
    for run in open_runs.values():
        found += _run(run, None)
    found.sort(key=lambda it: (it.succeeded is None, -it.failures, -it.began))
    return found[:_MOST_RUNS]


def _run(run: tuple[int, int, Row], succeeded: int | None) -> Iterable[FailureRun]:
    count, began, last = run
    if count >= _LEAST_RUN:
        yield FailureRun(last=last, failures=count, began=began, succeeded=succeeded)


def _created_at(row: Row) -> int:
    return row.created_at
