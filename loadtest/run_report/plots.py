"""Draws the plots of a report. matplotlib is imported only when a plot is drawn."""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from loadtest.run_report.record import LatencyLines, Line, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#2563eb", "#ea580c", "#059669", "#9333ea", "#dc2626", "#0891b2", "#ca8a04", "#64748b")
INK, MUTED, GRID = "#1e293b", "#64748b", "#e2e8f0"

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    # Keep text as text: the file is smaller, and the page sets the font.
    "svg.fonttype": "none",
}

_OUTLIER = 4
"""A line that exceeds all others by this factor gets a plot of its own."""

_MAX_NAMES_ABOVE = 5
"""Number of names that fit beside the title. A longer legend is right of the plot."""

_MINUTES_FROM = 300
"""Seconds from which the time axis is in minutes."""

_DPI = 80
_COLOURS = 128
"""Of the PNG. The palette and its anti-aliasing need no more, and the file is much smaller."""


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    unit: str
    draw: Callable[["Axes", tuple[float, ...]], None]


def plots(timeline: Timeline) -> list[Plot]:
    """Return the plots of a timeline. A plot without a value is omitted."""
    chosen = [
        Plot("Throughput", "items/s", _lines(timeline.rates)),
        *(
            Plot(f"Latency: {stage}", "ms, logarithmic", _latency(lines))
            for stage, lines in timeline.latencies.items()
            if _measured({"p50": lines.p50})
        ),
    ]
    outlier, others = _split_outlier(timeline.memory)
    for title, unit, lines in (
        ("Queue depth", "messages", timeline.depth),
        ("Memory", "MiB resident", others),
        (f"Memory: {next(iter(outlier), '')}", "MiB resident", outlier),
        ("CPU", "cores", timeline.cpu),
        ("Errors by reason", "per second", timeline.errors),
    ):
        if _measured(lines):
            chosen.append(Plot(title, unit, _lines(lines)))
    return chosen


def _split_outlier(lines: Mapping[str, Line]) -> tuple[dict[str, Line], dict[str, Line]]:
    """Separate the one line whose scale would flatten all others."""
    tops = sorted(
        (max((v for v in line if v is not None), default=0.0), name) for name, line in lines.items()
    )
    if len(tops) > 1 and tops[-1][0] > _OUTLIER * tops[-2][0]:
        outlier = tops[-1][1]
        others = {name: line for name, line in lines.items() if name != outlier}
        return {outlier: lines[outlier]}, others
    return {}, dict(lines)


def svg(plot: Plot, seconds: tuple[float, ...]) -> str:
    """Draw one plot as an SVG element for a page."""
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({**STYLE, "svg.hashsalt": plot.title}):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        _draw(figure.subplots(), plot, seconds)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return _element(drawn.getvalue())


def png(title: str, subtitle: str, timeline: Timeline) -> bytes:
    """Draw all plots into one image."""
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    chosen = plots(timeline)
    rows = -(-len(chosen) // 2)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 0.9 + 2.9 * rows), layout="constrained")
        _head(figure, title, subtitle)
        axes = figure.subplots(rows, 2, squeeze=False).flatten()
        for axis, plot in zip(axes, chosen, strict=False):
            _draw(axis, plot, timeline.seconds)
        for axis in axes[len(chosen) :]:
            axis.set_axis_off()
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=_DPI)
    return _quantized(drawn)


def _quantized(drawn: io.BytesIO) -> bytes:
    small = io.BytesIO()
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


def _head(figure: "Figure", title: str, subtitle: str) -> None:
    figure.suptitle(f"{title}\n", x=0.01, ha="left", fontsize=15, fontweight="bold", color=INK)
    height = figure.get_size_inches()[1]
    figure.text(0.01, 1 - 0.42 / height, subtitle, va="top", fontsize=9.5, color=MUTED)


def _draw(axis: "Axes", plot: Plot, seconds: tuple[float, ...]) -> None:
    in_minutes = bool(seconds) and seconds[-1] >= _MINUTES_FROM
    plot.draw(axis, tuple(at / 60 for at in seconds) if in_minutes else seconds)
    axis.set_title(plot.title)
    axis.set_ylabel(plot.unit)
    axis.set_xlabel("minutes" if in_minutes else "seconds")
    axis.margins(x=0.01)
    if axis.get_yscale() == "linear":
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    lines = len(axis.get_lines())
    if lines > _MAX_NAMES_ABOVE:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0)
    elif lines > 1 or plot.title.startswith("Errors"):
        axis.legend(
            loc="lower right",
            bbox_to_anchor=(1.01, 0.98),
            ncols=lines,
            borderaxespad=0,
            handlelength=1.1,
            columnspacing=1,
        )


def _lines(lines: Mapping[str, Line]) -> Callable[["Axes", tuple[float, ...]], None]:
    def draw(axis: "Axes", times: tuple[float, ...]) -> None:
        for number, (name, line) in enumerate(lines.items()):
            axis.plot(times, _gapped(line), label=name, color=PALETTE[number % len(PALETTE)])

    return draw


def _latency(lines: LatencyLines) -> Callable[["Axes", tuple[float, ...]], None]:
    from matplotlib.ticker import LogLocator  # noqa: PLC0415

    shades = (("p50", "#1d4ed8"), ("p90", "#60a5fa"), ("p99", "#f97316"), ("max", "#cbd5e1"))

    def draw(axis: "Axes", times: tuple[float, ...]) -> None:
        for order, (name, colour) in enumerate(shades):
            line = _gapped(getattr(lines, name))
            axis.plot(times, line, label=name, color=colour, zorder=5 - order)
        axis.set_yscale("log", subs=[])
        # With only whole decades, the axis of a stage with little variation would have no label.
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")

    return draw


def _gapped(line: Line) -> list[float]:
    return [float("nan") if value is None else value for value in line]


def _measured(lines: Mapping[str, Line]) -> bool:
    return any(value is not None for line in lines.values() for value in line)


def _element(document: str) -> str:
    """Return only the svg element, without size, with coordinates rounded to a tenth of a point."""
    element = document[document.index("<svg") :]
    element = re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return re.sub(r"(\d+\.\d)\d+", r"\1", element)
