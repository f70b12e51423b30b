"""Run the system under traffic and faults, and check every promise: `python -m robustness RUN`.

A run records a history, and a model checks it. The exit status is 1 if a promise was broken. The seed fixes the plan of
the traffic and the random choices of the faults. It does not fix the timing of the processes, so a second run with the
same seed is similar, not equal. The history of a run can be checked again with --check.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from backends import jars
from cli.local.stack import TEMPLATE
from harness import sdk_models
from harness.aws import recording_aws
from harness.opensearch import opensearch
from harness.permissions import Permissions, load_template
from harness.processes import close_launcher
from robustness.faults.disk import SmallDisk, can_mount, small_disk
from robustness.faults.tcp import TcpProxy, tcp_proxy
from robustness.history import History, RunStarted, read_history
from robustness.model.record import index
from robustness.model.validate import validate
from robustness.report import excerpts, figures, summary
from robustness.runs import CUSTOMERS, RUNS, VISIBILITY_S, RunPlan, make_faults, sized
from robustness.session import Setup, session
from robustness.system.cluster import faketime
from robustness.traffic.plan import healthy, plan

_SIZES = (
    "requests",
    "rate",
    "kills",
    "interval_s",
    "share",
    "outage_s",
    "pauses",
    "skew_s",
    "servers",
    "consumers",
)


def _arguments() -> argparse.Namespace:
    runs = "\n".join(f"  {name:6} {run.faults.__doc__}" for name, run in RUNS.items())
    parser = argparse.ArgumentParser(
        prog="python -m robustness",
        description=__doc__,
        epilog=f"runs:\n{runs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", choices=list(RUNS), nargs="?", default="mixed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", choices=["embedded", "real"], default="embedded")
    parser.add_argument(
        "--opensearch", action="store_true", help="search in OpenSearch (needs a JDK 17 and Maven)"
    )
    parser.add_argument("--folder", type=Path, help="for the history and the logs")
    parser.add_argument("--settle", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument(
        "--check", type=Path, metavar="HISTORY", help="check a recorded history only"
    )
    for size in _SIZES:
        parser.add_argument(f"--{size.replace('_', '-')}", type=float)
    return parser.parse_args()


def _check(path: Path, result: Path | None = None) -> bool:
    """Check a history, print figures and violations. Return whether all promises hold."""
    recorded = index(read_history(path))
    found = validate(recorded)
    numbers = figures(recorded, found)
    if result is not None:
        result.write_text(json.dumps(numbers, indent=1))
    sys.stdout.write(f"{summary(numbers)}\n")
    for line in excerpts(recorded, found):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{len(found)} violations; history: {path}\n")
    return not found


async def _run(run: RunPlan, arguments: argparse.Namespace, folder: Path) -> None:
    real = jars.fetch() if arguments.backend == "real" else None
    record = folder / "calls.jsonl"
    record.unlink(missing_ok=True)
    sizes = {name: str(getattr(run, name)) for name in _SIZES}
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(recording_aws(record, jars=real))
        disk = None
        if run.small_disk:
            disk = await stack.enter_async_context(small_disk(folder / "disk"))
        search = None
        if arguments.opensearch:
            server = await stack.enter_async_context(opensearch(folder / "opensearch"))
            rng = random.Random(f"{arguments.seed} opensearch")
            search = await stack.enter_async_context(tcp_proxy(server.port, rng))
        history = stack.enter_context(History(folder / "history.jsonl"))
        history.add(RunStarted(time.time(), run.name, arguments.seed, sizes, run.tolerated))
        async with session(aws, _setup(run, arguments, folder, disk, search), history) as running:
            await make_faults(running, run)
        refused = Permissions.parse(load_template(TEMPLATE)).refused(await aws.recorded())
    if refused:
        sys.exit(f"the roles in {TEMPLATE.name} do not allow: {refused}")


def _setup(
    run: RunPlan,
    arguments: argparse.Namespace,
    folder: Path,
    disk: SmallDisk | None,
    search: TcpProxy | None,
) -> Setup:
    seed = arguments.seed
    return Setup(
        programs=run.programs(),
        requests=plan(
            random.Random(f"{seed} plan"), run.requests, rate=run.rate, customers=CUSTOMERS
        ),
        healthy=healthy(random.Random(f"{seed} healthy"), run.healthy, customers=CUSTOMERS),
        seed=seed,
        folder=folder,
        settle_s=arguments.settle,
        disk=disk,
        opensearch=search,
        parameters={"VisibilityTimeoutSeconds": str(VISIBILITY_S)},
    )


async def _until_signal(run: RunPlan, arguments: argparse.Namespace, folder: Path) -> None:
    """Run until the end, or until SIGINT or SIGTERM; then all processes end too."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await _run(run, arguments, folder)


def _missing(run: RunPlan) -> str:
    """Return what a run needs and this machine does not have; empty if it can run."""
    if run.small_disk and not can_mount():
        return "only root can mount a small disk"
    if run.skew_s and faketime() is None:
        return "the skew of clocks needs Debian's libfaketime; --skew-s 0 is without it"
    return ""


def main() -> int:
    arguments = _arguments()
    if arguments.check is not None:
        return 0 if _check(arguments.check) else 1
    sizes = {size: getattr(arguments, size) for size in _SIZES}
    run = sized(RUNS[arguments.run], **sizes)
    if missing := _missing(run):
        sys.stdout.write(f"run {run.name}: NOT RUN: {missing}\n")
        return 2
    folder = (arguments.folder or Path(".robustness") / f"{run.name}-{arguments.seed}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sdk_models.share()
    try:
        uvloop.run(_until_signal(run, arguments, folder))
    except asyncio.CancelledError:
        return 130
    finally:
        close_launcher()
    return 0 if _check(folder / "history.jsonl", folder / "result.json") else 1


if __name__ == "__main__":
    sys.exit(main())
