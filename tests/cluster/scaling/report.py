"""Write the timeline of a run as JSON and as an SVG plot."""

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster.scaling.scaling import Scaling
from cluster.scaling.timeline import Sample, Timeline


def write_report(run: Timeline, scaling: Scaling, folder: Path) -> None:
    """Write timeline.json and timeline.svg into a folder, replacing those of the previous run."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = [asdict(sample) for sample in run.samples]
    content = {"scaling": asdict(scaling), "samples": samples}
    (folder / "timeline.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    # The output is the same for the same run.
    with rc_context({"svg.hashsalt": "timeline", "svg.fonttype": "none"}):
        _plot(run.samples, scaling).savefig(folder / "timeline.svg", metadata={"Date": None})


def _plot(samples: list[Sample], scaling: Scaling) -> Figure:
    figure = Figure(figsize=(11, 6), layout="constrained")
    depth, pods = figure.subplots(2, 1, sharex=True)
    seconds = [sample.seconds for sample in samples]
    depth.step(
        seconds, [each.visible + each.in_flight for each in samples], where="post", label="depth"
    )
    depth.step(seconds, [each.in_flight for each in samples], where="post", label="in flight")
    depth.step(seconds, [each.bulk for each in samples], where="post", label="depth of bulk")
    depth.set_ylabel("messages")
    depth.set_title(
        f"One pod for {scaling.queue_length} interactive or {scaling.bulk_queue_length} bulk messages,"
        f" {scaling.minimum} to {scaling.maximum} pods, {scaling.fallback} at least without a depth"
    )
    pods.step(seconds, [each.desired for each in samples], where="post", label="desired")
    pods.step(
        seconds, [each.ready for each in samples], where="post", linestyle="--", label="ready"
    )
    pods.set_ylabel("pods")
    pods.set_xlabel("seconds")
    pods.yaxis.get_major_locator().set_params(integer=True)
    _mark(samples, (depth, pods))
    return figure


def _mark(samples: list[Sample], axes: tuple[Axes, Axes]) -> None:
    """Label the phases and shade the time in which KEDA used its fallback."""
    depth, _ = axes
    for phase, within in groupby(samples, lambda sample: sample.phase):
        start = next(within).seconds
        for axis in axes:
            axis.axvline(start, color="grey", linewidth=0.6, linestyle=":")
        depth.text(
            start,
            1,
            f" {phase}",
            transform=depth.get_xaxis_transform(),
            rotation=90,
            va="top",
            size=8,
        )
    for axis in axes:
        for interval in fallbacks(samples):
            axis.axvspan(*interval, color="tab:red", alpha=0.12)
        axis.plot([], [], color="tab:red", alpha=0.3, linewidth=8, label="fallback")
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
        axis.grid(alpha=0.3)


def fallbacks(samples: list[Sample]) -> list[tuple[float, float]]:
    """Return the intervals, in seconds, in which KEDA used its fallback."""
    intervals = [
        [sample.seconds for sample in within]
        for fallen, within in groupby(samples, lambda sample: sample.fallback)
        if fallen
    ]
    return [(interval[0], interval[-1]) for interval in intervals]
