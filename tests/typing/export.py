"""The code of a user of exports, as type checkers see it: never run, only checked."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import assert_type

from canopy_async import CanopyError, CanopySession, IdentityOutcome, ReadReport
from canopy_async.export import (
    ExportProgress,
    ExportResult,
    FileEntry,
    FormatName,
    IdentityEntry,
    Manifest,
    VerifyResult,
    export,
    iter_commits,
    read_manifest,
    verify,
)


async def exports(canopy: CanopySession, since: datetime) -> None:
    seen: list[ExportProgress] = []
    result = await export(canopy, canopy.identities(), "out")
    assert_type(result, ExportResult)
    assert_type(result.files, tuple[FileEntry, ...])
    assert_type(result.failures, Mapping[str, CanopyError])
    await export(
        canopy,
        ["idn_1"],
        Path("out"),
        format="parquet",
        since=since,
        width=4,
        on_progress=seen.append,
    )


async def formats(canopy: CanopySession, written_as: FormatName) -> None:
    await export(canopy, None, "out", format=written_as)
    await export(canopy, None, "out", format="xlsx")  # type: ignore[arg-type]


def manifests() -> None:
    manifest = read_manifest("out")
    assert_type(manifest, Manifest)
    assert_type(manifest.count("done"), int)
    assert_type(manifest.identities, Mapping[str, IdentityEntry])
    for commit in iter_commits("out"):
        assert_type(commit.file, FileEntry | None)
    assert_type(verify("out"), VerifyResult)


async def ends(canopy: CanopySession) -> None:
    def tell(outcome: IdentityOutcome) -> None:
        assert_type(outcome.report, ReadReport | None)
        assert_type(outcome.error, CanopyError | None)

    await canopy.fan_out(["idn_1"], on_end=tell).collect()
