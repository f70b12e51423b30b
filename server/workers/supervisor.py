"""Several server processes on one port, and the parent that keeps them. Nothing here may import gRPC."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from prometheus_client.multiprocess import mark_process_dead

from core.resilience.backoff import RestartPolicy
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.metrics import serve_metrics
from server.port import CannotListen, reserve, share
from server.settings import ServerSettings
from server.workers.metrics import WorkerProcesses, worker_registry
from server.workers.process import WorkerProcess, exit_status

log = structlog.get_logger()


def run(settings: ServerSettings, count: int) -> None:
    """Keep `count` workers until SIGTERM or SIGINT, let them drain, and exit.

    The status is 0 if theirs all were. A second signal kills them and then this process, as it would without workers.
    """
    pulse = EventLoopMonitor()
    try:
        with TemporaryDirectory(prefix="imageservice-metrics-") as folder:
            workers = WorkerSupervisor(count, Path(folder))
            registry = worker_registry(Path(folder), WorkerProcesses(workers.pids, workers.deaths))
            try:
                serve_metrics(settings.metrics_host, settings.metrics_port, pulse.alive, registry)
            except OSError as error:
                sys.exit(f"METRICS_PORT: {error}")
            status = asyncio.run(_keep(workers, settings.grpc_address, pulse))
    except CannotListen as error:
        sys.exit(str(error))
    if workers.killed_by is not None:
        signal.signal(workers.killed_by, signal.SIG_DFL)
        os.kill(os.getpid(), workers.killed_by)
    sys.exit(status)


async def _keep(workers: "WorkerSupervisor", address: str, pulse: EventLoopMonitor) -> int:
    loop = asyncio.get_running_loop()
    beating = asyncio.create_task(pulse.run(), name="pulse")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, workers.heed, number)
    reservation = await reserve(address)
    try:
        return await workers.keep(share(reservation, address))
    finally:
        reservation.close()
        beating.cancel()


class WorkerSupervisor:
    """`keep` once. Workers are numbered from 1; whoever takes a dead one's place takes its number."""

    def __init__(
        self, count: int, metrics_folder: Path, policy: RestartPolicy | None = None
    ) -> None:
        self._metrics_folder = metrics_folder
        self._policy = policy or RestartPolicy()
        self._deaths = dict.fromkeys(range(1, count + 1), 0)
        self._processes: dict[int, WorkerProcess] = {}
        self._stopping = asyncio.Event()
        self._first_decided = asyncio.Event()
        """Set once a worker has served, or when all are to stop."""
        self.killed_by: signal.Signals | None = None

    def pids(self) -> Mapping[int, int]:
        """Of the workers that live, by number."""
        return {number: process.pid for number, process in self._processes.copy().items()}

    def deaths(self) -> Mapping[int, int]:
        """How many ended unasked, by number."""
        return self._deaths.copy()

    async def keep(self, address: str) -> int:
        """Run all workers until told to stop; the first exit status that is not 0, or 0.

        The first worker goes ahead: what keeps all from starting is then said once, and ends the whole.
        """
        statuses = await asyncio.gather(*(self._keep_one(n, address) for n in self._deaths))
        return next((status for status in statuses if status), 0)

    def heed(self, number: signal.Signals) -> None:
        """Let all workers drain; at the second signal, kill them."""
        if self._stopping.is_set():
            self.killed_by = number
            for process in self._processes.values():
                process.kill()
        else:
            self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._first_decided.set()
        for process in self._processes.values():
            process.terminate()

    async def _keep_one(self, number: int, address: str) -> int:
        """Replace the worker whenever it dies; answer the exit status with which it left when told to.

        Only a death before any worker has served ends the whole: what one has done the others can do, in time.
        """
        if number > 1:
            await self._first_decided.wait()
        consecutive = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            served, code = await self._one_life(number, address)
            if self._stopping.is_set():
                # Told to leave before it could listen for signals: it held nothing.
                return 0 if not served and code == -signal.SIGTERM else exit_status(code)
            if not self._first_decided.is_set():
                return self._give_up(number, code)
            self._deaths[number] += 1
            restart = self._policy.after(consecutive, time.monotonic() - began)
            consecutive = restart.deaths
            log.error(
                "a worker died", worker=number, exit_code=code, starts_again_in_s=restart.delay
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(restart.delay):
                    await self._stopping.wait()
        return 0

    def _give_up(self, number: int, code: int) -> int:
        if code <= 0:  # Else it has said itself what is wrong.
            log.error("a worker died before it served", worker=number, exit_code=code)
        self._stop()
        return exit_status(code) or 1

    async def _one_life(self, number: int, address: str) -> tuple[bool, int]:
        """Return whether the worker came to serve, and its exit code as the system tells it."""
        try:
            process = await WorkerProcess.start(number, address, self._metrics_folder)
        except OSError as error:
            log.error("a worker cannot be started", worker=number, error=str(error))  # noqa: TRY400  the words suffice
            return False, 1
        self._processes[number] = process
        if self.killed_by is not None:
            process.kill()
        elif self._stopping.is_set():
            process.terminate()
        try:
            served = await process.served()
            if served:
                self._first_decided.set()
            return served, await process.ended()
        finally:
            del self._processes[number]
            # Its gauges end with it; its counters stay.
            mark_process_dead(number, str(self._metrics_folder))  # type: ignore[no-untyped-call]
