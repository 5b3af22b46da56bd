"""Base URLs and proxies: which are accepted, and why the others are refused."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from yarl import URL

from canopy_async._util.arguments import check_text

__all__ = ["is_loopback", "parse_base_url", "parse_proxy"]


def parse_base_url(base_url: Any, *, allow_http: bool = False) -> str:
    """Return ``base_url`` without a trailing slash, if it may be used.

    Args:
        base_url: What a caller passed.
        allow_http: Whether http is allowed on other hosts than this machine.

    Raises:
        TypeError: It is not a str.
        ValueError: It is not an absolute https URL (or http on loopback, or where
            it is allowed), or it holds credentials, a query or a fragment.
    """
    text = check_text("base_url", base_url)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"base_url is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("base_url must be an absolute https URL")
    if parts.username is not None:  # it is empty where there is a password only
        raise ValueError("base_url must not hold credentials")
    if not set("?# \\").isdisjoint(text):  # urlsplit hides an empty query
        raise ValueError(
            "base_url must not hold a query, a fragment, spaces or backslashes"
        )
    if not (text.isascii() and text.isprintable()):
        raise ValueError("base_url must be printable ASCII: encode its other parts")
    if parts.scheme == "http" and not (allow_http or is_loopback(text)):
        raise ValueError(
            "base_url must be https: http is for loopback hosts only, unless"
            " allow_http=True says that nobody listens on the way"
        )
    return text.rstrip("/")


def parse_proxy(proxy: Any) -> URL:
    """Return the URL of a proxy, with its credentials if it has some.

    Raises:
        TypeError: It is not a str.
        ValueError: It is not an http or https URL with a host and no path. The
            message does not quote it, as it may hold a password.
    """
    text = check_text("proxy", proxy)
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    is_proxy = url.scheme in {"http", "https"} and bool(url.host and url.port)
    if not is_proxy or url.raw_path not in {"", "/"} or url.query_string:
        raise ValueError(
            "proxy must be the URL of an HTTP proxy, such as http://proxy:3128"
        )
    return url


def is_loopback(base_url: str) -> bool:
    """Tell whether a URL's host is this machine."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
