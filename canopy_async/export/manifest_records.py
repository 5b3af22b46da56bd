"""The records of a manifest: each is one line of JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs
import msgspec

from canopy_async._util.public import publish
from canopy_async.errors import ExportError
from canopy_async.export.identity_entry import (
    EventMark,
    Failure,
    IdentityEntry,
    IdentityState,
)
from canopy_async.export.manifest_header import VERSION, Header, Source, scope_of_export
from canopy_async.models import AwareDatetime
from canopy_async.report import Proof

__all__ = [
    "FILE_NAME",
    "HEAD",
    "VERSION",
    "Asked",
    "Begin",
    "Commit",
    "End",
    "EventMark",
    "Failure",
    "FileEntry",
    "Header",
    "IdentityEntry",
    "IdentityState",
    "Listed",
    "Record",
    "Source",
    "dump_line",
    "load_line",
    "scope_of_export",
]

Coverage: TypeAlias = Literal["all", "listing", "selection", "log"]
Outcome: TypeAlias = Literal["finished", "stopped", "failed"]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

FILE_NAME: Final = r"^events-(s[0-9]{5,9}-[0-9a-f]{8}-)?[0-9]{5}\.[a-z.]+$"
"""Names of data files. Those of a cluster name the shard and the attempt as well."""


@attrs.frozen(kw_only=True)
class Asked:
    """The identities that a run was asked to export.

    Attributes:
        kind: ``all``: all identities of the account, as it lists them.
            ``listing``: those of the account's list that a filter leaves.
            ``selection``: ids that the caller named. ``log``: no identities, but the
            log of the account.
        filter: The filter of a listing.
    """

    kind: Coverage
    filter: Mapping[str, str] | None = None


@attrs.frozen(kw_only=True)
class Begin:
    """The begin of a run. It is on the disk before the run's first request.

    Attributes:
        kind: Always ``begin``.
        n: The number of its line.
        prev: The sha256 of the line before it.
        run: The number of the run, from 1.
        at: When the run began, by the clock of the machine: no answer had come
            yet that told the server's time.
        asked: Which identities the run was asked to export.
        look_back: Seconds before the newest event of a log that the next run
            reads again, to find events that are committed late.
        library: The name and version of the library that wrote it.
    """

    kind: Literal["begin"] = "begin"
    n: int = 0
    prev: str = ""
    run: int
    at: AwareDatetime
    asked: Asked
    look_back: float
    library: str


@attrs.frozen(kw_only=True)
class Listed:
    """The identities that a run was given, once all of them are known.

    Attributes:
        kind: Always ``listed``.
        n: The number of its line.
        prev: The sha256 of the line before it.
        at: When the last of them was known, by the server's clock where an
            answer has told it.
        identities: How many different identities these are; 1 for an account's log.
        sha256: The hash of their ids, sorted by code points, each followed by a
            line feed.
        complete: Whether that is proven to be the whole list of the account. Of
            ids that the caller named it is true: they are all that was asked for.
        proof: What proves the list of the account; None for ids that the caller
            named.
        counted: How many identities the server counted; None for ids that the
            caller named.
    """

    kind: Literal["listed"] = "listed"
    n: int = 0
    prev: str = ""
    at: AwareDatetime
    identities: _Count
    sha256: str
    complete: bool
    proof: Proof | None = None
    counted: _Count | None = None


@attrs.frozen(kw_only=True)
class FileEntry:
    """A data file of an export.

    Attributes:
        name: The file's name in the directory.
        rows: How many rows it holds.
        bytes: Its size in bytes.
        sha256: The sha256 of its contents, in hexadecimal.
    """

    name: Annotated[str, msgspec.Meta(pattern=FILE_NAME)]
    rows: _Count
    bytes: _Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


@attrs.frozen(kw_only=True)
class Commit:
    """A commit: files and identities that became final together.

    Attributes:
        kind: Always ``commit``.
        n: The number of its line.
        prev: The sha256 of the line before it.
        at: When it was committed, by the server's clock where an answer has told
            it. None in a manifest of version 1.
        file: The data file that it added, None where there were no rows.
        identities: The identities that were touched since the commit before.
        unchanged: Identities whose logs were read again and had nothing new.
            They are covered as of ``unchanged_as_of``.
        unchanged_as_of: How far these are covered: the earliest of them.
    """

    kind: Literal["commit"] = "commit"
    n: int = 0
    prev: str = ""
    at: AwareDatetime | None = None
    file: FileEntry | None = None
    identities: tuple[IdentityEntry, ...] = ()
    unchanged: tuple[str, ...] = ()
    unchanged_as_of: AwareDatetime | None = None


@attrs.frozen(kw_only=True)
class End:
    """The end of a run. A run that was killed has none.

    Attributes:
        kind: Always ``end``.
        n: The number of its line.
        prev: The sha256 of the line before it.
        run: The number of the run.
        began: When the run began, by the server's clock; None where no answer
            has told it.
        at: When it ended, by the server's clock where an answer has told it.
        outcome: ``finished``: each identity that was asked for was read, or
            failed by itself. ``stopped``: it was interrupted. ``failed``: an
            error ended it.
        error: What ended it, where an error did.
        events: How many events the run added.
        late: How many of these were committed late.
        covered: How many identities the run read to the end.
        failed: How many identities failed in the run.
        new_identities: How many identities the run was the first to read to their
            end.
        as_of: How far the logs are covered that the run read to the end: the
            earliest of them; None where there are none.
    """

    kind: Literal["end"] = "end"
    n: int = 0
    prev: str = ""
    run: int
    began: AwareDatetime | None = None
    at: AwareDatetime
    outcome: Outcome
    error: Failure | None = None
    events: _Count = 0
    late: _Count = 0
    covered: _Count = 0
    failed: _Count = 0
    new_identities: _Count = 0
    as_of: AwareDatetime | None = None


Record: TypeAlias = Header | Begin | Listed | Commit | End

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    cls.__name__.lower(): msgspec.json.Decoder(cls)
    for cls in (Header, Begin, Listed, Commit, End)
}
HEAD: Final = b'{"kind":"'
"""The prefix of each line."""

_LONGEST_KIND: Final = 16


def dump_line(record: Record) -> bytes:
    """Return a record as a line of the manifest."""
    # In the order of the class, for those who read it by eye.
    names = [field.name for field in attrs.fields(type(record))]
    return msgspec.json.encode({name: getattr(record, name) for name in names}) + b"\n"


def load_line(line: bytes) -> Record:
    """Return the record of a line.

    Raises:
        ExportError: It is none.
    """
    kind, quote, _ = line[len(HEAD) : len(HEAD) + _LONGEST_KIND].partition(b'"')
    decoder = _DECODERS.get(kind.decode("ascii", "replace"))
    if not line.startswith(HEAD) or not quote or decoder is None:
        raise ExportError("not a record of a manifest")
    try:
        record: Record = decoder.decode(line)
    except _UNREADABLE as error:
        raise ExportError(str(error)) from None
    return record


publish(
    "canopy_async.export",
    Asked,
    Begin,
    Commit,
    End,
    FileEntry,
    Listed,
)
