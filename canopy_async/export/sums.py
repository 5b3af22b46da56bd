"""``_SHA256SUMS``: the file of an export's hashes, for ``sha256sum -c``."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from canopy_async.export.manifest_chain import MANIFEST
from canopy_async.export.manifest_records import FileEntry

__all__ = ["SUMS", "dump_sums", "load_sums", "sums_of"]

SUMS: Final = "_SHA256SUMS"
"""The name of the file. It exists if the last run has finished."""

_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *]([^/\\\0]+)")


def dump_sums(files: Iterable[FileEntry], digest: str) -> bytes:
    """Return the content of ``_SHA256SUMS``.

    Args:
        files: The data files.
        digest: The sha256 of the manifest.
    """
    sums = sums_of(files, digest)
    lines = [f"{sums[name]}  {name}\n" for name in sorted(sums)]
    return "".join(lines).encode()


def sums_of(files: Iterable[FileEntry], digest: str) -> Mapping[str, str]:
    """Return the sha256 of each file of an export, by its name.

    Args:
        files: The data files.
        digest: The sha256 of the manifest.
    """
    return {file.name: file.sha256 for file in files} | {MANIFEST: digest}


def load_sums(data: bytes) -> Mapping[str, str] | None:
    """Parse the content of ``_SHA256SUMS``; return None if it is malformed."""
    sums: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        sums[found[2]] = found[1]
    return sums
