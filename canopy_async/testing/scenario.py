"""`Scenario`: the data of a local server, and its faults and rules."""

from canopy_async.testing.account_rules import LogRules
from canopy_async.testing.api_instants import Clock
from canopy_async.testing.content import Content
from canopy_async.testing.faults import Faults

__all__ = ["Scenario"]


class Scenario(Content):
    """Identities, their events, and how a server is to misbehave with them.

    Attributes:
        faults: What goes wrong from now on; may be set at any time.
        log_rules: How the log of the account behaves; may be set at any time.
    """

    def __init__(
        self,
        *,
        account: str,
        path: str,
        seed: int,
        clock: Clock,
        faults: Faults,
        log_rules: LogRules,
    ) -> None:
        super().__init__(account=account, path=path, seed=seed, clock=clock)
        self.faults = faults
        self.log_rules = log_rules
