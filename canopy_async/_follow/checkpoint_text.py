"""The text of a follower's checkpoint: JSON, with a version of its own."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from canopy_async._util.instants import in_utc
from canopy_async.errors import CheckpointError
from canopy_async.models import AwareDatetime

__all__ = ["CheckpointText"]

_VERSION: Final = 2
_BEFORE_RELEASE: Final = 1
"""The version of texts from before 0.1.0, whose scope was made of a URL."""

_KIND: Final = "follow"
_MAX_TEXT: Final = 16 * 1024 * 1024
_TICK: Final = timedelta.resolution


class _Head(msgspec.Struct):
    v: int
    kind: str = ""


class CheckpointText(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The fields of the text, with the names that they have in the text.

    Attributes:
        v: The version of the text.
        kind: Always ``follow``; the checkpoint of a read has no such field.
        scope: A hash of the log.
        wm: The newest date that was handed out.
        floor: The earliest date from which on the ids of all known events are there;
            None if they all are.
        ids: For each known event, how much older than ``wm`` it is, in microseconds.
        n: How many events the server counted.
        explained: How many events the server may count if none was missed.
        kept: For how many microseconds the log has kept events at least, None where
            that is not needed.
    """

    v: int
    kind: str
    scope: str
    wm: AwareDatetime | None
    floor: AwareDatetime | None
    ids: dict[str, int]
    n: int
    explained: int | None = None
    kept: int | None = None

    @classmethod
    def of(
        cls,
        *,
        scope: str,
        newest: datetime | None,
        floor: datetime | None,
        ids: Mapping[str, datetime],
        count: int,
        explained: int | None,
        kept: timedelta | None,
    ) -> "CheckpointText":
        """Return the fields of the text for the fields of a `FollowCheckpoint`."""
        ages: dict[str, int] = {}
        if newest is not None:
            ages = {id_: (newest - date) // _TICK for id_, date in ids.items()}
        return cls(
            v=_VERSION,
            kind=_KIND,
            scope=scope,
            wm=None if newest is None else in_utc(newest),
            floor=None if floor is None else in_utc(floor),
            ids=ages,
            n=count,
            explained=explained,
            kept=None if kept is None else kept // _TICK,
        )

    def dumps(self) -> str:
        """Return the text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def loads(cls, text: str | bytes) -> "CheckpointText":
        """Return the fields that a text has.

        Raises:
            CheckpointError: The text is damaged, too long, of a read instead of
                a follower, or of a version that this library does not know.
            TypeError: ``text`` is neither str nor bytes.
        """
        if not isinstance(text, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a checkpoint is text, not {type(text).__name__}")
        if len(text) > _MAX_TEXT:
            raise CheckpointError(f"a checkpoint has at most {_MAX_TEXT} characters")
        try:
            _check(msgspec.json.decode(text, type=_Head))
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise CheckpointError(f"not a checkpoint: {error}") from None

    @property
    def dates(self) -> dict[str, datetime]:
        """The known events, each with its date.

        Raises:
            CheckpointError: A date is out of bounds, or ``wm`` is missing.
        """
        if not self.ids:
            return {}
        newest = self.wm
        if newest is None:
            raise CheckpointError("not a checkpoint: ids without a watermark")
        try:
            return {id_: newest - age * _TICK for id_, age in self.ids.items()}
        except OverflowError:
            raise CheckpointError("not a checkpoint: an age is too large") from None

    @property
    def kept_for(self) -> timedelta | None:
        """For how long the log has kept events at least, None where not needed.

        Raises:
            CheckpointError: The time is too long for a ``timedelta``.
        """
        try:
            return None if self.kept is None else self.kept * _TICK
        except OverflowError:
            raise CheckpointError("not a checkpoint: a time is too long") from None


def _check(head: _Head) -> None:
    """Check that a text is a follower's checkpoint of the present version.

    Raises:
        CheckpointError: The text is of a read, or of another version.
    """
    if head.kind != _KIND:
        raise CheckpointError("not a checkpoint of a follower")
    if head.v == _BEFORE_RELEASE:
        raise CheckpointError(
            "the checkpoint was written before version 0.1.0 of this library,"
            " which can't go on from it: begin afresh"
        )
    if head.v != _VERSION:
        raise CheckpointError(f"a checkpoint of version {head.v} is unknown")
