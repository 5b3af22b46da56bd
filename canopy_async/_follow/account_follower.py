"""`AccountFollower`: new events of a whole account, each once."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from canopy_async._account.account_log import AccountLog
from canopy_async._account.account_run import advise
from canopy_async._follow.account_poller import AccountPoller
from canopy_async._follow.checkpoint_source import CheckpointSource, SavedCheckpoint
from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._follow.follower import Follower
from canopy_async._follow.options import FollowOptions, Start
from canopy_async._follow.poller import Poller
from canopy_async._transport.transport import Transport
from canopy_async._util.public import publish
from canopy_async.errors import CanopyError, ForbiddenError, NotFoundError

__all__ = ["AccountFollower"]


class AccountFollower(Follower):
    """New events of a whole account, each once, as long as it is read.

    An AccountFollower is a `Follower` of one log: read it with ``async for``, which
    yields a `Batch` at a time. Its checkpoint can be kept in a store together with
    those of other followers. It is stored under `key`, which is also the
    ``identity_id`` of its batches.

    If the account has no such log, following ends with the 404 or 403 that the server
    sends. With ``until_caught_up``, following ends with the error of any poll that
    fails.

    Example:
        >>> async with CheckpointStore("bot.db") as store:
        ...     following = canopy.follow_account(checkpoints=store, outcome="denied")
        ...     async for batch in following:
        ...         await post(batch.events)
        ...         await store.save(batch)
    """

    _poller_type = AccountPoller

    def __init__(
        self,
        log: AccountLog,
        *,
        transport: Transport,
        options: FollowOptions,
        checkpoint: SavedCheckpoint,
        checkpoints: CheckpointSource | None,
    ) -> None:
        self._account: Final = log.account
        self._key: Final = log.key
        saved: Any = {self._key: checkpoint} if checkpoint is not None else None
        if checkpoints is not None:
            saved = _OfAccount(checkpoints, self._key)
        super().__init__(
            self._key,
            log_of=lambda _: log,
            transport=transport,
            options=options,
            checkpoints=saved,
        )

    @property
    def key(self) -> str:
        """The account's name in stores of checkpoints, such as ``account:acme``."""
        return self._key

    @property
    def checkpoint(self) -> FollowCheckpoint | None:
        """The checkpoint after the events handed out; None before the first poll."""
        return self.checkpoints.get(self._key)

    def __repr__(self) -> str:
        """Show which account is followed, in one short line."""
        return f"<AccountFollower of {self._account}>"

    def add(self, identity_id: str, *, start: Start | None = None) -> None:
        """Refuse: the log of an account is followed as a whole.

        Raises:
            TypeError: At the call.
        """
        if identity_id != self._key:
            self._refuse()
        super().add(identity_id, start=start)

    def remove(self, identity_id: str) -> None:  # noqa: ARG002 - none can be
        """Refuse: the log of an account is followed as a whole.

        Raises:
            TypeError: At the call.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TypeError(
            "an AccountFollower follows one log: use follow() for identities"
        )

    def _failed(self, poller: Poller, error: CanopyError) -> float | None:
        advise(error)
        is_refused = isinstance(error, (ForbiddenError, NotFoundError))
        if is_refused or self._options.until_caught_up:
            self._stop(error)
            return None
        return super()._failed(poller, error)


class _OfAccount:
    """The checkpoint of one account among those that a source has."""

    def __init__(self, source: CheckpointSource, key: str) -> None:
        if not hasattr(source, "load"):
            raise TypeError("checkpoints must have load(), as a CheckpointStore has")
        self._source: Final = source
        self._key: Final = key

    async def load(self) -> Mapping[str, FollowCheckpoint]:
        """Return the checkpoint under the account's key, if there is one."""
        saved = await self._source.load()
        return {self._key: saved[self._key]} if self._key in saved else {}


publish("canopy_async", AccountFollower)
