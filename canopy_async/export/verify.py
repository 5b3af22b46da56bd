"""An export's files, read again and held against what its manifest says."""

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import attrs

from canopy_async._util.arguments import check_callback
from canopy_async._util.plain_files import open_plain
from canopy_async._util.public import publish
from canopy_async.errors import CheckpointError, ExportError
from canopy_async.export.data_keys import Key, read_keys
from canopy_async.export.file_check import MAX_PROBLEMS, FileCheck, Problems, path_of
from canopy_async.export.files import is_locked
from canopy_async.export.manifest import Manifest, ManifestBuilder, opened
from canopy_async.export.manifest_chain import MANIFEST, ManifestReader
from canopy_async.export.manifest_records import Commit, FileEntry, Source
from canopy_async.export.mirror import Mirror, mirrored
from canopy_async.export.names import is_data_file, partial_names
from canopy_async.export.sums import SUMS, load_sums, sums_of
from canopy_async.export.verdict import (
    Activity,
    Status,
    Verdict,
    command_to_go_on,
    verdict_on,
)
from canopy_async.report import Proof

__all__ = ["MAX_PROBLEMS", "Checked", "VerifyResult", "check_export", "verify"]

_MOST_SUMS: Final = 64 * 1024 * 1024

KeyReader = Callable[[Mirror, FileEntry, str], Iterable[Key]]
"""Reads a data file, given where it is and its format; returns the keys of its rows."""


@attrs.frozen(kw_only=True)
class VerifyResult:
    """The result of verifying an export.

    Attributes:
        status: ``finished``: whole, proven and as it was written. ``unfinished``:
            as it was written, and not all that was asked for, or not all of it
            proven; ``left`` says what. ``damaged``: ``problems`` says how.
        scope: Which identities the last run was asked for, in words; or that it is the
            account's own log, which is counted here as one identity.
        left: What is not finished or not proven, a sentence each.
        command: The command that goes on with the export; where ids were named,
            ``IDS.txt`` stands for a file of them.
        digest: The sha256 of the manifest, which speaks for all files. Signed or
            kept elsewhere, it shows later whether anything was changed.
        digest_line: The line of the manifest up to which it is the one with the
            digest that was asked for; None where none was.
        lines: How many lines the manifest has.
        runs: How many runs have written to the export.
        as_of: How far the logs of all identities are covered, at least; None where
            one was never read to its end.
        files: Files that were read.
        events: Events in them.
        identities: How many identities the last run was given; None where it ended
            before that was known.
        done: Identities that were read to their end.
        complete: How many of these are proven complete.
        failed: Identities that could not be read.
        open: Identities that are not read to their end.
        gone: Identities that the account lists no more.
        gaps: Identities of which events may be missing that the server had deleted
            before a run came to them.
        problems: What is damaged, a sentence each; the first `MAX_PROBLEMS`.
        problem_count: How many problems there are.
        source: Where the events were read: ``identities``, their logs, or
            ``account-log``, the account's own.
        proof: What the rows of an account's own log rest on; None of identities, each
            of which has a proof of its own in the manifest.
    """

    status: Status
    scope: str
    left: tuple[str, ...] = ()
    command: str
    digest: str
    digest_line: int | None = None
    lines: int
    runs: int
    as_of: datetime | None = None
    files: int = 0
    events: int = 0
    identities: int | None = None
    done: int = 0
    complete: int = 0
    failed: int = 0
    open: int = 0
    gone: int = 0
    gaps: int = 0
    problems: tuple[str, ...] = ()
    problem_count: int = 0
    source: Source = "identities"
    proof: Proof | None = None

    @property
    def ok(self) -> bool:
        """Whether what is there is what was written; it may be unfinished."""
        return self.status is not Status.DAMAGED

    @property
    def is_finished(self) -> bool:
        """Whether all that was asked for is there, proven, and as it was written."""
        return self.status is Status.FINISHED


def verify(
    directory: str | os.PathLike[str],
    *,
    digest: str | None = None,
    on_file: Callable[[FileEntry], None] | None = None,
) -> VerifyResult:
    """Read an export again, and tell whether it is finished, unfinished or damaged.

    The lines of the manifest must be linked to each other. Each file must have its
    size, its sha256 and its number of rows. Of each identity, a file must have as
    many events as the manifest says, from the first to the last that it names, in
    order, within ``since`` and ``until``, and none twice. Equal ids are looked for
    where they could be: at equal ``created_at``, and in the look-back of the run
    before. So memory doesn't grow with the events, but by some hundred bytes for
    each identity, and by the ids of its look-back.

    It sends nothing, changes nothing, and blocks until it is done. An export that
    is being written now is read as far as it was committed when this began.

    Whoever can write to the directory can also write a manifest that fits to other
    files. Only a digest that is kept elsewhere shows that.

    Args:
        directory: Where an export is, finished or not: a path, or a URL of
            fsspec, whose files are fetched one at a time.
        digest: A digest that an earlier `verify` told: the manifest must be that
            one, or one that goes on from it.
        on_file: Is called with each file that was read.

    Returns:
        What was found; look at ``status``.

    Raises:
        TypeError: ``digest`` is not text, or ``on_file`` is no plain function.
        ExportError: There is no manifest of an export, or it can't be read.

    Example:
        >>> result = verify("out")
        >>> print(result.status, result.events, result.left, result.problems)
    """
    if digest is not None and not isinstance(digest, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"digest must be a str, not {type(digest).__name__}")
    if on_file is not None:
        check_callback("on_file", on_file)
    with mirrored(directory) as mirror:
        checked = check_export(
            mirror, directory, _read_keys, digest=digest, on_file=on_file
        )
    manifest, verdict = checked.manifest, checked.verdict
    return VerifyResult(
        status=verdict.status,
        scope=verdict.scope,
        left=verdict.left,
        command=command_to_go_on(os.fspath(directory), manifest),
        digest=manifest.digest,
        digest_line=checked.digest_line,
        lines=checked.lines,
        runs=len(manifest.runs),
        as_of=verdict.as_of,
        files=len(manifest.files),
        events=checked.events,
        identities=verdict.identities,
        done=verdict.covered + verdict.unproven,
        complete=verdict.covered,
        failed=verdict.failed,
        open=verdict.open,
        gone=verdict.gone,
        gaps=verdict.gaps,
        problems=tuple(checked.problems.sentences),
        problem_count=checked.problems.count,
        source=manifest.header.source,
        proof=_proof_of_log(manifest),
    )


