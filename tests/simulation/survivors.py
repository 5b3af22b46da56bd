"""Mutants that no test notices, and why that may stay so.

Each is named by its module, its line and its change, with what it is:

- ``equivalent``: no input tells it from the original.
- ``tuning``: it costs or saves requests or time, and nothing else depends on it.
- ``accepted``: it can be told apart, and a test of it is not worth its upkeep.
"""

_REPAIRS = "accepted: tests ask whether a report counts repairs, not for how many"

KNOWN = {
    (
        "canopy_async._walk.id_cover",
        "place = len(view.rows) - 1",
        "len(view.rows) - 1  →  len(view.rows) + 1",
    ): "tuning: the place is a hint of where to look next",
    (
        "canopy_async._walk.ties",
        "first = view.keys.index(self.key) if run else 0",
        "0  →  1",
    ): "accepted: one row more counts as missing, so that a read looks for longer",
    (
        "canopy_async._transport.pace",
        "if len(since) >= _EVIDENCE:",
        "len(since) >= _EVIDENCE  →  len(since) > _EVIDENCE",
    ): "tuning: a rate is learnt from eleven successes instead of ten",
    (
        "canopy_async._walk.bridge",
        "state.ledger.repairs += 1",
        "state.ledger.repairs += 1  →  pass",
    ): _REPAIRS,
    ("canopy_async._walk.bridge", "state.ledger.repairs += 1", "1  →  2"): _REPAIRS,
    (
        "canopy_async._walk.seek",
        (
            "self._bound = min(self._bound, latest)"
            " - max(self._step, self._page_size // 2)"
        ),
        "max  →  min",
    ): "tuning: how far a search steps back",
    (
        "canopy_async._walk.bridge",
        "if not state.cover.is_bounded and self._tries_left:",
        "not state.cover.is_bounded and self._tries_left  →  self._tries_left",
    ): "tuning: the end of the list is looked for again though it is known",
    (
        "canopy_async._follow.follow_checkpoint",
        "_MAX_TEXT: Final = 16 * 1024 * 1024",
        "16  →  17",
    ): "tuning: how long the text of a checkpoint may be",
}


def why(mutant):
    """Return why a mutant may survive, None where nobody has said."""
    return KNOWN.get((mutant.module, mutant.source, mutant.change))
