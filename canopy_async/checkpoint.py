"""Checkpoints: the position of a read, as a small text to store and resume from."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Self, TypeVar

import attrs
import msgspec

from canopy_async._util.instants import in_utc, text_of
from canopy_async._util.public import publish
from canopy_async.errors import CheckpointError
from canopy_async.models import AwareDatetime
from canopy_async.report import Proof, ReadReport

__all__ = [
    "MAX_IDS",
    "Checkpoint",
    "CheckpointBuilder",
    "read_text",
    "scope_of",
    "scope_of_read",
]

H = TypeVar("H")
T = TypeVar("T")

VERSION: Final = 2
"""The version of the text. Later versions of this library read it, too."""

_BEFORE_RELEASE: Final = 1
MAX_IDS: Final = 100_000
"""The most ids in one checkpoint."""

_MAX_TEXT: Final = 16 * 1024 * 1024
_NO_IDS: Final[frozenset[str]] = frozenset()


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The position in a list right after the last row that was handed out.

    It is a time and the ids at that time, not the number of a row, so that it stays
    valid while rows are added and deleted, even the last one. It contains no token. It
    can only be used for the read that it came from: same server, account, list and
    query.

    Attributes:
        scope: A hash that identifies the read.
        order: ``asc`` or ``desc`` as observed in the rows, or None if they did not
            show it.
        key: ``created_at`` of the last row, or None before the first.
        ids: The ids of the rows at ``key`` that were handed out.
        position: The index in the list where this position was last seen; a hint.
        delivered: The number of rows handed out, also by the passes resumed from.
        proof: The proof for the rows handed out. If they are not proven complete, a
            read that resumes here can't be, either.

    Example:
        >>> text = run.checkpoint.dumps()
        >>> stream = canopy.events("idn_1", order="asc", resume=text)
    """

    scope: str
    order: str | None = None
    key: datetime | None = None
    ids: frozenset[str] = frozenset()
    position: int = 0
    delivered: int = 0
    proof: Proof = Proof.NONE

    def dumps(self) -> str:
        """Return the checkpoint as JSON text.

        Raises:
            CheckpointError: More than `MAX_IDS` rows share the key.
        """
        if len(self.ids) > MAX_IDS:
            raise CheckpointError(
                f"{len(self.ids)} rows share one created_at; a checkpoint holds"
                f" {MAX_IDS}"
            )
        return msgspec.json.encode(
            _Text(
                v=VERSION,
                scope=self.scope,
                order=self.order,
                key=None if self.key is None else in_utc(self.key),
                ids=sorted(self.ids),
                position=self.position,
                delivered=self.delivered,
                proof=self.proof,
            )
        ).decode()

    @classmethod
    def of_read(cls, resume: Any, scope: str) -> "Checkpoint":
        """Return the checkpoint to resume from, after checking its scope.

        Args:
            resume: A checkpoint, or its text.
            scope: The scope of the read that resumes.

        Raises:
            TypeError: ``resume`` is neither a checkpoint nor text.
            CheckpointError: The checkpoint is damaged, or belongs to another read.
        """
        if not isinstance(resume, (Checkpoint, str, bytes)):
            raise TypeError(f"resume must be a Checkpoint, not {type(resume).__name__}")
        found = resume if isinstance(resume, Checkpoint) else cls.loads(resume)
        if found.scope != scope:
            raise CheckpointError(
                "the checkpoint is of another read: server, account, identity, q,"
                " sort_by, order, since and until must be the same"
            )
        return found

    @classmethod
    def loads(cls, text: str | bytes) -> Self:
        """Return the checkpoint from a text that `dumps` returned.

        Raises:
            CheckpointError: The text is damaged, is too long, or has a version that
                this library does not know.
            TypeError: ``text`` is neither str nor bytes.
        """
        read = read_text(text, head=_Version, check=_check, whole=_Text)
        if read.order not in {"asc", "desc", None}:
            raise CheckpointError("not a checkpoint: order must be asc, desc or null")
        if len(read.ids) > MAX_IDS or min(read.delivered, read.position) < 0:
            raise CheckpointError("not a checkpoint: a number is out of bounds")
        if (read.key is None) != (not read.ids):
            raise CheckpointError("not a checkpoint: key and ids belong together")
        return cls(
            scope=read.scope,
            order=read.order,
            key=read.key,
            ids=frozenset(read.ids),
            position=read.position,
            delivered=read.delivered,
            proof=read.proof,
        )


