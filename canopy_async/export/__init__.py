"""Audit events into files: JSON lines, CSV or Parquet, resumable and verified."""

from canopy_async.export.exporter import ExportProgress, ExportResult, export
from canopy_async.export.manifest import (
    Commit,
    EventMark,
    Failure,
    FileEntry,
    Header,
    IdentityEntry,
    Manifest,
    iter_commits,
    read_header,
    read_manifest,
)
from canopy_async.export.reporting import WrittenReport, write_report
from canopy_async.export.verify import VerifyResult, verify

__all__ = [
    "Commit",
    "EventMark",
    "ExportProgress",
    "ExportResult",
    "Failure",
    "FileEntry",
    "Header",
    "IdentityEntry",
    "Manifest",
    "VerifyResult",
    "WrittenReport",
    "export",
    "iter_commits",
    "read_header",
    "read_manifest",
    "verify",
    "write_report",
]
