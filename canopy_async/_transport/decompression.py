"""Compressed bodies, unpacked up to a limit and step by step, without I/O."""

import zlib
from collections.abc import Generator
from typing import Final

__all__ = ["unpacked", "unpacking"]

_GZIP: Final = 16 + zlib.MAX_WBITS
_MEMBER: Final = b"\x1f\x8b"
_MAX_MEMBERS: Final = 64
_PACKED_STEP: Final = 64 * 1024
_UNPACKED_STEP: Final = 512 * 1024


def unpacked(body: bytes, encoding: str | None, *, limit: int) -> bytes | None:
    """Unpack a body in one go.

    Args:
        body: The bytes as they came.
        encoding: The ``Content-Encoding`` of the answer, None if it has none.
        limit: Bytes at most.

    Raises:
        zlib.error: The body is truncated, damaged or in an encoding that was not
            asked for.
    """
    steps = unpacking(body, encoding, limit=limit)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: bytes | None = end.value
            return result


def unpacking(
    body: bytes, encoding: str | None, *, limit: int
) -> Generator[None, None, bytes | None]:
    """Unpack a body; pause after each step, which takes about a millisecond.

    Args:
        body: The bytes as they came.
        encoding: The ``Content-Encoding`` of the answer, None if it has none.
        limit: Bytes at most.

    Returns:
        The unpacked body, None if it is over ``limit`` bytes.

    Raises:
        zlib.error: The body is truncated, damaged or in an encoding that was not
            asked for.
    """
    encoding = (encoding or "").lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise zlib.error(f"unexpected content encoding {encoding[:40]!r}")
    parts: list[bytes] = []
    size = at = 0
    for _ in range(_MAX_MEMBERS):
        unzip = zlib.decompressobj(_GZIP)
        while not unzip.eof:
            # In pieces, because zlib copies the input that it has not used yet.
            piece = unzip.unconsumed_tail
            if not piece:
                piece = body[at : at + _PACKED_STEP]
                at += len(piece)
            most = min(_UNPACKED_STEP, limit - size + 1)
            parts.append(unzip.decompress(piece, most))
            size += len(parts[-1])
            if size > limit:
                return None
            if not (piece or parts[-1] or unzip.eof):
                raise zlib.error("the compressed body is truncated")
            if not unzip.eof:
                yield
        at -= len(unzip.unused_data)
        # A gzip file is one or more members; what else follows is padding.
        if not body.startswith(_MEMBER, at):
            return parts[0] if len(parts) == 1 else b"".join(parts)
        yield
    raise zlib.error(f"the compressed body has more than {_MAX_MEMBERS} parts")
