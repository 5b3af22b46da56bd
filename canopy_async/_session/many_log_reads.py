"""Reads of the logs of many identities: side by side, or as they grow."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Unpack

import attrs

from canopy_async._api.identity_ids import IdentityIds, id_of
from canopy_async._read.audit_log import AuditLog, check_provable
from canopy_async._read.events_query import EventsQuery, left_of
from canopy_async._session.identity_reads import IdentityReads
from canopy_async._util.arguments import OnError
from canopy_async.checkpoint import Checkpoint
from canopy_async.models import Identity

if TYPE_CHECKING:
    from canopy_async._fanout.fanout import FanOut
    from canopy_async._fanout.results import EventsOptions, IdentityOutcome
    from canopy_async._follow import (
        CheckpointSource,
        Follower,
        FollowOutcome,
        Identities,
        SavedCheckpoint,
        Start,
    )

__all__ = ["ManyLogReads"]

# Imported in the methods that need them, `_fanout` and `_follow` cost most sessions
# nothing: with them, importing the package takes more than twice as long.


class ManyLogReads(IdentityReads):
    """The reads of a session that are about many identities."""

    def fan_out(
        self,
        identity_ids: IdentityIds,
        *,
        on_error: OnError = "raise",
        width: int = 16,
        resume: Mapping[str, Checkpoint | str | None] | None = None,
        since_each: Mapping[str, datetime | None] | None = None,
        on_end: "Callable[[IdentityOutcome], None] | None" = None,
        **options: "Unpack[EventsOptions]",
    ) -> "FanOut":
        """Return the audit events of many identities, read side by side.

        Nothing is sent before it is iterated. The events of one identity come
        in list order; those of different identities alternate. All of it
        shares this session's limits, and memory doesn't grow with the number
        of identities.

        Args:
            identity_ids: Ids, or objects with an ``id`` such as those of
                `identities`: any iterable or async iterable, which is asked
                for one more only when there is room for it.
            on_error: ``raise`` stops at the first identity that can't be read
                and raises its error; ``collect`` goes on without it, and keeps
                the error in ``failures``. An error that concerns all identities ends
                the fan-out; its ``concerns_all`` is true: a refused token, a token
                provider that fails, an outage or a refusal for longer than the retry
                policy waits, and a redirect, a page of HTML or a 403 that every
                identity gets. The other identities are then unread, and not failed.
            width: Identities read at a time at most.
            resume: Where to begin, for identities that were begun by an
                earlier fan-out with the same options: its ``checkpoints``.
            since_each: The ``since`` of single identities, instead of that for all;
                None reads from the beginning of the log.
            on_end: Called when an identity was read to its end or failed, after its
                last events were handed out and processed. An error that it raises ends
                the fan-out.
            **options: As in `events`, for each identity.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds. While iterating: an
                id is invalid.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            CanopyError: While iterating; carries ``checkpoint``, and a note
                that names the identity.

        Example:
            >>> who = canopy.identities(status="active")
            >>> async for identity_id, event in canopy.fan_out(who):
            ...     print(identity_id, event.action)
        """
        from canopy_async._fanout.fanout import FanOut

        self._transport.check_open()
        query = EventsQuery.picked_from(options)
        how = self._options(**left_of(options))
        check_provable(query, how)

        def log_of(identity_id: str) -> AuditLog:
            if since_each is None or identity_id not in since_each:
                return self._log(identity_id, query, how)
            since = since_each[identity_id]
            return self._log(identity_id, attrs.evolve(query, since=since), how)

        return FanOut(
            identity_ids,
            log_of,
            transport=self._transport,
            on_error=on_error,
            width=width,
            resume=resume,
            on_end=on_end,
        )

    def follow(
        self,
        identities: "Identities",
        *,
        start: "Start" = "now",
        discover_every: float = 60.0,
        until_caught_up: bool = False,
        checkpoint: "SavedCheckpoint" = None,
        checkpoints: "Mapping[str, SavedCheckpoint] | CheckpointSource | None" = None,
        every: float = 5.0,
        idle_every: float = 60.0,
        overlap: float = 120.0,
        deep_overlap: float | None = 3600.0,
        deep_every: float | None = 600.0,
        settle: float = 0.0,
        q: str | None = None,
        width: int = 16,
        on_end: "Callable[[FollowOutcome], None] | None" = None,
    ) -> "Follower":
        """Return the new events of identities, each once, as they come.

        Nothing is sent before it is iterated, which goes on until it is left, or with
        ``until_caught_up`` until all logs were polled to their end.

        Args:
            identities: One identity or many: ids, or objects with an ``id``, in any
                iterable or async iterable. An async iterable that can be iterated
                anew, such as `identities`, is read again for those that appear later.
                `Follower.add` and `Follower.remove` change them, too.
            start: Where to begin on the first run, when no identity has a checkpoint:
                ``now`` for what comes from an identity's first poll on, ``beginning``
                for its whole log first, or an aware datetime for the events that are
                no older. An identity that appears later begins at its beginning,
                whether this follower, another one, or none ran then.
            discover_every: Seconds between looks for new identities; more where these
                looks take more than a tenth of it.
            until_caught_up: Whether to end once each identity was polled to its end, or
                failed. The identities are then listed once, and each is forgotten when
                it was polled to its end, so that memory doesn't grow with their logs.
            checkpoint: The place to go on from, for one identity.
            checkpoints: The places to go on from, for many identities: a mapping from
                their ids, or a `CheckpointStore`. If it has any identity, one that it
                does not have appeared after the first run. An identity that a mapping
                has with None was there on the first run. A mapping is asked when an
                identity begins.
            every: Seconds between polls of an identity that gets events.
            idle_every: Seconds between polls, at most, of an identity that gets none;
                and between the attempts of one that can't be polled.
            overlap: Seconds that an event may be committed late, up to a day: each
                poll reads the log again from so long before its newest event.
            deep_overlap: Seconds that an event may be committed late and still be found
                by a deep poll, one that reads further back now and then; up to a day.
                None or 0 for no deep polls.
            deep_every: Seconds between deep polls, up to a day; None or 0 for never.
            settle: Seconds that events are held back, up to a day, so that events
                committed late meanwhile come in their order. The age of an event is
                told by newer events of its log and by the time since it was seen, never
                by this machine's date. After a restart, the events of a log that has
                gone quiet wait once more.
            q: Search term.
            width: Identities polled at a time at most.
            on_end: With ``until_caught_up``, called when an identity was polled to its
                end or failed, after its last batch was processed. An error that it
                raises ends the follower.

        Raises:
            TypeError: At the call: an argument has the wrong type; while iterating: an
                identity is neither a str nor has an ``id``.
            ValueError: At the call: an argument is out of bounds; while iterating: an
                id is invalid.
            CheckpointError: At the call for identities in a collection and checkpoints
                in a mapping, else while iterating: a checkpoint is damaged or of
                another log, or a store can't be read.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            UnauthorizedError: While iterating.
            CanopyError: While iterating, with ``until_caught_up``: it concerns all
                identities, as an outage that outlasts the retry policy does, or they
                can't be listed.

        Example:
            >>> async with CheckpointStore("bot.db") as store:
            ...     async for batch in canopy.follow(ids, checkpoints=store):
            ...         await post(batch.events)
            ...         await store.save(batch)
        """
        self._transport.check_open()
        query = EventsQuery(q=q, order="desc")
        how = self._options()
        if checkpoint is not None:
            if checkpoints is not None or not isinstance(identities, (str, Identity)):
                raise ValueError("checkpoint is for one identity; pass checkpoints")
            checkpoints = {id_of(identities): checkpoint}
        from canopy_async._follow import Follower, FollowOptions

        options = FollowOptions.checked(
            start=start,
            discover_every=discover_every,
            until_caught_up=until_caught_up,
            every=every,
            idle_every=idle_every,
            overlap=overlap,
            deep_overlap=deep_overlap,
            deep_every=deep_every,
            settle=settle,
            width=width,
        )
        return Follower(
            identities,
            log_of=lambda identity_id: self._log(identity_id, query, how),
            transport=self._transport,
            options=options,
            checkpoints=checkpoints,
            on_end=on_end,
        )
