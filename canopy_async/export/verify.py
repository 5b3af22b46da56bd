"""Verifying an export: reading its files again, and comparing with the manifest."""

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
"""A function that reads a data file and returns the keys of its rows.

Its arguments are the mirror of the directory, the file, and the name of its format."""


@attrs.frozen(kw_only=True)
class VerifyResult:
    """The result of verifying an export.

    Attributes:
        status: ``finished``: everything that was asked for is there and proven
            complete, and all files are as they were written. ``unfinished``: all files
            are as they were written, but something is missing or not proven; see
            ``left``. ``damaged``: a file or the manifest was changed; see
            ``problems``.
        scope: The identities that the last run was asked to export, in words; or that
            it is the account's own log, which the numbers below count as one identity.
        left: Sentences on what is not finished or not proven.
        command: The shell command that continues the export. If the caller named the
            ids, ``IDS.txt`` in it stands for a file of these.
        digest: The sha256 of the manifest, which contains the hashes of all files. If
            you sign it or keep it elsewhere, it shows later whether anything changed.
        digest_line: The number of the manifest's line up to which it has the digest
            that you passed; None if you passed none.
        lines: The number of lines in the manifest.
        runs: The number of runs that wrote to the export.
        as_of: The instant up to which the logs of all identities are covered, at
            least; None if one log was never read to its end.
        files: The number of files that were read.
        events: The number of events in these files.
        identities: The number of identities that the last run was asked to export;
            None if it ended before that was known.
        done: The number of identities whose logs were read to the end.
        complete: How many of these logs are proven complete.
        failed: The number of identities whose logs could not be read.
        open: The number of identities whose logs are not read to the end yet.
        gone: The number of identities that the account no longer lists.
        gaps: The number of identities of which events may be missing, because the
            server deleted them before a run could read them.
        problems: Sentences on what is damaged; the first `MAX_PROBLEMS`.
        problem_count: The number of all problems.
        source: ``identities`` for an export of the logs of identities, ``account-log``
            for one of the account's own log.
        proof: The proof of an account's own log. None for identities, each of which
            has its own proof in the manifest.
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
        """Whether all files are as they were written. The export may be unfinished."""
        return self.status is not Status.DAMAGED

    @property
    def is_finished(self) -> bool:
        """Whether everything asked for is there, proven complete, and undamaged."""
        return self.status is Status.FINISHED


def verify(
    directory: str | os.PathLike[str],
    *,
    digest: str | None = None,
    on_file: Callable[[FileEntry], None] | None = None,
) -> VerifyResult:
    """Check an export's files, and tell whether it is finished, unfinished or damaged.

    The lines of the manifest must be linked to each other. Each file must have the
    size, the sha256 and the number of rows that the manifest says. It must have the
    number of events of each identity that the manifest says, from the first to the
    last that it names, in the order of time, within ``since`` and ``until``, and no
    event twice. Duplicate ids are searched where they are possible: among rows of
    equal ``created_at``, and in the look-back of the run before. So memory does not
    grow with the number of events, but by some hundred bytes for each identity, and by
    the ids of its look-back.

    This sends no request to Canopy, changes nothing, and blocks until it is done. If
    the export is being written now, it is checked up to the last commit.

    A person who can write to the directory can also write a new manifest for changed
    files. To detect that, keep the digest somewhere else, and pass it.

    Args:
        directory: The directory of the export: a path, or a URL of fsspec, whose files
            are fetched one at a time.
        digest: The digest of an earlier `verify`. The manifest must be unchanged since
            then, or only have new lines.
        on_file: Called with each file after it was checked.

    Raises:
        TypeError: ``digest`` is not text, or ``on_file`` is not a plain function.
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
    """Return the proof of an export of an account's own log, else None."""
    key = manifest.header.log_key
    entry = None if key is None else manifest.identities.get(key)
    return None if entry is None else entry.proof


@attrs.frozen(kw_only=True)
class Checked:
    """The findings on an export whose files were read again.

    Attributes:
        manifest: The summary of its manifest, up to the first damaged line.
        verdict: The verdict on the export.
        problems: The damages.
        events: The number of events in the files.
        lines: The number of lines in the manifest, up to the first damaged one.
        digest_line: The number of the line up to which the manifest has the digest
            that was asked for, or None.
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
    """Compare an export's files with its manifest.

    Args:
        mirror: The local copy of the directory.
        directory: The directory as the caller named it, for error messages.
        read: The function that reads a data file.
        digest: A digest that the manifest must have, now or up to an earlier line.
        on_file: Called with each file after it was checked.

    Raises:
        ExportError: There is no manifest of an export, or it can't be read.
    """
    problems = Problems()
    was_being_written = is_locked(mirror.path / MANIFEST)
    # Read before the manifest: a file that is renamed after this was committed before,
    # so that the manifest names it.
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
    if reader.is_through:  # else damaged lines may name further files
        for name in sorted(filter(is_data_file, names)):
            if name not in check.files:
                problems.add(f"{name} is not in the manifest")
    # A run may have begun during this check, and may even have ended.
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
    """Return the number of the current line if the chain has this digest, else None."""
    is_equal = digest is not None and reader.chain.digest == digest.strip().lower()
    return reader.chain.lines if is_equal else None


def _names_in(mirror: Mirror) -> list[str]:
    """Return the names of all files; an empty list if there is no directory."""
    try:
        return mirror.names()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ExportError(
            f"{error.filename or mirror.path}: {error.strerror}"
        ) from None


def _sums_in(mirror: Mirror) -> bytes | None:
    """Return the content of ``_SHA256SUMS``, or None if there is no such file."""
    with mirror.fetched(SUMS):
        try:
            with open_plain(mirror.path / SUMS) as file:
                return file.read(_MOST_SUMS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ExportError(f"{mirror.path / SUMS}: {error.strerror}") from None


def _check_sums(data: bytes, manifest: Manifest, problems: Problems) -> None:
    """Add a problem if ``_SHA256SUMS`` does not have the hashes of the manifest."""
    if load_sums(data) != sums_of(manifest.files, manifest.digest):
        problems.add(f"{SUMS} does not have the hashes that the manifest has")


publish("canopy_async.export", VerifyResult, verify)