def _proof_of_log(manifest: Manifest) -> Proof | None:
    """Return what the rows of an account's own log rest on, None of identities."""
    key = manifest.header.log_key
    entry = None if key is None else manifest.identities.get(key)
    return None if entry is None else entry.proof


@attrs.frozen(kw_only=True)
class Checked:
    """An export that was read again.

    Attributes:
        manifest: What its manifest says, as far as its lines are linked.
        verdict: What may be said of it.
        problems: What is damaged.
        events: How many events were found in the files.
        lines: How many lines of the manifest are linked.
        digest_line: The line up to which the digest is the one asked for.
    """

    manifest: Manifest
    verdict: Verdict
    problems: Problems
    events: int
    lines: int
    digest_line: int | None


def check_export(
    mirror: Mirror,
    directory: str | os.PathLike[str],
    read: KeyReader,
    *,
    digest: str | None = None,
    on_file: Callable[[FileEntry], None] | None = None,
) -> Checked:
    """Hold an export against its manifest while its files are read.

    Args:
        mirror: The directory on this machine.
        directory: The directory as the caller has named it, for errors.
        read: Reads a file.
        digest: What the manifest's digest must be, or have been.
        on_file: Is called with each file that was read.

    Raises:
        ExportError: There is no manifest of an export, or it can't be read.
    """
    problems = Problems()
    was_being_written = is_locked(mirror.path / MANIFEST)
    # The names and hashes first: what is renamed from now on is in the manifest then.
    names = _names_in(mirror)
    sums = _sums_in(mirror)
    with opened(mirror, directory) as reader:
        check = FileCheck(reader.header, problems)
        builder = ManifestBuilder(reader.header)
        digest_line = _line_of(reader, digest)
        try:
            for record in reader:
                builder.add(record)
                digest_line = _line_of(reader, digest) or digest_line
                file = record.file if isinstance(record, Commit) else None
                if file is None:
                    check.add(record)
                    continue
                with mirror.fetched(file.name, *partial_names(file.name)):
                    is_whole = check.is_as_written(mirror.path, file)
                    keys = read(mirror, file, reader.header.format)
                    check.add(record, keys if is_whole else None)
                if on_file is not None:
                    on_file(file)
        except (ExportError, CheckpointError) as error:
            problems.add(str(error))
    manifest = builder.result(reader)
    if reader.is_through:  # else, what comes after the damage is not known
        for name in sorted(filter(is_data_file, names)):
            if name not in check.files:
                problems.add(f"{name} is not in the manifest")
    # A run may have begun meanwhile, and may be over already.
    is_being_written = (
        was_being_written
        or is_locked(mirror.path / MANIFEST)
        or _sums_in(mirror) != sums
    )
    if sums is not None and not is_being_written:
        _check_sums(sums, manifest, problems)
    if digest is not None and digest_line is None:
        problems.add("The manifest never had this digest.")
    return Checked(
        manifest=manifest,
        verdict=verdict_on(
            manifest,
            is_damaged=problems.count > 0,
            activity=_activity(mirror, is_being_written=is_being_written),
        ),
        problems=problems,
        events=check.events,
        lines=reader.chain.lines,
        digest_line=digest_line,
    )


def _activity(mirror: Mirror, *, is_being_written: bool) -> Activity:
    if is_being_written:
        return Activity.WRITING
    return Activity.UNKNOWN if mirror.is_elsewhere else Activity.IDLE


def _read_keys(mirror: Mirror, file: FileEntry, written_as: str) -> Iterable[Key]:
    return read_keys(path_of(mirror.path, file.name), written_as)


def _line_of(reader: ManifestReader, digest: str | None) -> int | None:
    """Return the number of the line where the manifest has had this digest."""
    is_it = digest is not None and reader.chain.digest == digest.strip().lower()
    return reader.chain.lines if is_it else None


def _names_in(mirror: Mirror) -> list[str]:
    """Return the names of all files, none where there is no directory."""
    try:
        return mirror.names()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ExportError(
            f"{error.filename or mirror.path}: {error.strerror}"
        ) from None


def _sums_in(mirror: Mirror) -> bytes | None:
    """Return what ``_SHA256SUMS`` holds, None where there is no such file."""
    with mirror.fetched(SUMS):
        try:
            with open_plain(mirror.path / SUMS) as file:
                return file.read(_MOST_SUMS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ExportError(f"{mirror.path / SUMS}: {error.strerror}") from None


def _check_sums(data: bytes, manifest: Manifest, problems: Problems) -> None:
    """Hold ``_SHA256SUMS`` against the manifest."""
    if load_sums(data) != sums_of(manifest.files, manifest.digest):
        problems.add(f"{SUMS} does not have the hashes that the manifest has")


publish("canopy_async.export", VerifyResult, verify)
