"""The records of a manifest: each is one line of JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs
import msgspec

from canopy_async._account.account_log import account_key
from canopy_async._follow.follow_checkpoint import Gap
from canopy_async._read.events_query import EventsQuery
from canopy_async._util.display import clipped
from canopy_async._util.instants import text_of
from canopy_async._util.public import publish
from canopy_async.checkpoint import scope_of
from canopy_async.errors import ExportError
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

VERSION: Final = 2

IdentityState: TypeAlias = Literal["open", "done", "failed", "gone"]
Coverage: TypeAlias = Literal["all", "listing", "selection", "log"]
Source: TypeAlias = Literal["identities", "account-log"]
Outcome: TypeAlias = Literal["finished", "stopped", "failed"]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

FILE_NAME: Final = r"^events-(s[0-9]{5,9}-[0-9a-f]{8}-)?[0-9]{5}\.[a-z.]+$"
"""Names of data files. Those of a cluster name the shard and the attempt as well."""


@attrs.frozen(kw_only=True)
class Header:
    """The first line of a manifest: what the files of an export hold.

    Attributes:
        kind: Always ``header``.
        n: The number of its line, 1.
        prev: The sha256 of the line before it: empty, as there is none.
        version: The version of the manifest's format.
        account: The account's slug.
        base_url: Where the API is.
        format: The format of the data files.
        order: The order that events of one identity were asked for in.
        since: The earliest ``created_at`` that is wanted, inclusive, or None.
        until: The first ``created_at`` that is not wanted. None makes the export
            an open one: each run adds what has come since the run before.
        q: The search term, or None.
        source: Where the events were read: ``identities``, the logs of identities, or
            ``account-log``, the log of the account. Rows of this one have no
            ``identity_id``.
        filters: What else the events of an account's log have to match, by the name
            of the filter; several actions are divided by commas. None for all events.
        scope: A hash of all of these. A run only goes on with an export of the
            same scope.
        created_at: When the export began, by the clock of the machine.
        library: The name and version of the library that wrote it.
    """

    kind: Literal["header"] = "header"
    n: int = 1
    prev: str = ""
    version: int = VERSION
    account: str
    base_url: str
    format: str
    order: Literal["asc"] = "asc"
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    q: str | None = None
    source: Source = "identities"
    filters: Mapping[str, str] | None = None
    scope: str
    created_at: AwareDatetime
    library: str

    @property
    def query(self) -> EventsQuery:
        """The query that is read of each identity."""
        return EventsQuery(
            q=self.q, order=self.order, since=self.since, until=self.until
        )

    @property
    def log_key(self) -> str | None:
        """The id of an account's log in this manifest, None of other exports."""
        return account_key(self.account) if self.source == "account-log" else None


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
class EventMark:
    """The id of an event, and its instant.

    Attributes:
        id: The event's id.
        created_at: When it happened: a datetime with an offset.
    """

    id: str
    created_at: AwareDatetime


@attrs.frozen(kw_only=True)
class Failure:
    """Why an identity could not be read.

    Attributes:
        type: The name of the error's class.
        message: The error's text, cut where it is very long.
    """

    type: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Return the failure that an error stands for."""
        return cls(type=type(error).__name__, message=clipped(str(error), _MOST_SAID))


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
class IdentityEntry:
    """The state of one identity: by one commit, or by all of them.

    Attributes:
        id: The identity; ``account:`` and the account's slug for an account's log.
        events: How many of its events: those of the commit, or all.
        first: The first of these rows, None where there are none.
        last: The last of these rows.
        late: How many of these events are dated before ``as_of`` of the run
            before: they were committed late.
        state: ``done``: its log was read to the end. ``failed``: it could not be
            read, or not be proven. ``open``: the read is to be gone on with.
        complete: Whether all of its log up to ``as_of`` was read, and ``proof``
            stands behind each read of it.
        proof: The weakest certificate that its rows rest on.
        as_of: How far its log is covered: whatever had been committed by then
            and was still there is in the files. By the server's clock. None
            where its log was never read to the end.
        counted: How many events the server counted in what the last read of the
            log was of; None where it said nothing.
        checkpoint: Where to go on, unless it is done; None for the start.
        since: The ``since`` of the read that ``checkpoint`` belongs to.
        began: When that read began, by the server's clock.
        known: The events of the look-back, in the form of a follower's
            checkpoint: the next run reads from there on again, and what is not
            among them is new. None where it has nothing to look back on, and
            where an export with ``until`` is done with the identity.
        gap: Set where events may be missing that the server had deleted before
            they could be read: a run came too late for them.
        error: Why it failed.
    """

    id: str
    events: _Count
    first: EventMark | None = None
    last: EventMark | None = None
    late: _Count = 0
    state: IdentityState
    complete: bool = False
    proof: Proof = Proof.NONE
    as_of: AwareDatetime | None = None
    counted: _Count | None = None
    checkpoint: str | None = None
    since: AwareDatetime | None = None
    began: AwareDatetime | None = None
    known: str | None = None
    gap: Gap | None = None
    error: Failure | None = None

    def followed_by(self, later: "IdentityEntry") -> "IdentityEntry":
        """Return what both entries together say, ``later`` being the newer one."""
        return attrs.evolve(
            later,
            events=self.events + later.events,
            first=self.first or later.first,
            last=later.last or self.last,
            late=self.late + later.late,
            as_of=later.as_of or self.as_of,
            known=later.known or self.known,
            counted=self.counted if later.counted is None else later.counted,
            gap=later.gap or self.gap,
        )


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
"""What each line begins with."""

_MOST_SAID: Final = 2_000
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


def scope_of_export(header: Header) -> str:
    """Return the hash of what an export is of, whatever ``header.scope`` is."""
    named: dict[str, Any] = {
        "account": header.account,
        "base_url": header.base_url,
        "format": header.format,
        "order": header.order,
        "q": header.q,
        "since": None if header.since is None else text_of(header.since),
        "until": None if header.until is None else text_of(header.until),
        "v": VERSION,
    }
    if header.source != "identities":  # whose scope has always been that of the others
        named |= {"source": header.source, "filters": header.filters}
    return scope_of(msgspec.json.encode(named, order="sorted").decode())


publish(
    "canopy_async.export",
    Asked,
    Begin,
    Commit,
    End,
    EventMark,
    Failure,
    FileEntry,
    Header,
    IdentityEntry,
    Listed,
)
