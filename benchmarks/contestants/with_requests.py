"""A script as many are: requests, one page after the other, dicts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from contestants import TAKE, TOKEN, Log


@contextmanager
def dicts(log: Log) -> Iterator[Iterator[dict[str, Any]]]:
    """Read page after page until none follows."""
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {TOKEN}"
        yield _rows(http, log)


def _rows(http: requests.Session, log: Log) -> Iterator[dict[str, Any]]:
    page, more = 1, True
    while more:
        query = {"page": page, "take": TAKE, "order": log.order}
        response = http.get(log.url, params=query, timeout=60)
        response.raise_for_status()
        body = response.json()
        yield from body["items"]
        page, more = page + 1, body["pagination"]["has_next_page"]
