"""Mutants that no test notices, and why that may stay so.

Each is named by its module, its line and its change, with what it is:

- ``equivalent``: no input tells it from the original.
- ``tuning``: it costs or saves requests or time, and nothing else depends on it.
- ``accepted``: it can be told apart, and a test of it is not worth its upkeep.
"""

_REPAIRS = "accepted: tests ask whether a report counts repairs, not for how many"
_OVERLAP = "tuning: by how many rows the windows of the plan overlap"
_SHORTCUT = "equivalent: a way to the answer that is shorter, and the answer is one"
_BUDGET = "tuning: after how many requests a read is given up"
_PROBES = "tuning: how many windows look for a place, at most"
_UNUSED = "equivalent: the value is replaced before it is used"
_ONCE_MORE = "tuning: the window that was refused is asked for, not another like it"
_WHICH_REASON = "accepted: which reason is named where a place was not found again"
_ONE_LENGTH = "equivalent: what is zipped is of one page, and of one length"
_USUAL = "equivalent: an instant that is usual is parsed to what it was already"
_SORTED_BY_KEY = "equivalent: the keys are not equal there"
_WHERE_END = "tuning: where the end of a list that grows is looked for"
_WHERE_ORDER = "tuning: where the order of a list is looked for"
_FILLS = "tuning: after how many tied rows no window is expected to bridge a run"
_DUPLICATES = (
    "accepted: how often a row of a run counts among the duplicates of a report"
)
_FENCED_TIES = (
    "accepted: a fence rises before ties are read by shared rows, as far as we know"
)
_SAMPLES = "tuning: how far apart and how large the windows into a run of ties are"

