"""aiohttp's errors in words without secrets, and whether each would come again."""

import re
import ssl
import zlib
from typing import Final

import aiohttp

__all__ = ["what_failed", "would_repeat"]

_LONG_LINE: Final = re.compile(r"Got more than ([0-9]+) bytes")
"""The text of aiohttp's error for a header or status line that is too long."""


_WORDS: Final[dict[type[Exception], str]] = {
    aiohttp.ClientResponseError: "the answer is not HTTP",
    aiohttp.ClientPayloadError: "the body is incomplete or broken",
    aiohttp.ServerDisconnectedError: "the server hung up",
}


def what_failed(error: Exception) -> str:
    """Say what failed, in one line that quotes nothing of an answer: it may be rows."""
    reason = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{reason}: the certificate of {error.host} {_distrust(error)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{reason}: the proxy answered {error.status}"
    limit = _limit_of_headers(error)
    if limit is not None:
        return f"{reason}: a header of the answer is over {limit} bytes"
    for cls, words in _WORDS.items():
        if isinstance(error, cls):
            return f"{reason}: {words}"
    return f"{reason}: {error}"


def would_repeat(error: Exception) -> bool:
    """Tell whether another attempt would fail as this one did.

    An error that is not one of the network comes from code of the caller in the aiohttp
    session that was given, such as a middleware, and would come again.
    """
    if not isinstance(error, (aiohttp.ClientError, OSError, zlib.error)):
        return True
    is_distrusted = isinstance(
        error,
        aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch,
    )
    return is_distrusted or _limit_of_headers(error) is not None


def _limit_of_headers(error: Exception) -> str | None:
    """Return how many bytes a header may have, None if that is not what failed."""
    if not isinstance(error, aiohttp.ClientResponseError):
        return None
    found = _LONG_LINE.match(error.message)
    return None if found is None else found[1]


def _distrust(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"is not trusted: {cause.verify_message}"
    return f"is not trusted: {cause}"
