"""From a request to an answer: the rules of the API, and the faults on the way."""

import asyncio
import json
import time
from collections import defaultdict, deque
from email.utils import format_datetime

from aiohttp import web

from canopy_async.testing import answers
from canopy_async.testing.account_portal import AccountPortal, LogRequest
from canopy_async.testing.api_instants import Clock, as_utc
from canopy_async.testing.dice import Dice
from canopy_async.testing.faults import Failure, Faults, RetryAfter
from canopy_async.testing.given_rows import merged
from canopy_async.testing.read_writes import ReadWrites
from canopy_async.testing.refusal import RefusedError
from canopy_async.testing.request_log import (
    ACCOUNT_LOG_PATH,
    AUDIT_PATH,
    EVENT_PATH,
    RecordedRequest,
    RequestLog,
    SlidingWindow,
)
from canopy_async.testing.scenario import Scenario
from canopy_async.testing.store import IDENTITIES, Row, View, as_json, log_of
from canopy_async.testing.tokens import Tokens
from canopy_async.testing.windows import (
    EVENT_COLUMNS,
    IDENTITY_COLUMNS,
    PageQuery,
    page_meta,
    parse_query,
    refuse_repeated,
    window,
)

_SHARE_BEFORE = {"arrival": 0.0, "middle": 0.5, "departure": 1.0}
_HALFWAY = ("truncate", "stall")


