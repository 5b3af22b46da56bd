"""The writes that a read of a local server brings about, as its faults order them."""

from itertools import repeat

from canopy_async.testing.faults import Faults
from canopy_async.testing.request_log import RecordedRequest
from canopy_async.testing.scenario import Scenario

__all__ = ["ReadWrites"]

_OWN_TRACE = {"action": "audit.query.executed", "category": "audit"}


class ReadWrites:
    """Moves a log while it is read.

    Args:
        scenario: What is written to.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._inserts = _Share()
        self._deletes = _Share()

    def write(self, moment: str, record: RecordedRequest, faults: Faults) -> None:
        """Writes what is due at a moment of a request.

        Args:
            moment: As in ``Faults.write_at``.
            record: The request.
            faults: Those in force for it.
        """
        if faults.write_at != moment:
            return
        if faults.mutate is not None:
            faults.mutate(self._scenario, record)
        identity = record.identity
        if identity is None or not self._scenario.has_identity(identity):
            return
        deletes = self._deletes.due(faults.delete_per_request)
        if deletes:
            self._scenario.delete_oldest(identity, deletes)
        inserts = self._inserts.due(faults.insert_per_request)
        if inserts:
            self._scenario.add_events(identity, repeat({}, inserts))
        if faults.writes_on_read:
            self._scenario.add_event(identity, **_OWN_TRACE)


class _Share:
    """Adds up fractions, and says how many whole ones are due."""

    def __init__(self) -> None:
        self._due = 0.0

    def due(self, amount: float) -> int:
        self._due += amount
        whole = int(self._due)
        self._due -= whole
        return whole