KNOWN = {
    # _walk.bridge
    (
        "canopy_async._walk.bridge",
        "if view is not None and view.rows:",
        "view is not None and view.rows  →  view is not None",
    ): "equivalent: a view without rows is certified by nothing, and brings nothing",
    (
        "canopy_async._walk.bridge",
        "ties = _ties_here(state, fills=0)",
        "0  →  1",
    ): "equivalent: it is compared with three",
    (
        "canopy_async._walk.bridge",
        "if view is None or not state.cover.touches(view):",
        "view is None or not state.cover.touches(view)  →  view is None",
    ): _OVERLAP,
    (
        "canopy_async._walk.bridge",
        "state.plan.loosen()",
        "state.plan.loosen()  →  pass",
    ): _OVERLAP,
    (
        "canopy_async._walk.bridge",
        "state.ledger.repairs += 1",
        "state.ledger.repairs += 1  →  pass",
    ): _REPAIRS,
    ("canopy_async._walk.bridge", "state.ledger.repairs += 1", "1  →  2"): _REPAIRS,
    (
        "canopy_async._walk.bridge",
        "self._look_inside_ties()",
        "self._look_inside_ties()  →  pass",
    ): "tuning: a seek begins before a run that no window bridges, and then inside",
    (
        "canopy_async._walk.bridge",
        "cover.revisit(view)",
        "cover.revisit(view)  →  pass",
    ): "tuning: a hint where the run at a checkpoint begins",
    (
        "canopy_async._walk.bridge",
        "if not state.cover.is_bounded and self._tries_left:",
        "not state.cover.is_bounded and self._tries_left  →  self._tries_left",
    ): "tuning: the end of the list is looked for again though it is known",
    ("canopy_async._walk.bridge", "self._look(pace=0)", "0  →  1"): _PROBES,
    ("canopy_async._walk.bridge", "self._counted = 0", "0  →  1"): _UNUSED,
    (
        "canopy_async._walk.bridge",
        "if is_read_by_ties or (seek.is_amid_run and len(cover.ids_at_key) > 1):",
        "1  →  2",
    ): _WHICH_REASON,
    (
        "canopy_async._walk.bridge",
        "self._state.plan.pop()",
        "self._state.plan.pop()  →  pass",
    ): "tuning: the page that was too large is asked for once more",
    (
        "canopy_async._walk.bridge",
        "self._state.gap.ties.limit(take)",
        "self._state.gap.ties.limit(take)  →  pass",
    ): "tuning: samples that are too large are asked for, and then smaller ones",
    (
        "canopy_async._walk.bridge",
        "window = plan_window(place - 1, plan.size.max_take)",
        "1  →  2",
    ): "tuning: a run that a window just bridges is sampled and counted",
    (
        "canopy_async._walk.bridge",
        "if is_read_by_ties or (seek.is_amid_run and len(cover.ids_at_key) > 1):",
        (
            "seek.is_amid_run and len(cover.ids_at_key) > 1"
            "  →  seek.is_amid_run or len(cover.ids_at_key) > 1"
        ),
    ): _WHICH_REASON,
    (
        "canopy_async._walk.bridge",
        "if is_read_by_ties or (seek.is_amid_run and len(cover.ids_at_key) > 1):",
        "len(cover.ids_at_key) > 1  →  len(cover.ids_at_key) >= 1",
    ): _WHICH_REASON,
    (
        "canopy_async._walk.bridge",
        "self._ask(plan_window(self._counted + pace - OVERLAP, plan.size.take))",
        "self._counted + pace - OVERLAP  →  self._counted + pace + OVERLAP",
    ): _WHERE_END,
    (
        "canopy_async._walk.bridge",
        "self._look(pace=max(0, state.ledger.latest - self._counted))",
        "0  →  1",
    ): _WHERE_END,
    (
        "canopy_async._walk.bridge",
        "if held is None or step.phase is not None:",
        "held is None or step.phase is not None  →  held is None",
    ): "accepted: the held window is taken first; the count tells of what that misses",
    (
        "canopy_async._walk.bridge",
        "gap.held = None",
        "gap.held = None  →  pass",
    ): _DUPLICATES,
    (
        "canopy_async._walk.bridge",
        "if is_filled and plan.size.is_certain:",
        "is_filled and plan.size.is_certain  →  is_filled",
    ): _WHICH_REASON,
    (
        "canopy_async._walk.bridge",
        "if plan.size.try_larger(place + tied):",
        "place + tied  →  place - tied",
    ): "tuning: how a place is remembered where larger pages were tried",
    (
        "canopy_async._walk.bridge",
        "if not (is_filled or tied >= plan.size.max_take or fills >= _MAX_FILLS):",
        (
            "is_filled or tied >= plan.size.max_take or fills >= _MAX_FILLS"
            "  →  is_filled or fills >= _MAX_FILLS"
        ),
    ): _FILLS,
    (
        "canopy_async._walk.bridge",
        "if not (is_filled or tied >= plan.size.max_take or fills >= _MAX_FILLS):",
        "tied >= plan.size.max_take  →  tied > plan.size.max_take",
    ): _FILLS,
    (
        "canopy_async._walk.bridge",
        "if not (is_filled or tied >= plan.size.max_take or fills >= _MAX_FILLS):",
        "fills >= _MAX_FILLS  →  fills > _MAX_FILLS",
    ): _FILLS,
    (
        "canopy_async._walk.bridge",
        "return state.gap.ties",
        "return state.gap.ties  →  return None",
    ): "tuning: a run is read by shared rows one window later",
    (
        "canopy_async._walk.bridge",
        "if state.ledger.steady and ties.closes_in(view):",
        "state.ledger.steady and ties.closes_in(view)  →  ties.closes_in(view)",
    ): _DUPLICATES,
    (
        "canopy_async._walk.bridge",
        "if is_read_by_ties or (seek.is_amid_run and len(cover.ids_at_key) > 1):",
        "seek.is_amid_run and len(cover.ids_at_key) > 1  →  len(cover.ids_at_key) > 1",
    ): _WHICH_REASON,
    (
        "canopy_async._walk.bridge",
        "if is_read_by_ties or (seek.is_amid_run and len(cover.ids_at_key) > 1):",
        "seek.is_amid_run and len(cover.ids_at_key) > 1  →  seek.is_amid_run",
    ): _WHICH_REASON,
    (
        "canopy_async._walk.bridge",
        "_MAX_FILLS: Final = 3",
        "3  →  4",
    ): _FILLS,
    # _walk.certificate
    (
        "canopy_async._walk.certificate",
        'order = seen or _order_to_assume(span, first) or asked_order or "asc"',
        (
            "seen or _order_to_assume(span, first) or asked_order or 'asc'"
            "  →  seen or _order_to_assume(span, first) or 'asc'"
        ),
    ): "accepted: which order is assumed where all rows tie; the other one is refused",
    # _walk.chain
    (
        "canopy_async._walk.chain",
        "self._on_page(page)",
        "self._on_page(page)  →  pass",
    ): "accepted: it is for followers, whose tests notice it",
    (
        "canopy_async._walk.chain",
        "state.plan.forget_all()",
        "state.plan.forget_all()  →  pass",
    ): _ONCE_MORE,
    # _walk.closing
    (
        "canopy_async._walk.closing",
        "if view is None or not state.ledger.steady or not state.head.is_still(view):",
        (
            "view is None or not state.ledger.steady or (not state.head.is_still(view))"
            "  →  not state.ledger.steady or not state.head.is_still(view)"
        ),
    ): "equivalent: page 1 is never missing: a 404 there ends the read",
    (
        "canopy_async._walk.closing",
        "state.gap.held = None",
        "state.gap.held = None  →  pass",
    ): "equivalent: nothing looks at what was held once the walk concludes",
    (
        "canopy_async._walk.closing",
        "state.plan.forget_all()",
        "state.plan.forget_all()  →  pass",
    ): "tuning: windows under way are waited for while page 1 is asked for again",
    # _walk.fence
    (
        "canopy_async._walk.fence",
        "self._barren = 0 if new or view.is_end else self._barren + 1",
        "0  →  1",
    ): _BUDGET,
    (
        "canopy_async._walk.fence",
        "allowed = _SPARE_PAGES + 2 * (self._ledger.expected or 0) // self._size",
        "0  →  1",
    ): _BUDGET,
    (
        "canopy_async._walk.fence",
        "allowed = _SPARE_PAGES + 2 * (self._ledger.expected or 0) // self._size",
        "self._ledger.expected or 0  →  self._ledger.expected",
    ): "equivalent: page 1 was taken, so that a number is expected",
    (
        "canopy_async._walk.fence",
        "self._barren = 0 if new or view.is_end else self._barren + 1",
        "new or view.is_end  →  new",
    ): _BUDGET,
    (
        "canopy_async._walk.fence",
        "if not held and view.rows and not view.is_end:",
        (
            "not held and view.rows and (not view.is_end)"
            "  →  not held and (not view.is_end)"
        ),
    ): "tuning: a fence that has fallen is looked for on some more pages",
    (
        "canopy_async._walk.fence",
        "self._weak = self._leans_on_ties or not state.is_by_key",
        "self._leans_on_ties or not state.is_by_key  →  not state.is_by_key",
    ): _FENCED_TIES,
    (
        "canopy_async._walk.fence",
        "if self._cover.order and not (self._ledger.steady or self._leans_on_ties):",
        "self._ledger.steady or self._leans_on_ties  →  self._ledger.steady",
    ): _FENCED_TIES,
    # _walk.id_cover
    (
        "canopy_async._walk.id_cover",
        "if number == next_number and at > next_at:",
        "at > next_at  →  at >= next_at",
    ): "equivalent: two rows of one view are never at one place",
    # _walk.key_cover
    (
        "canopy_async._walk.key_cover",
        'self._order = "asc" if keys[0] < keys[-1] else "desc"',
        "keys[0] < keys[-1]  →  keys[0] <= keys[-1]",
    ): _SORTED_BY_KEY,
    (
        "canopy_async._walk.key_cover",
        "if not is_sorted or keys[:1] == [None]:",
        "1  →  2",
    ): "equivalent: two rows without keys can't be sorted, which raises before",
    (
        "canopy_async._walk.key_cover",
        "for row, key in zip(view.rows, view.keys, strict=True)",
        "True  →  False",
    ): _ONE_LENGTH,
    (
        "canopy_async._walk.key_cover",
        "for id_, key in zip(view.ids[:begin], view.keys[:begin], strict=True)",
        "True  →  False",
    ): _ONE_LENGTH,
    # _walk.list_end
    (
        "canopy_async._walk.list_end",
        "if self._rows >= longest or not view.is_placed or view.end < self._count:",
        (
            "self._rows >= longest or not view.is_placed or view.end < self._count"
            "  →  self._rows >= longest or view.end < self._count"
        ),
    ): "accepted: it takes a server that cuts pages unsaid and keeps rows back as well",
    # _walk.newest
    (
        "canopy_async._walk.newest",
        "self._state.hints.newest = len(view.keys), view.keys[-1]",
        "1  →  2",
    ): "tuning: a hint where the list ends",
    (
        "canopy_async._walk.newest",
        "view = View(page, window, longest=0)",
        "0  →  1",
    ): "equivalent: page 1 is in its place, and no page was seen to be cut",
    # _walk.opening
    (
        "canopy_async._walk.opening",
        "elif isinstance(cover, KeyCover) and not (cover.has_new(first) or first.is_end):",  # noqa: E501
        (
            "isinstance(cover, KeyCover) and (not (cover.has_new(first) or first.is_end))"  # noqa: E501
            "  →  not (cover.has_new(first) or first.is_end)"
        ),
    ): "equivalent: to an IdCover, the rows of page 1 are new",
    # _walk.order
    (
        "canopy_async._walk.order",
        'return "asc" if keys[0] < keys[-1] else "desc"',
        "keys[0] < keys[-1]  →  keys[0] <= keys[-1]",
    ): _SORTED_BY_KEY,
    (
        "canopy_async._walk.order",
        "self._page_size = fixed_size or take",
        "fixed_size or take  →  take",
    ): _WHERE_ORDER,
    (
        "canopy_async._walk.order",
        "self._at = max(self._low, first.count - self._page_size // 2)",
        "2  →  3",
    ): _WHERE_ORDER,
    (
        "canopy_async._walk.order",
        "self._at = 2 * self._low",
        "2  →  3",
    ): _WHERE_ORDER,
    # _walk.page_size
    (
        "canopy_async._walk.page_size",
        "self._suspected: int = 0",
        "0  →  1",
    ): "equivalent: no page was counted by then, of one row or of any other number",
    (
        "canopy_async._walk.page_size",
        "self._calm, self._calm_needed = 0, _CALM_PAGES",
        "0  →  1",
    ): _UNUSED,
    # _walk.planner
    ("canopy_async._walk.planner", "self._end = 0", "0  →  1"): _UNUSED,
    # _walk.position
    (
        "canopy_async._walk.position",
        "self._rank = 0",
        "0  →  1",
    ): "equivalent: before a view is accepted, ranks only have to differ by the places",
    # _walk.proving
    (
        "canopy_async._walk.proving",
        "raise NotImplementedError",
        "raise NotImplementedError  →  pass",
    ): "equivalent: each phase has its own",
    (
        "canopy_async._walk.proving",
        "if view is not None and view.rows:",
        "view is not None and view.rows  →  view is not None",
    ): "equivalent: a view without rows is in any order, and bounds nothing",
    # _walk.reading
    (
        "canopy_async._walk.reading",
        "if brings_nothing and state.patience.is_short and not state.patience.is_lost:",
        (
            "brings_nothing and state.patience.is_short and (not state.patience.is_lost)"  # noqa: E501
            "  →  brings_nothing and state.patience.is_short"
        ),
    ): "tuning: a place is sought once more before the read is given up",
    # _walk.recent
    (
        "canopy_async._walk.recent",
        "last, first = slice(len(self.ids) - len(shared), None), slice(len(shared))",
        "len(self.ids) - len(shared)  →  len(self.ids) + len(shared)",
    ): _SHORTCUT,
    (
        "canopy_async._walk.recent",
        "for place, (id_, key) in enumerate(zip(view.ids, view.keys, strict=True)):",
        "True  →  False",
    ): "equivalent: a view has as many keys as ids",
    # _walk.state
    ("canopy_async._walk.state", "probe_end_at: int = 0", "0  →  1"): _UNUSED,
    (
        "canopy_async._walk.state",
        "if self.plan.windows and (self.extent.begin is None or self.patience.is_lost):",  # noqa: E501
        (
            "self.plan.windows and (self.extent.begin is None or self.patience.is_lost)"
            "  →  self.extent.begin is None or self.patience.is_lost"
        ),
    ): "equivalent: while a place is sought, a window that looks for it is under way",
    (
        "canopy_async._walk.state",
        "if not (may_fall_back and self.is_by_key and shares_rows):",
        (
            "may_fall_back and self.is_by_key and shares_rows"
            "  →  may_fall_back and shares_rows"
        ),
    ): "equivalent: of rows in two orders, a new cover by shared rows says it again",
    # _walk.ties
    (
        "canopy_async._walk.ties",
        "return self._cover.key == self.key and self._cover.shares_run(view)",
        (
            "self._cover.key == self.key and self._cover.shares_run(view)"
            "  →  self._cover.shares_run(view)"
        ),
    ): "accepted: a later run is counted as well, though a window may bridge it",
    (
        "canopy_async._walk.ties",
        "id_ for id_, key in zip(view.ids, view.keys, strict=True) if key == self.key",
        "True  →  False",
    ): "equivalent: a view has as many ids as keys",
    (
        "canopy_async._walk.ties",
        "self._page_size = min(self._page_size, take)",
        "self._page_size = min(self._page_size, take)  →  pass",
    ): _SAMPLES,
    (
        "canopy_async._walk.ties",
        "self._page_size = min(self._page_size, take)",
        "min  →  max",
    ): _SAMPLES,
    (
        "canopy_async._walk.ties",
        "offset = self._samples * max(1, self._page_size // 2) % length",
        "1  →  2",
    ): _SAMPLES,
    # _walk.walk
    (
        "canopy_async._walk.walk",
        "def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:",
        "0  →  1",
    ): "equivalent: nobody calls a protocol, so that its defaults are not used",
    # _walk.window
    ("canopy_async._walk.window", "break", "break  →  continue"): _SHORTCUT,
    (
        "canopy_async._walk.window",
        "if reach is None or bound + furthest <= reach:",
        "bound + furthest <= reach  →  bound + furthest < reach",
    ): "equivalent: the nearest end that reaches it is the furthest one then",
    (
        "canopy_async._walk.window",
        "best = furthest = 0",
        "0  →  1",
    ): "equivalent: each window ends a row further on, at least",
    # _api.base_url
    (
        "canopy_async._api.base_url",
        'host = urlsplit(base_url).hostname or ""',
        "urlsplit(base_url).hostname or ''  →  urlsplit(base_url).hostname",
    ): "equivalent: None is no address, either",
    # _api.conversion
    (
        "canopy_async._api.conversion",
        "return cls is datetime or cls == AwareDatetime",
        "cls is datetime or cls == AwareDatetime  →  cls is datetime",
    ): "equivalent: cattrs asks for the class that is annotated as well",
    # _api.decoding
    (
        "canopy_async._api.decoding",
        "for row, extra in zip(page.items, extras, strict=True):",
        "True  →  False",
    ): _ONE_LENGTH,
    (
        "canopy_async._api.decoding",
        "for row, written in zip(page.items, _texts_in(body).items, strict=True):",
        "True  →  False",
    ): _ONE_LENGTH,
    (
        "canopy_async._api.decoding",
        "if isinstance(text, str) and is_unusual(text):",
        "isinstance(text, str) and is_unusual(text)  →  isinstance(text, str)",
    ): _USUAL,
    (
        "canopy_async._api.decoding",
        "if text is not None and is_unusual(text):",
        "text is not None and is_unusual(text)  →  text is not None",
    ): _USUAL,
    (
        "canopy_async._api.decoding",
        "return bool(_SEVEN_DIGITS.search(body) and _TOO_FINE.search(body))",
        (
            "_SEVEN_DIGITS.search(body) and _TOO_FINE.search(body)"
            "  →  _TOO_FINE.search(body)"
        ),
    ): _SHORTCUT,
    # _api.error_answers
    (
        "canopy_async._api.error_answers",
        'return "(nested too deeply)"',
        "return '(nested too deeply)'  →  return None",
    ): "accepted: on Python 3.11, no value that msgspec reads is too deep for `str`",
    # _api.json_cost
    (
        "canopy_async._api.json_cost",
        "if len(body) <= MAX_STRUCTURE:",
        "len(body) <= MAX_STRUCTURE  →  len(body) < MAX_STRUCTURE",
    ): _SHORTCUT,
    (
        "canopy_async._api.json_cost",
        'elif (len(before) - len(before.rstrip(b"\\\\"))) % 2 == 0:',
        (
            "len(before) - len(before.rstrip(b'\\\\'))"
            "  →  len(before) + len(before.rstrip(b'\\\\'))"
        ),
    ): "equivalent: a sum is odd where the difference is",
    (
        "canopy_async._api.json_cost",
        "quotes += 1",
        "quotes += 1  →  quotes -= 1",
    ): "equivalent: each so many quotes it pauses, counted up or down",
    # _transport.pace
    (
        "canopy_async._transport.pace",
        "if len(since) >= _EVIDENCE:",
        "len(since) >= _EVIDENCE  →  len(since) > _EVIDENCE",
    ): "tuning: a rate is learnt from eleven successes instead of ten",
}


def why(mutant):
    """Return why a mutant may survive, None where nobody has said."""
    return KNOWN.get((mutant.module, mutant.source, mutant.change))
