"""`PollerSource`: makes the poller of an identity, at the place where it begins."""

import asyncio
from collections.abc import Callable
from typing import Final

from canopy_async._account.account_log import AccountLog
from canopy_async._follow.beginning import Beginnings
from canopy_async._follow.options import FollowOptions, Start
from canopy_async._follow.poller import Poller
from canopy_async._read.audit_log import AuditLog
from canopy_async._transport.transport import Transport

__all__ = ["PollerSource"]

READY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of answers that all polls together hold ready, about."""


class PollerSource:
    """Makes the pollers of one follower.

    What the polls of all identities share is made once: their turns beside the other
    reads of the session, and the lock under which the rows of a page wait.

    Args:
        log_of: Returns the log of an identity.
        beginnings: Knows where each identity begins.
        transport: Sends the requests.
        options: How identities are followed.
        make: Makes a poller of its attributes.
    """

    def __init__(
        self,
        log_of: Callable[[str], AuditLog | AccountLog],
        beginnings: Beginnings,
        *,
        transport: Transport,
        options: FollowOptions,
        make: Callable[..., Poller],
    ) -> None:
        self._log_of: Final = log_of
        self._beginnings: Final = beginnings
        self._transport: Final = transport
        self._options: Final = options
        self._make: Final = make
        self._lanes: Final = transport.open_group(max_ready=READY_BYTES)
        self._turn: Final = asyncio.Lock()

    def check_id(self, identity_id: str) -> None:
        """Refuse what can't be an id.

        Raises:
            TypeError: It is not a str.
            ValueError: It can't be an id.
        """
        self._log_of(identity_id)

    def check_checkpoint(self, identity_id: str) -> None:
        """Refuse an identity whose checkpoint can't be used.

        Raises:
            CheckpointError: It is damaged, or of another log.
        """
        self._beginnings.checkpoint_of(identity_id, self._log_of(identity_id).scope)

    def poller_of(self, identity_id: str, start: Start | None) -> Poller:
        """Return a poller of an identity.

        Args:
            identity_id: The identity.
            start: Where to begin without a checkpoint; None for what is said of all.

        Raises:
            CheckpointError: Its checkpoint is damaged, or of another log.
        """
        log = self._log_of(identity_id)
        return self._make(
            identity_id=identity_id,
            log=log,
            start=start or self._beginnings.start_of(identity_id),
            scope=log.scope,
            lateness=self._options.lateness,
            pace=self._options.pace,
            lanes=self._lanes,
            turn=self._turn,
            now=lambda: self._transport.server_time,
            tells_ends=self._options.until_caught_up,
            checkpoint=self._beginnings.checkpoint_of(identity_id, log.scope),
        )