class CheckpointBuilder:
    """Builds the checkpoints of one pass over a list.

    Args:
        scope: Returns the scope of the read. It is called when it is first needed.
        resume: The checkpoint that the pass began with, if any.
    """

    def __init__(
        self, scope: Callable[[], str], resume: Checkpoint | None = None
    ) -> None:
        self._find_scope: Final = scope
        self._key = None if resume is None else resume.key
        self._ids = _NO_IDS if resume is None else resume.ids
        self._resumed_after: Final = 0 if resume is None else resume.delivered
        self._delivered = 0

    @cached_property
    def _scope(self) -> str:
        return self._find_scope()

    def advance(self, rows: Sequence[Any]) -> None:
        """Record that these rows were handed out."""
        if not rows:
            return
        self._key, self._ids = self._after(rows)
        self._delivered += len(rows)

    def checkpoint(
        self, rows: Sequence[Any], report: ReadReport, *, position: int
    ) -> Checkpoint:
        """Return the checkpoint after rows that were handed out since `advance`.

        Args:
            rows: Rows that were handed out and not passed to `advance` yet.
            report: The report of the pass, for its order and proof.
            position: The index in the list at which the next row is expected.
        """
        key, ids = self._after(rows) if rows else (self._key, self._ids)
        return Checkpoint(
            scope=self._scope,
            order=report.order_observed,
            key=key,
            ids=ids,
            position=max(0, position),
            delivered=self._resumed_after + self._delivered + len(rows),
            proof=report.proof,
        )

    def _after(self, rows: Sequence[Any]) -> tuple[datetime | None, frozenset[str]]:
        index = len(rows) - 1
        key, ids = rows[index].created_at, [rows[index].id]
        while index and rows[index - 1].created_at == key:
            index -= 1
            ids.append(rows[index].id)
        return key, self._ids.union(ids) if key == self._key else frozenset(ids)


def read_text(
    text: Any, *, head: type[H], check: Callable[[H], None], whole: type[T]
) -> T:
    """Return the fields of a checkpoint's text.

    Args:
        text: The text, a str or UTF-8 bytes.
        head: The fields that tell what a text is of, whatever else it has.
        check: Raises a `CheckpointError` where a text is of something else.
        whole: All fields.

    Raises:
        CheckpointError: The text is damaged, too long, or refused by ``check``.
        TypeError: ``text`` is neither str nor bytes.
    """
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"a checkpoint is text, not {type(text).__name__}")
    if len(text) > _MAX_TEXT:
        raise CheckpointError(f"a checkpoint has at most {_MAX_TEXT} characters")
    try:
        check(msgspec.json.decode(text, type=head))
        return msgspec.json.decode(text, type=whole)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CheckpointError(f"not a checkpoint: {error}") from None


class _Version(msgspec.Struct):
    v: int


def _check(head: _Version) -> None:
    """Refuse a text of another version.

    Raises:
        CheckpointError: It is one.
    """
    if head.v == _BEFORE_RELEASE:
        raise CheckpointError(
            "the checkpoint was written before version 0.1.0 of this library,"
            " which can't resume from it: start again without it"
        )
    if head.v != VERSION:
        raise CheckpointError(f"a checkpoint of version {head.v} is unknown")


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    scope: str
    order: str | None
    key: AwareDatetime | None
    ids: list[str]
    position: int
    delivered: int
    proof: Proof


def scope_of_read(
    *,
    base_url: str,
    account: str,
    identity: str | None = None,
    **asked: str | datetime | None,
) -> str:
    """Return the scope of a read: a hash of its server, account, list and query.

    A checkpoint may only be used for a read with the checkpoint's scope.

    The hash is taken of the arguments as canonical JSON: keys sorted, no spaces, None
    left out, instants in UTC with microseconds. It therefore does not depend on how
    Python shows a value, and an argument that is added later changes no scope of a
    read that does not use it.

    Args:
        base_url: The URL of the API, without a trailing slash.
        account: The account's slug.
        identity: The identity whose log is read; None for other lists.
        **asked: The query by name: the search term, the order, the bounds.
    """
    fields = {
        "base_url": base_url,
        "account": account,
        "identity": identity,
        **asked,
    }
    given = {
        name: text_of(value) if isinstance(value, datetime) else value
        for name, value in fields.items()
        if value is not None
    }
    return scope_of(
        json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    )


def scope_of(text: str) -> str:
    """Return a short hash of a text that describes a scope: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


publish("canopy_async", Checkpoint)
