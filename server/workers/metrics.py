"""The parent's /metrics: the workers' metrics as sums, their processes one by one."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector


class WorkerProcesses(Collector):
    """Exports the process metrics (CPU, memory, files) with the label `worker`; 0 is the parent.

    They are not summed. A CPU counter restarts with its process, and the difference between workers shows how evenly
    connections are spread.
    """

    def __init__(
        self, pids: Callable[[], Mapping[int, int]], deaths: Callable[[], Mapping[int, int]]
    ) -> None:
        """`pids` and `deaths` return values by worker number. The metrics server's thread calls both."""
        self._pids = pids
        self._deaths = deaths

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for worker, pid in {0: "self", **self._pids()}.items():
            for one in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                family = families.setdefault(
                    one.name, Metric(one.name, one.documentation, one.type)
                )
                for sample in one.samples:
                    labels = {"worker": str(worker), **sample.labels}
                    family.add_sample(sample.name, labels, sample.value)
        yield from families.values()
        deaths = CounterMetricFamily(
            "server_worker_deaths", "Workers that ended unexpectedly.", labels=["worker"]
        )
        for worker, count in self._deaths().items():
            deaths.add_metric([str(worker)], count)
        yield deaths


def worker_registry(folder: Path, processes: WorkerProcesses) -> CollectorRegistry:
    """Return the registry that /metrics serves; `folder` holds the workers' metric files."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    registry.register(processes)
    return registry