class Portal:
    """Answers the requests of a `LocalCanopy`."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        log: RequestLog,
        tokens: Tokens,
        dice: Dice,
        clock: Clock,
        page_limit: int,
    ) -> None:
        self.queued: deque[Failure] = deque()
        self._scenario = scenario
        self._log = log
        self._tokens = tokens
        self._dice = dice
        self._clock = clock
        self._page_limit = page_limit
        self._of_account = AccountPortal(scenario, dice=dice, clock=clock)
        self._window = SlidingWindow()
        self._counts: defaultdict[tuple[str, View], deque[int]] = defaultdict(deque)
        self._writes = ReadWrites(scenario)
        self._tasks: set[asyncio.Task[object]] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request and keeps the record of it."""
        record = self._log.open(request)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            response = await self._answer(request, record)
            record.status = response.status
        finally:
            self._log.close(record)
            if task is not None:
                self._tasks.discard(task)
        return response

    async def cancel(self) -> None:
        """Gives up every request in flight."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _answer(
        self, request: web.BaseRequest, record: RecordedRequest
    ) -> web.StreamResponse:
        faults = self._scenario.faults.applying_to(record)
        try:
            return await self._served(request, record, faults)
        except RefusedError as problem:
            now = self._clock()
            return answers.answer(
                request,
                problem.status,
                answers.envelope(problem, request=request, now=now),
                self._headers(record) | problem.headers,
            )

    async def _served(
        self, request: web.BaseRequest, record: RecordedRequest, faults: Faults
    ) -> web.StreamResponse:
        self._throttle(record, faults)
        failure = self._next_failure(record, faults)
        delay = faults.draw_delay(self._dice)
        if failure is not None and failure.kind not in _HALFWAY:
            await _pause(delay)
            return await self._fail(request, record, failure)
        if faults.redirect is not None:
            await _pause(delay)
            headers = self._headers(record) | {"Location": faults.redirect}
            return web.Response(status=302, headers=headers)
        body = await self._page(request, record, faults, delay)
        if failure is not None:
            await answers.send_half(
                request,
                body,
                self._headers(record),
                chunked=faults.truncate_mode == "chunked",
                hang_up=failure.kind == "truncate",
            )
        return answers.answer(request, 200, body, self._headers(record))

    def _throttle(self, record: RecordedRequest, faults: Faults) -> None:
        if faults.rate_limit is None:
            return
        wait = self._window.wait(faults.rate_limit, record.started)
        if wait <= 0:
            return
        record.failure = "throttle"
        headers = self._retry_after(faults.retry_after, wait)
        raise RefusedError(
            429, "Too many requests", code="rate.limited", headers=headers
        )

    def _next_failure(self, record: RecordedRequest, faults: Faults) -> Failure | None:
        failure = self._take_queued(record) or faults.draw_failure(self._dice)
        if failure is not None:
            record.failure = failure.kind
        return failure

    def _take_queued(self, record: RecordedRequest) -> Failure | None:
        with self._scenario.lock:
            for failure in self.queued:
                if failure.only is None or failure.only(record):
                    self.queued.remove(failure)
                    return failure
        return None

    async def _fail(
        self, request: web.BaseRequest, record: RecordedRequest, failure: Failure
    ) -> web.StreamResponse:
        match failure.kind:
            case "reset":
                return await answers.reset(request)
            case "hang":
                return await answers.never()
            case "html" | "empty":
                return answers.proxy_page(failure, self._headers(record))
            case _:
                headers = self._retry_after(failure.retry_after, 0.0)
                raise RefusedError(failure.status, "Ordered to fail", headers=headers)

    def _headers(self, record: RecordedRequest) -> dict[str, str]:
        date = format_datetime(as_utc(self._clock()), usegmt=True)
        return {"Date": date, "x-request-id": f"req-{record.number:06d}"}

    def _retry_after(self, wanted: RetryAfter, wait: float) -> dict[str, str]:
        return answers.retry_after_header(wanted, wait=wait, now=self._clock())

    async def _page(
        self,
        request: web.BaseRequest,
        record: RecordedRequest,
        faults: Faults,
        delay: float,
    ) -> bytes:
        departure = time.monotonic() + delay
        try:
            query = self._admit(request, record, faults)
            await _pause(delay * _SHARE_BEFORE[faults.serve_at])
            with self._scenario.lock:
                body = self._read(record, query, faults)
        except RefusedError:
            await _pause(departure - time.monotonic())
            raise
        await _pause(departure - time.monotonic())
        return body

    def _admit(
        self, request: web.BaseRequest, record: RecordedRequest, faults: Faults
    ) -> PageQuery | LogRequest | None:
        if record.path_template is None:
            raise RefusedError(404, f"Cannot {record.method} {record.path}")
        if record.method != "GET":
            raise RefusedError(405, "Method not allowed", headers={"Allow": "GET"})
        self._tokens.check(request.headers.get("Authorization"))
        if record.account != self._scenario.account:
            raise RefusedError(404, "Account not found", code="account.not_found")
        if record.path_template == ACCOUNT_LOG_PATH:
            self._of_account.check_available()
            return self._of_account.admit(request)
        if record.path_template == EVENT_PATH:
            self._of_account.check_available()
            return None
        refuse_repeated(request)
        is_log = record.path_template == AUDIT_PATH
        return parse_query(
            record.query,
            columns=EVENT_COLUMNS if is_log else IDENTITY_COLUMNS,
            page_limit=self._page_limit,
            faults=faults,
        )

    def _read(
        self,
        record: RecordedRequest,
        query: PageQuery | LogRequest | None,
        faults: Faults,
    ) -> bytes:
        if isinstance(query, PageQuery):
            return self._read_page(record, query, faults)
        self._writes.write("before", record, faults)
        if query is None:
            body = _changed(self._of_account.event(record.event or ""), faults)
        else:
            rows, meta = self._of_account.read(query)
            body = _rendered(rows, meta, faults)
        self._writes.write("after", record, faults)
        return body

    def _read_page(
        self, record: RecordedRequest, query: PageQuery, faults: Faults
    ) -> bytes:
        name = IDENTITIES if record.identity is None else log_of(record.identity)
        store = self._scenario.store
        self._writes.write("before", record, faults)
        self._require_identity(record.identity)
        count = len(store.order(name, query.view))
        self._writes.write("between", record, faults)
        entries = store.order(name, query.view)
        rows = store.rows(window(entries, query, faults=faults, dice=self._dice))
        self._writes.write("after", record, faults)
        if query.offset >= max(count, 1) and faults.past_end == "404":
            raise RefusedError(404, "Page not found", code="page.not_found")
        count = self._lagging((name, query.view), count, faults.count_lag)
        return _rendered(rows, page_meta(query, count, faults), faults)

    def _require_identity(self, identity: str | None) -> None:
        if identity is not None and not self._scenario.has_identity(identity):
            raise RefusedError(404, "Identity not found", code="identity.not_found")

    def _lagging(self, key: tuple[str, View], count: int, lag: int) -> int:
        if not lag:
            return count
        counts = self._counts[key]
        counts.append(count)
        while len(counts) > lag + 1:
            counts.popleft()
        return counts[0]


def _rendered(rows: list[str], meta: Row, faults: Faults) -> bytes:
    if faults.body is not None:
        return faults.body
    text = f'{{"items":[{",".join(rows)}],"pagination":{as_json(meta)}}}'
    if faults.bad_row is None and faults.tamper is None:
        return text.encode()
    page: Row = json.loads(text)
    if faults.bad_row is not None and page["items"]:
        page["items"][-1] = merged(page["items"][-1], faults.bad_row)
    served = page if faults.tamper is None else faults.tamper(page)
    return as_json(served).encode()


def _changed(text: str, faults: Faults) -> bytes:
    """One event as it is served."""
    if faults.body is not None:
        return faults.body
    if faults.tamper is None:
        return text.encode()
    return as_json(faults.tamper(json.loads(text))).encode()


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
