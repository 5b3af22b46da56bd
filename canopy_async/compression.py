"""Compressed bodies, unpacked up to a limit, without I/O."""

import zlib
from typing import Final

__all__ = ["unpacked"]

_GZIP: Final = 16 + zlib.MAX_WBITS
_MEMBER: Final = b"\x1f\x8b"
_MAX_MEMBERS: Final = 64


def unpacked(body: bytes, encoding: str | None, *, limit: int) -> bytes | None:
    """Return what a body holds, or None where that is over ``limit`` bytes.

    Args:
        body: The bytes as they came.
        encoding: What ``Content-Encoding`` says of them, None for nothing.
        limit: Bytes at most.

    Raises:
        zlib.error: It is truncated, damaged or in an encoding that was not
            asked for.
    """
    encoding = (encoding or "").lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise zlib.error(f"unexpected content encoding {encoding[:40]!r}")
    parts: list[bytes] = []
    size = 0
    for _ in range(_MAX_MEMBERS):
        unzip = zlib.decompressobj(_GZIP)
        parts.append(unzip.decompress(body, limit - size + 1))
        size += len(parts[-1])
        if size > limit:
            return None
        if not unzip.eof:
            raise zlib.error("the compressed body is truncated")
        body = unzip.unused_data
        # A gzip file is one or more members; what else follows is padding.
        if not body.startswith(_MEMBER):
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise zlib.error(f"the compressed body has more than {_MAX_MEMBERS} parts")
