"""Export of audit events to files (JSON lines, CSV, Parquet): resumable, verifiable."""

from canopy_async.export.exporter import ExportProgress, ExportResult, export
from canopy_async.export.log_exporter import export_log
from canopy_async.export.manifest import (
    Manifest,
    RunEntry,
    iter_commits,
    read_header,
    read_manifest,
)
from canopy_async.export.manifest_records import (
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
from canopy_async.export.progress import RunResult
from canopy_async.export.report.builder import WrittenReport, write_report
from canopy_async.export.verdict import Status
from canopy_async.export.verify import VerifyResult, verify
from canopy_async.export.writers import FormatName

__all__ = [
    "Asked",
    "Begin",
    "Commit",
    "End",
    "EventMark",
    "ExportProgress",
    "ExportResult",
    "Failure",
    "FileEntry",
    "FormatName",
    "Header",
    "IdentityEntry",
    "Listed",
    "Manifest",
    "RunEntry",
    "RunResult",
    "Status",
    "VerifyResult",
    "WrittenReport",
    "export",
    "export_log",
    "iter_commits",
    "read_header",
    "read_manifest",
    "verify",
    "write_report",
]
