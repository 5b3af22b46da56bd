"""A drawing of how the cost of a read grows: equal figures make an equal SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator
from scaling import Point, Scaling

_STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",  # legible on a dark page too
    "font.size": 9,
    "grid.color": "#dddddd",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "canopy_async",
}
_TIME, _MEMORY, _IDEAL = "#1f5fa8", "#c2571a", "#777777"


def draw(scaling: Scaling, path: Path) -> None:
    """Write the plot."""
    with mpl.rc_context(_STYLE):
        figure, (events, in_flight, identities) = plt.subplots(
            1, 3, figsize=(10.5, 3.2), layout="constrained"
        )
        _cost(events, scaling.events, "events in a log")
        _width(in_flight, scaling.in_flight)
        _cost(identities, scaling.identities, "identities, ten events each")
        # No date: the same figures make the same file.
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _cost(axes: Any, points: Sequence[Point], what: str) -> None:
    sizes = [point.size for point in points]
    _seconds(axes, sizes, [point.seconds for point in points])
    axes.set(xlabel=what)
    axes.xaxis.set_major_formatter(EngFormatter(sep="\N{THIN SPACE}"))
    memory = axes.twinx()
    memory.plot(sizes, [p.peak for p in points], "s--", color=_MEMORY)
    memory.set(ylabel="peak MB", ylim=(0, 2 * max(p.peak for p in points)))
    memory.yaxis.label.set_color(_MEMORY)
    memory.grid(visible=False)
    memory.spines["right"].set_visible(True)


def _width(axes: Any, points: Sequence[Point]) -> None:
    widths = [point.size for point in points]
    axes.plot(
        widths, [p.ideal for p in points], "--", color=_IDEAL, label="ideal schedule"
    )
    _seconds(axes, widths, [point.seconds for point in points])
    axes.set(xlabel="requests in flight, 30 ms away")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.minorticks_off()
    axes.legend(frameon=False)


def _seconds(axes: Any, sizes: Sequence[int], seconds: Sequence[float]) -> None:
    axes.loglog(sizes, seconds, "o-", color=_TIME, label="measured")
    axes.set(ylabel="seconds")
    axes.yaxis.label.set_color(_TIME)
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
