"""`PollerSource`: makes the pollers of a follower's identities."""

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
"""About how many bytes of answers all polls together hold ready at most."""


class PollerSource:
    """Makes the pollers of one follower.

    The pollers share two things: their turns among the reads of the session, and the
    lock that a poll holds while the rows of a page wait to be handed out.

    Args:
        log_of: Returns the log of an identity.
        beginnings: Knows where each identity begins.
        transport: Sends the requests.
        options: How identities are followed.
        make: Makes a poller; its keyword arguments are the attributes of a `Poller`.
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
        """Check that an id can be one.

        Raises:
            TypeError: ``identity_id`` is not a str.
            ValueError: ``identity_id`` can't be an id.
        """
        self._log_of(identity_id)

    def check_checkpoint(self, identity_id: str) -> None:
        """Check that the checkpoint of an identity, if there is one, can be used.

        Raises:
            CheckpointError: The checkpoint is damaged, or of another log.
        """
        self._beginnings.checkpoint_of(identity_id, self._log_of(identity_id).scope)

    def poller_of(self, identity_id: str, start: Start | None) -> Poller:
        """Return a poller of an identity.

        Args:
            identity_id: The identity.
            start: Where to begin without a checkpoint; None leaves that to the
                beginnings.

        Raises:
            CheckpointError: The checkpoint is damaged, or of another log.
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
