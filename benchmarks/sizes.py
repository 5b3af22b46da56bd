"""The sizes of measurements: enough to say something, or enough to see that it runs."""

from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True)
class Sizes:
    """What is read, and how often.

    Attributes:
        rounds: Interleaved rounds of the contestants.
        events: Events that the fast contestants stream.
        peer_events: Events that the slow ones stream: their rates don't depend
            on it.
        kept_events: Events that are read into lists.
        repeats: How often other measurements are made.
        far_pages: Pages that are read from a server that is far away.
        identities: Identities that are read from one.
        imports: How often modules are imported.
        micro_events: Events that are decoded and walked without a network.
        log_lengths: The lengths of the logs in the plot.
        widths: The numbers of requests in flight in the plot.
        width_pages: The pages that they read.
        fan_outs: The numbers of identities in the plot.
    """

    rounds: int = 9
    events: int = 1_000_000
    peer_events: int = 100_000
    kept_events: int = 100_000
    repeats: int = 5
    far_pages: int = 1_000
    identities: int = 1_000
    imports: int = 25
    micro_events: int = 100_000
    log_lengths: Sequence[int] = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    widths: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    width_pages: int = 200
    fan_outs: Sequence[int] = (1_000, 3_000, 10_000, 30_000, 100_000)


FULL = Sizes()
QUICK = Sizes(
    rounds=1,
    events=20_000,
    peer_events=2_000,
    kept_events=2_000,
    repeats=1,
    far_pages=100,
    identities=100,
    imports=1,
    micro_events=10_000,
    log_lengths=(2_000, 6_000),
    widths=(8, 32),
    width_pages=50,
    fan_outs=(50, 200),
)
