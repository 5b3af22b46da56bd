"""The code of a user, as type checkers see it: never run, only checked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, assert_type

import aiohttp
import cattrs

from canopy_async import (
    ActorType,
    ApiError,
    AuditEvent,
    Batch,
    CanopyError,
    CanopySession,
    Category,
    Checkpoint,
    CheckpointStore,
    CooldownStarted,
    EventStream,
    FanOut,
    FanOutError,
    FanOutProgress,
    FollowCheckpoint,
    Follower,
    Gap,
    Hook,
    HookRecord,
    Identity,
    IdentityBatch,
    IdentityEvent,
    IncompleteReadError,
    LoggingHook,
    Outcome,
    Page,
    PageMeta,
    PageReceived,
    Progress,
    Proof,
    ProtocolError,
    RateLimitedError,
    ReadReport,
    RefreshingToken,
    RequestFinished,
    RequestTimeoutError,
    RetryPolicy,
    RetryScheduled,
    Run,
    SessionStats,
    Severity,
    StaticToken,
    Stream,
    TokenProvider,
    TransportError,
    __version__,
    converter,
)


async def log_in() -> str:
    return "token"


class Vault:
    async def token(self) -> str:
        return "token"

    async def refresh(self, rejected: str) -> str:
        return rejected[::-1]


def watch(record: HookRecord) -> None:
    match record:
        case RequestFinished():
            assert_type(record.status, int | None)
        case RetryScheduled():
            assert_type(record.wait, float)
        case CooldownStarted():
            assert_type(record.seconds, float)
        case PageReceived():
            assert_type(record.item_count, int | None)


async def sessions(http: aiohttp.ClientSession) -> None:
    provider: TokenProvider = Vault()
    function: Callable[[], Awaitable[str]] = log_in
    hook: Hook = watch
    for token in (
        "token",
        provider,
        function,
        log_in,
        StaticToken("token"),
        RefreshingToken(log_in),
    ):
        CanopySession("acme", token)
    session = CanopySession(
        "acme",
        "token",
        base_url="https://api.canopy.dev",
        concurrency=4,
        max_rate=10,
        retry=RetryPolicy(attempts=2, jitter=lambda bound: bound / 2),
        timeout=30,
        hooks=[hook, LoggingHook()],
        http=http,
        user_agent="exporter/1",
    )
    assert_type(CanopySession.from_env(concurrency=2), CanopySession)
    assert_type(session.account, str)
    assert_type(session.base_url, str)
    assert_type(session.closed, bool)
    assert_type(session.stats, SessionStats)
    assert_type(session.stats.width, int)
    async with session as entered:
        assert_type(entered, CanopySession)
    assert_type(await session.aclose(), None)


async def tables(canopy: CanopySession) -> None:
    assert_type(await canopy.events("idn_1").to_arrow(), Any)
    assert_type(canopy.events("idn_1").iter_arrow(rows=100), AsyncIterator[Any])
    assert_type(await canopy.fan_out(["idn_1"]).to_arrow(), Any)


async def pages(canopy: CanopySession) -> None:
    page = await canopy.page(
        "idn_1", 2, take=50, q="login", sort_by="created_at", order="desc"
    )
    assert_type(page, Page[AuditEvent])
    assert_type(page.items, tuple[AuditEvent, ...])
    assert_type(page.pagination, PageMeta)
    assert_type(page.pagination.item_count, int)
    assert_type(page.pagination.has_next_page, bool)


async def streams(canopy: CanopySession) -> None:
    stream = canopy.events(
        "idn_1",
        q=None,
        sort_by=None,
        order="asc",
        limit=None,
        take=100,
        concurrency=4,
        lossless=False,
    )
    assert_type(stream, Stream[AuditEvent])
    alias: EventStream = stream
    async for event in alias:
        assert_type(event, AuditEvent)
    assert_type(await stream.collect(), list[AuditEvent])
    assert_type(await stream.first(), AuditEvent | None)
    assert_type(await stream.count(), int)
    found: AsyncIterator[Page[AuditEvent]] = stream.pages()
    async for page in found:
        assert_type(page, Page[AuditEvent])
    assert_type([event.id async for event in stream], list[str])


async def identities(canopy: CanopySession) -> None:
    stream = canopy.identities(status="active", q="ada", order="asc", limit=5, take=5)
    assert_type(stream, Stream[Identity])
    async for identity in stream:
        assert_type(identity.email, str | None)
        assert_type(identity.is_active, bool | None)
        assert_type(identity.created_at, datetime | None)


async def runs(canopy: CanopySession) -> None:
    async with canopy.events("idn_1").open() as run:
        assert_type(run, Run[AuditEvent])
        async for event in run:
            assert_type(event, AuditEvent)
        assert_type(await anext(run), AuditEvent)
        assert_type(run.progress, Progress)
        assert_type(run.progress.total, int | None)
        assert_type(run.report, ReadReport)
        assert_type(run.report.proof, Proof)
        assert_type(run.report.complete, bool)
        assert_type(run.report.warnings, tuple[str, ...])
    assert_type(await run.aclose(), None)


async def fan_outs(canopy: CanopySession) -> None:
    for ids in (["idn_1"], {"idn_1"}, canopy.identities(), iter(("idn_1",))):
        canopy.fan_out(ids)
    saved: dict[str, Checkpoint | None] = {}
    async with canopy.fan_out(
        ["idn_1"],
        on_error="collect",
        width=4,
        resume=saved,
        order="asc",
        q="login",
        limit=5,
        take=50,
        since=None,
        until=None,
        lossless=True,
    ) as fan_out:
        assert_type(fan_out, FanOut)
        async for item in fan_out:
            assert_type(item, IdentityEvent)
            identity_id, event = item
            assert_type(identity_id, str)
            assert_type(event, AuditEvent)
        assert_type(await fan_out.next_batch(), IdentityBatch | None)
        assert_type(await fan_out.collect(), list[IdentityEvent])
    assert_type(fan_out.progress, FanOutProgress)
    assert_type(fan_out.progress.done, int)
    assert_type(fan_out.failures, dict[str, CanopyError])
    assert_type(fan_out.reports, dict[str, ReadReport])
    assert_type(fan_out.checkpoints, dict[str, Checkpoint | None])
    assert_type(await fan_out.aclose(), None)


async def choices(
    canopy: CanopySession,
    order: Literal["asc", "desc"],
    status: Literal["active", "inactive"],
    on_error: Literal["raise", "collect"],
    start: Literal["now", "beginning"] | datetime,
) -> None:
    canopy.events("idn_1", order=order)
    canopy.identities(order=order, status=status)
    canopy.fan_out(["idn_1"], on_error=on_error, order=order)
    canopy.follow("idn_1", start=start).add("idn_2", start=start)
    # What is not one of the choices is shown before it is run.
    await canopy.page("idn_1", order="newest")  # type: ignore[arg-type]
    canopy.events("idn_1", order="newest")  # type: ignore[arg-type]
    canopy.identities(status="gone")  # type: ignore[arg-type]
    canopy.fan_out(["idn_1"], on_error="ignore")  # type: ignore[arg-type]
    canopy.fan_out(["idn_1"], order="newest")  # type: ignore[arg-type]
    canopy.follow("idn_1", start="yesterday")  # type: ignore[arg-type]
    canopy.follow("idn_1").add("idn_2", start="yesterday")  # type: ignore[arg-type]


async def followers(canopy: CanopySession, text: str) -> None:
    canopy.follow("idn_1", checkpoint=text)
    canopy.follow("idn_1", checkpoint=None, deep_overlap=None, deep_every=None)
    canopy.follow(["idn_1"], checkpoints={"idn_1": text, "idn_2": None})
    async with (
        CheckpointStore("bot.db") as store,
        canopy.follow(
            ["idn_1"],
            start="beginning",
            checkpoints=store,
            every=5,
            idle_every=60.0,
            overlap=120,
            deep_overlap=3600,
            deep_every=600.0,
            settle=30,
            q="login",
            width=4,
        ) as follower,
    ):
        assert_type(follower, Follower)
        async for batch in follower:
            assert_type(batch, Batch)
            await store.save(batch)
        assert_type(await store.load(), dict[str, FollowCheckpoint])
        found: AsyncIterator[AuditEvent] = follower.events()
        async for event in found:
            assert_type(event, AuditEvent)
    assert_type(follower.add("idn_2", start="now"), None)
    assert_type(follower.remove("idn_2"), None)
    assert_type(follower.identity_ids, tuple[str, ...])
    assert_type(follower.checkpoints, dict[str, FollowCheckpoint])
    assert_type(follower.failures, dict[str, CanopyError])
    assert_type(follower.outage, CanopyError | None)
    assert_type(await follower.aclose(), None)


def batches(batch: Batch) -> None:
    assert_type(batch.identity_id, str)
    assert_type(batch.events, tuple[AuditEvent, ...])
    assert_type(batch.gap, Gap | None)
    assert_type(batch.gap.older_than if batch.gap else None, datetime | None)
    assert_type(batch.late, frozenset[str])
    assert_type(batch.late_suspected, int)
    assert_type(batch.checkpoint, FollowCheckpoint)
    assert_type(batch.checkpoint.floor, datetime | None)
    assert_type(batch.checkpoint.dumps(), str)
    assert_type(FollowCheckpoint.loads(b"{}"), FollowCheckpoint)


def rows(event: AuditEvent) -> None:
    assert_type(event.id, str)
    assert_type(event.created_at, datetime)
    assert_type(event.actor_type, ActorType)
    assert_type(event.outcome, Outcome)
    assert_type(event.severity, Severity)
    assert_type(event.category, Category | None)
    assert_type(event.actor_id, str | None)
    assert_type(event.metadata, dict[str, Any])
    assert_type(event.extra, dict[str, Any])
    assert_type(event.customer_visible, bool)
    assert_type(Outcome("partial"), Outcome)
    assert_type(event.outcome.is_known, bool)
    text: str = event.outcome
    assert_type(text.upper(), str)


def conversion(row: dict[str, Any]) -> None:
    assert_type(converter, cattrs.Converter)
    assert_type(converter.structure(row, AuditEvent), AuditEvent)
    assert_type(converter.structure(row, Identity), Identity)
    text: str = __version__
    del text


async def errors(canopy: CanopySession) -> None:
    try:
        await canopy.page("idn_1")
    except RateLimitedError as error:
        assert_type(error.retry_after, float | None)
    except ApiError as error:
        assert_type(error.status, int)
        assert_type(error.details, tuple[str, ...])
        assert_type(error.code, str | None)
        assert_type(error.request_id, str | None)
    except RequestTimeoutError as error:
        assert_type(error.attempts, int)
    except TransportError as error:
        assert_type(error.url, str)
    except ProtocolError as error:
        assert_type(error.page, int | None)
        assert_type(error.path, str)
    except IncompleteReadError as error:
        assert_type(error.report, ReadReport)
    except FanOutError as error:
        assert_type(error.failures, dict[str, CanopyError])
    except CanopyError as error:
        assert_type(error.checkpoint.dumps() if error.checkpoint else None, str | None)
        canopy.events("idn_1", resume=error.checkpoint)
