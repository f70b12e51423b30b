"""The parent of several server processes on one port. This module must not import gRPC: the parent stays small."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from prometheus_client.multiprocess import mark_process_dead

from core.runtime.child_process import run_with_restarts, shell_status
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.metrics import serve_metrics
from core.runtime.signals import kill_process, run_until_signal
from server.port import CannotListen, reserve, share
from server.settings import ServerSettings
from server.workers.metrics import WorkerProcesses, worker_registry
from server.workers.process import WorkerProcess

_log = structlog.get_logger()


def run(settings: ServerSettings, count: int) -> None:
    """Run `count` workers until SIGTERM or SIGINT, let them drain, and exit.

    The exit status is 0 if every worker's is 0. A second signal kills the workers and then this process.
    """
    monitor = EventLoopMonitor()
    try:
        with TemporaryDirectory(prefix="imageservice-metrics-") as folder:
            workers = WorkerSupervisor(count, Path(folder))
            registry = worker_registry(Path(folder), WorkerProcesses(workers.pids, workers.deaths))
            try:
                serve_metrics(settings.metrics_host, settings.metrics_port, monitor.alive, registry)
            except OSError as error:
                sys.exit(f"METRICS_PORT: {error}")
            supervision = _supervise(workers, settings.grpc_address, monitor)
            status = asyncio.run(
                run_until_signal(supervision, stop=workers.stop, kill=workers.kill)
            )
    except CannotListen as error:
        sys.exit(str(error))
    if workers.killed_by is not None:
        kill_process(workers.killed_by)
    sys.exit(status)


async def _supervise(workers: "WorkerSupervisor", address: str, monitor: EventLoopMonitor) -> int:
    monitoring = asyncio.create_task(monitor.run(), name="event-loop-monitor")
    reservation = await reserve(address)
    try:
        return await workers.run(share(reservation, address))
    finally:
        reservation.close()
        monitoring.cancel()


@dataclass(frozen=True, slots=True)
class _Exit:
    served: bool
    """Whether the worker served before it ended."""
    code: int
    """Negative for a signal."""


class WorkerSupervisor:
    """Runs the workers once. Workers are numbered from 1; the replacement of a dead worker takes its number."""

    def __init__(self, count: int, metrics_folder: Path) -> None:
        self._metrics_folder = metrics_folder
        self._deaths = dict.fromkeys(range(1, count + 1), 0)
        self._processes: dict[int, WorkerProcess] = {}
        self._stopping = asyncio.Event()
        self._start_decided = asyncio.Event()
        """Set when a worker has served, or when all workers stop."""
        self.killed_by: int | None = None

    def pids(self) -> Mapping[int, int]:
        return {number: process.pid for number, process in self._processes.copy().items()}

    def deaths(self) -> Mapping[int, int]:
        """Return how many workers ended unexpectedly, by number."""
        return self._deaths.copy()

    async def run(self, address: str) -> int:
        """Run all workers until told to stop. Returns the first exit status that is not 0, or 0.

        The others wait for the first worker to serve. A fault that keeps all from starting is then reported once.
        """
        statuses = await asyncio.gather(*(self._run_worker(n, address) for n in self._deaths))
        return next((status for status in statuses if status), 0)

    def stop(self) -> None:
        self._stopping.set()
        self._start_decided.set()
        for process in self._processes.values():
            process.terminate()

    def kill(self, number: int) -> None:
        self.killed_by = number
        for process in self._processes.values():
            process.kill()

    async def _run_worker(self, number: int, address: str) -> int:
        """Run one worker and its replacements. Returns the exit status of the last one."""
        if number > 1:
            await self._start_decided.wait()
        last = await run_with_restarts(
            partial(self._run_once, number, address),
            stopping=self._stopping,
            on_exit=partial(self._on_exit, number),
        )
        if last is None:
            return 0
        if not self._start_decided.is_set():
            self.stop()
            return shell_status(last.code) or 1
        # A worker that got SIGTERM before it could listen for signals held no work.
        return 0 if not last.served and last.code == -signal.SIGTERM else shell_status(last.code)

    def _on_exit(self, number: int, last: _Exit, _failures: int, delay_s: float) -> bool:
        """Decide about a restart. Only a death before any worker has served stops all."""
        if not self._start_decided.is_set():
            if last.code <= 0:  # A positive status means that the worker has printed the reason.
                _log.error("worker died before it served", worker=number, exit_code=last.code)
            return False
        self._deaths[number] += 1
        _log.error("worker died", worker=number, exit_code=last.code, restart_in_s=delay_s)
        return True

    async def _run_once(self, number: int, address: str) -> _Exit:
        try:
            process = await WorkerProcess.start(number, address, self._metrics_folder)
        except OSError as error:
            _log.error("worker start failed", worker=number, error=str(error))
            return _Exit(served=False, code=1)
        self._processes[number] = process
        if self.killed_by is not None:
            process.kill()
        elif self._stopping.is_set():
            process.terminate()
        try:
            served = await process.wait_serving()
            if served:
                self._start_decided.set()
            return _Exit(served, await process.wait_exited())
        finally:
            del self._processes[number]
            # The worker's gauges are removed; its counters stay.
            mark_process_dead(number, str(self._metrics_folder))  # type: ignore[no-untyped-call]
