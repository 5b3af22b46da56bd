"""Base URLs and proxies: why one is refused, and what is kept of one that is not."""

import pytest
from yarl import URL

from canopy_async._api.base_url import is_loopback, parse_base_url, parse_proxy


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("https://[::1", "is not a URL: "),
        ("https://h:port", "is not a URL: "),
        ("api.canopy.dev", "must be an absolute https URL"),
        ("https:///path", "must be an absolute https URL"),
        ("ftp://h", "must be an absolute https URL"),
        ("https://user@h", "must not hold credentials"),
        ("https://@h", "must not hold credentials"),
        ("https://:secret@h", "must not hold credentials"),
        ("https://h?", "must not hold a query"),
        ("https://h#", "must not hold a query"),
        ("https://h /", "must not hold a query"),
        ("https://h\\", "must not hold a query"),
        ("https://h/ä", "must be printable ASCII"),
        ("https://h/\x7f", "must be printable ASCII"),
        ("http://h", "must be https: http is for loopback"),
    ],
)
def test_a_base_url_is_refused_with_the_reason(given, why):
    with pytest.raises(ValueError, match=f"base_url {why}"):
        parse_base_url(given)


@pytest.mark.parametrize("given", ["http://h", "http://10.0.0.1:80/x/"])
def test_http_is_for_other_hosts_where_a_caller_allows_it(given):
    assert parse_base_url(given, allow_http=True) == given.rstrip("/")
    with pytest.raises(ValueError, match="allow_http=True"):
        parse_base_url(given)


@pytest.mark.parametrize("given", ["ftp://h", "https://u@h", "http://h?x"])
def test_http_that_is_allowed_allows_nothing_else(given):
    with pytest.raises(ValueError, match="base_url"):
        parse_base_url(given, allow_http=True)


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://localhost", True),
        ("http://127.0.0.1:1/x", True),
        ("http://127.255.255.254", True),
        ("http://[::1]", True),
        ("http://10.0.0.1", False),
        ("http://[::2]", False),
        ("http://example.com", False),
        ("http://", False),
    ],
)
def test_this_machine_is_told_from_others_by_its_name_or_its_address(url, is_local):
    assert is_loopback(url) is is_local


@pytest.mark.parametrize(
    "given",
    [
        "http://proxy:3128",
        "https://proxy",
        "http://proxy/",
        "http://ada:pa55word@proxy:3128",
        "http://[::1]:3128",
    ],
)
def test_a_proxy_is_the_url_of_a_host_with_or_without_credentials(given):
    assert parse_proxy(given) == URL(given)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "proxy:3128",
        "//proxy:3128",
        "socks5://pa55word@proxy:1080",
        "http://:3128",
        "http:",
        "http://",
        "https:///",
        "http://ada:pa55word@",
        "http://pa55word@proxy:port",
        "http://pa55word@proxy:0",
        "http://proxy/pa55word",
        "http://proxy:3128/?pa55word",
        "http://proxy?pa55word=1",
    ],
)
def test_any_other_proxy_is_refused_and_not_quoted(given):
    with pytest.raises(ValueError, match="proxy must be the URL of an HTTP") as caught:
        parse_proxy(given)
    assert "pa55word" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("given", [None, 5, URL("http://proxy")])
def test_a_proxy_is_a_str(given):
    with pytest.raises(TypeError, match="proxy must be a str"):
        parse_proxy(given)
