"""Run the real backends outside pytest, for load tests: `PYTHONPATH=tests python -m backends`.

aws --ready-file FILE [--name-prefix PREFIX]
    Deploys the template, writes FILE, and runs until SIGTERM or Ctrl-C. FILE is JSON: `environment` for server and
    consumer (SDK variables, tables, queues, bucket, topic), `aws_endpoint` (one endpoint for all of AWS, also for
    queues as targets of SNS) and `pids`.
up [OPTION…]
    Runs `imageservice up` with these options on the backends. Its ready file has one endpoint for all of AWS; its
    server, consumers and indexer call tables and queues directly. SNS is in the embedded AWS, so a bridge moves its
    messages for the indexer to ElasticMQ. `--parameter Search=off` runs without search.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from backends import jars
from backends.search_bridge import search_bridge
from cli.errors import UsageError
from cli.local import plan
from cli.local.embedded_aws import without_aws
from cli.local.stack import StackOutputs
from harness.aws import ROOT, RecordingAws, recording_aws

DEFAULT_PREFIX = "imageservice"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m backends", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    aws = commands.add_parser("aws")
    aws.add_argument("--ready-file", type=Path, required=True)
    aws.add_argument("--name-prefix", default=DEFAULT_PREFIX)
    up = commands.add_parser("up", add_help=False)
    up.add_argument("--name-prefix", default=DEFAULT_PREFIX)
    up.add_argument("--parameter", type=_parameter, action="append", default=[])
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command == "aws":
        parser.error(f"not understood: {' '.join(rest)}")
    try:
        folder = jars.fetch()
    except jars.BackendMissing as missing:
        print(missing, file=sys.stderr)  # noqa: T201  a message for the user
        return 1
    if options.command == "aws":
        return asyncio.run(_aws(folder, options.name_prefix, options.ready_file))
    return asyncio.run(_up(folder, options.name_prefix, dict(options.parameter), rest))


def _parameter(text: str) -> tuple[str, str]:
    try:
        return plan.parse_parameter(text)
    except UsageError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


@asynccontextmanager
async def _deployed(
    folder: Path, prefix: str, **parameters: str
) -> AsyncIterator[tuple[RecordingAws, StackOutputs, asyncio.Event]]:
    """Yield the running AWS, the outputs of the stack, and an event that SIGTERM or SIGINT sets."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="imageservice-backends-") as logs:
        async with recording_aws(Path(logs) / "calls.jsonl", jars=folder) as aws:
            yield aws, await aws.deploy(prefix, **parameters), stop


async def _aws(folder: Path, prefix: str, ready_file: Path) -> int:
    async with _deployed(folder, prefix) as (aws, stack, stop):
        assert aws.real is not None
        content = {
            "aws_endpoint": aws.endpoint,
            "environment": {**aws.environment("tests"), **stack.environment()},
            "pids": {
                "aws": aws.aws.process.pid,
                "dynamodb": aws.real.dynamodb.process.pid,
                "elasticmq": aws.real.elasticmq.process.pid,
            },
        }
        await asyncio.to_thread(_write, ready_file, content)
        await stop.wait()
        await asyncio.to_thread(ready_file.unlink, missing_ok=True)
    return 0


def _write(ready_file: Path, content: Mapping[str, Any]) -> None:
    """Write the file atomically, so that no reader sees a part of it."""
    partial = ready_file.with_name(f".{ready_file.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(ready_file)


async def _up(folder: Path, prefix: str, parameters: Mapping[str, str], options: list[str]) -> int:
    async with (
        _deployed(folder, prefix, **parameters) as (aws, stack, stop),
        AsyncExitStack() as exit_stack,
    ):
        assert aws.real is not None
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        if stack.search_queue_url:
            ends.append(await exit_stack.enter_async_context(search_bridge(aws, stack)))
        given = ["--aws-endpoint", aws.endpoint, "--name-prefix", prefix]
        given += [f"--parameter={name}={value}" for name, value in parameters.items()]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "up", *given, *options),
            env={**without_aws(os.environ), **aws.real.endpoints()},
            cwd=ROOT,
            # Ctrl-C in the terminal reaches only this process, so that AWS runs until `up` has drained.
            start_new_session=True,
        )
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({ended, *ends}, return_when=asyncio.FIRST_COMPLETED)
        with suppress(ProcessLookupError):
            process.terminate()
        code = await ended
        for end in ends:
            if end.done():
                end.result()
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
