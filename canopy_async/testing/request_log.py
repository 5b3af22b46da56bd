"""The request log of a local server, for tests to look at."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from urllib.parse import unquote

import attrs
from aiohttp import web

from canopy_async._util.public import publish

AUDIT_PATH = "/portal/v1/accounts/{accountSlug}/identities/{id}/audit"
IDENTITIES_PATH = "/portal/v1/accounts/{accountSlug}/identities"
ACCOUNT_LOG_PATH = "/portal/v1/accounts/{accountSlug}/audit-log/identities"
EVENT_PATH = "/portal/v1/accounts/{accountSlug}/audit-log/identities/{id}"
REDACTED = "<redacted>"


@attrs.define(kw_only=True, eq=False)
class RecordedRequest:
    """One request as it reached the server.

    Attributes:
        number: Its place in the order of arrival, from 1.
        method: The HTTP method.
        path: The path as it was sent, still percent-encoded.
        path_template: The endpoint's path in the reference; None if unknown.
        account: The account slug of the path, decoded.
        identity: The identity's id of the path, decoded; None for other endpoints.
        event: The event's id of the path, decoded; None for other endpoints.
        query: The query parameters, decoded; the last one of a name.
        page: ``page`` as a number, None if missing or no number.
        take: ``take``, likewise.
        attempt: How many times this same path and query came, with this one.
        headers: The headers, names in lower case, without the token.
        connection: The client's port: equal for requests on one connection.
        started: When it arrived, on `time.monotonic`.
        finished: When it was answered or given up; None while in flight.
        status: The status of the answer; None if none was sent completely.
        failure: Which kind of failure it was made to suffer, if any.
    """

    number: int
    method: str
    path: str
    path_template: str | None
    account: str | None
    identity: str | None
    event: str | None = None
    query: dict[str, str]
    page: int | None
    take: int | None
    attempt: int
    headers: dict[str, str]
    connection: int
    started: float
    finished: float | None = None
    status: int | None = None
    failure: str | None = None


class RequestLog:
    """The requests of a server, and how many of them run at once."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.in_flight = 0
        self.peak_in_flight = 0
        self._attempts: Counter[str] = Counter()

    def open(self, request: web.BaseRequest) -> RecordedRequest:
        """Notes the arrival of a request."""
        target = request.raw_path
        self._attempts[target] += 1
        path, _, _ = target.partition("?")
        template, account, identity = route(path)
        query = dict(request.query)
        record = RecordedRequest(
            number=len(self.requests) + 1,
            method=request.method,
            path=path,
            path_template=template,
            account=account,
            identity=None if template == EVENT_PATH else identity,
            event=identity if template == EVENT_PATH else None,
            query=query,
            page=parse_int(query.get("page")),
            take=parse_int(query.get("take")),
            attempt=self._attempts[target],
            headers=_without_secrets(request.headers),
            connection=_peer_port(request),
            started=time.monotonic(),
        )
        self.requests.append(record)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return record

    def close(self, record: RecordedRequest) -> None:
        """Notes that a request is over, however it ended."""
        record.finished = time.monotonic()
        self.in_flight -= 1

    def reset(self) -> None:
        """Forgets every request; those in flight go on."""
        self.requests = []
        self._attempts.clear()
        self.peak_in_flight = self.in_flight


class SlidingWindow:
    """Admits at most so many requests in any window of time."""

    def __init__(self) -> None:
        self._admitted: deque[float] = deque()

    def wait(self, per_second: float, now: float) -> float:
        """Asks to be admitted.

        Args:
            per_second: The limit; a window of one second, longer for fractions.
            now: The time on any clock that never goes back.

        Returns:
            0 when admitted, else the seconds until one more would be.
        """
        capacity = max(1, int(per_second))
        window = capacity / per_second
        while self._admitted and self._admitted[0] <= now - window:
            self._admitted.popleft()
        if len(self._admitted) < capacity:
            self._admitted.append(now)
            return 0.0
        return self._admitted[-capacity] + window - now


def route(path: str) -> tuple[str | None, str | None, str | None]:
    """Finds the endpoint of a raw path, so that an encoded slash stays in its id.

    Args:
        path: The path as it was sent.

    Returns:
        The path template, the account, and the identity or the event; None for each
        unknown.
    """
    match path.split("/"):
        case ["", "portal", "v1", "accounts", account, "identities"]:
            return IDENTITIES_PATH, unquote(account), None
        case ["", "portal", "v1", "accounts", account, "identities", identity, "audit"]:
            return AUDIT_PATH, unquote(account), unquote(identity)
        case ["", "portal", "v1", "accounts", account, "audit-log", "identities"]:
            return ACCOUNT_LOG_PATH, unquote(account), None
        case [
            "",
            "portal",
            "v1",
            "accounts",
            account,
            "audit-log",
            "identities",
            event,
        ]:
            return EVENT_PATH, unquote(account), unquote(event)
        case _:
            return None, None, None


def parse_int(text: str | None) -> int | None:
    """Reads a decimal number; None for anything else."""
    if text is None or not text.isascii() or len(text) > MAX_DIGITS:
        return None
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() else None


MAX_DIGITS = 18


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name.lower(): value for name, value in headers.items()}
    if "authorization" in kept:
        kept["authorization"] = REDACTED
    return kept


def _peer_port(request: web.BaseRequest) -> int:
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport else None
    return int(peer[1]) if peer else 0


publish("canopy_async.testing", RecordedRequest)
