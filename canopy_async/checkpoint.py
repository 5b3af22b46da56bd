"""Checkpoints: the place of a read, as a small text that outlives the process."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Self

import attrs
import msgspec

from canopy_async._util.instants import in_utc, text_of
from canopy_async._util.public import publish
from canopy_async.errors import CheckpointError
from canopy_async.models import AwareDatetime
from canopy_async.report import Proof, ReadReport

__all__ = ["MAX_IDS", "Checkpoint", "CheckpointBuilder", "scope_of", "scope_of_read"]

VERSION: Final = 2
"""The version of the text; each later one of this library reads it."""

_BEFORE_RELEASE: Final = 1
MAX_IDS: Final = 100_000
"""Ids that one checkpoint holds at most."""

_MAX_TEXT: Final = 16 * 1024 * 1024
_NO_IDS: Final[frozenset[str]] = frozenset()


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The place in a list right after the last row that was handed out.

    It names a key and the rows at that key, not a row: rows may come, and may
    go, the last one included. It holds no token, and can only be used on the
    read that it came from: same server, account, list and query.

    Attributes:
        scope: A hash of that read.
        order: ``asc`` or ``desc`` as seen in the rows, None where they did
            not tell.
        key: ``created_at`` of the last row, None before the first.
        ids: The rows at ``key`` that were handed out already.
        position: Where in the list the place was when last seen, a hint.
        delivered: Rows handed out in all.
        proof: What stands behind them: a read that goes on from here can't
            be proven complete where they are not.

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
        """Return ``resume`` as a checkpoint of the read with this scope.

        Args:
            resume: A checkpoint, or its text.
            scope: The scope of the read that goes on.

        Raises:
            TypeError: ``resume`` is neither.
            CheckpointError: It is damaged, or of another read.
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
        """Return the checkpoint that `dumps` wrote.

        Raises:
            CheckpointError: The text is damaged, too long or of a version
                that this library does not know.
            TypeError: ``text`` is neither str nor bytes.
        """
        if not isinstance(text, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a checkpoint is text, not {type(text).__name__}")
        if len(text) > _MAX_TEXT:
            raise CheckpointError(f"a checkpoint has at most {_MAX_TEXT} characters")
        try:
            version = msgspec.json.decode(text, type=_Version).v
            if version == _BEFORE_RELEASE:
                raise CheckpointError(
                    "the checkpoint was written before version 0.1.0 of this library,"
                    " which can't go on from it: begin afresh"
                )
            if version != VERSION:
                raise CheckpointError(f"a checkpoint of version {version} is unknown")
            read = msgspec.json.decode(text, type=_Text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise CheckpointError(f"not a checkpoint: {error}") from None
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
    """The checkpoint of a pass over a list, kept up to date row by row.

    Args:
        scope: Returns the hash of the read, which few passes need.
        resume: The checkpoint that the pass began with, if any.
    """

    def __init__(
        self, scope: Callable[[], str], resume: Checkpoint | None = None
    ) -> None:
        self._find_scope: Final = scope
        self._key = None if resume is None else resume.key
        self._ids = _NO_IDS if resume is None else resume.ids
        self._before: Final = 0 if resume is None else resume.delivered
        self._delivered = 0

    @cached_property
    def _scope(self) -> str:
        return self._find_scope()

    def advance(self, rows: Sequence[Any]) -> None:
        """Move past rows that were handed out."""
        if not rows:
            return
        self._key, self._ids = self._after(rows)
        self._delivered += len(rows)

    def checkpoint(
        self, rows: Sequence[Any], report: ReadReport, *, position: int
    ) -> Checkpoint:
        """Return the place after rows that were handed out since `advance`."""
        key, ids = self._after(rows) if rows else (self._key, self._ids)
        return Checkpoint(
            scope=self._scope,
            order=report.order_observed,
            key=key,
            ids=ids,
            position=max(0, position),
            delivered=self._before + self._delivered + len(rows),
            proof=report.proof,
        )

    def _after(self, rows: Sequence[Any]) -> tuple[datetime | None, frozenset[str]]:
        at = len(rows) - 1
        key, ids = rows[at].created_at, [rows[at].id]
        while at and rows[at - 1].created_at == key:
            at -= 1
            ids.append(rows[at].id)
        return key, self._ids.union(ids) if key == self._key else frozenset(ids)


class _Version(msgspec.Struct):
    v: int


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
    """Return the scope of a read: a hash of what its checkpoints may be used for.

    It is the hash of the fields by name, as canonical JSON: sorted, without spaces,
    those that are None left out, instants in UTC to the microsecond. So it depends on
    no URL and no way in which Python shows a value, and a field that is added later
    leaves the scopes of reads without it as they are.

    Args:
        base_url: Where the API is, without a trailing slash.
        account: The account's slug.
        identity: Whose log it is, None for the list of identities.
        **asked: What was asked for, by name: the search term, the order, the bounds.
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
    """Return a short hash of a text, which tells one scope from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


publish("canopy_async", Checkpoint)
