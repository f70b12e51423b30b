"""The embedded AWS as a child process, and the leash that ends it with its parent."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiobotocore.session import get_session

from cli.local.embedded_aws import (
    EmbeddedAwsFailed,
    client_environment,
    endpoint_of,
    without_aws,
)
from cli.local.readiness import aws_ready
from harness.aws import ROOT, DeployStack, RecordingAws
from harness.calls import Call
from harness.embedded_aws import embedded_aws
from harness.reserved_port import closed_port

# Holds the pipe, starts the module under the leash, says that it runs, and waits to be killed.
PARENT = """
import os, subprocess, sys
reading, writing = os.pipe()
leash = [sys.executable, "-m", "core.runtime.parent_watch", "--fd", str(reading), *sys.argv[1:]]
subprocess.Popen(leash, pass_fds=[reading], start_new_session=True)
os.close(reading)
sys.stdin.read()
"""


def killed_parent(tmp_path: Path, body: str, *options: str) -> str:
    """Run `body` under a leash, kill its parent once it printed "up", return what else it printed.

    The child holds the parent's standard output, so that its end is seen there, and no sooner.
    """
    (tmp_path / "child.py").write_text(body)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *options, "--", "-m", "child", "argument"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        parent.kill()
        rest = parent.stdout.read()
    assert parent.returncode == -signal.SIGKILL
    return rest


def test_a_child_leaves_in_order_when_its_parent_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the parent the child gets SIGTERM, and ends as it would for an operator."""
    body = (
        "import signal, sys\n"
        "def leave(*_):\n    print('left', sys.argv[1:], __name__, flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('up', flush=True)\n"
        "while True:\n    signal.pause()\n"
    )
    assert killed_parent(tmp_path, body) == "left ['argument'] __main__\n"


def test_a_child_that_ignores_its_parents_end_is_ended(tmp_path: Path) -> None:
    """What does not leave by itself within the grace is ended all the same."""
    body = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', flush=True)\n"
        "while True:\n    signal.pause()\n"
    )
    assert killed_parent(tmp_path, body, "--grace", "0.05") == ""


async def test_it_stops_when_it_is_told_to() -> None:
    """A stopped emulator has ended with status 0 and its port is closed."""
    async with embedded_aws() as aws:
        pass
    assert await aws.process.exited == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", aws.port)


async def test_a_start_that_fails_says_so() -> None:
    """A child that ends at its start is told at once, not after the whole time for readiness."""
    with pytest.raises(EmbeddedAwsFailed, match="ended at its start: exit status 1"):
        async with embedded_aws(module="no_such_module"):
            pass


async def test_waiting_for_readiness_has_an_end() -> None:
    """Where nothing answers, waiting fails in the time that it was given."""
    with closed_port() as port:
        endpoint = endpoint_of(port)
        with pytest.raises(EmbeddedAwsFailed, match=f"not ready at {endpoint} after 0.1 s"):
            await aws_ready(endpoint, 0.1)


def test_somebodys_real_account_stays_out() -> None:
    """Nothing of a real AWS profile is handed to a process that talks to the emulator."""
    mine = {"PATH": "/bin", "AWS_PROFILE": "production", "AWS_ENDPOINT_URL_SQS": "https://real"}
    seen = {**without_aws(mine), **client_environment("http://127.0.0.1:1", "server")}
    assert "production" not in seen.values()
    assert "https://real" not in seen.values()
    assert seen["PATH"] == "/bin"
    assert seen["AWS_ACCESS_KEY_ID"] == "server"


async def test_what_a_role_asks_for_is_written_down(
    embedded_aws: RecordingAws, deploy_stack: DeployStack
) -> None:
    """The SDK's own requests are read as IAM's actions, and the suite's own hand is left out."""
    stack = await deploy_stack("recorded")
    async with get_session().create_client("dynamodb", **embedded_aws.sdk("server")) as client:
        statement = f"INSERT INTO \"{stack.requests_table}\" VALUE {{'requestId': ?}}"
        await client.batch_execute_statement(
            Statements=[{"Statement": statement, "Parameters": [{"S": "one"}]}]
        )
    async with get_session().create_client("sqs", **embedded_aws.sdk("consumer")) as client:
        await client.receive_message(QueueUrl=stack.queue_url, WaitTimeSeconds=0)
    async with get_session().create_client("sqs", **embedded_aws.sdk()) as client:
        await client.purge_queue(QueueUrl=stack.queue_url)
    async with get_session().create_client("s3", **embedded_aws.sdk("consumer")) as client:
        await client.put_object(Bucket=stack.bucket, Key="images/ab/x.png", Body=b"bytes")
    async with get_session().create_client("sns", **embedded_aws.sdk("consumer")) as client:
        await client.publish_batch(
            TopicArn=stack.topic_arn,
            PublishBatchRequestEntries=[{"Id": "0", "Message": "done"}],
        )
    async with get_session().create_client("cloudwatch", **embedded_aws.sdk("operator")) as client:
        now = datetime.now(UTC)
        await client.get_metric_data(MetricDataQueries=[], StartTime=now, EndTime=now)
    here = "us-east-1:000000000000"
    table = f"arn:aws:dynamodb:{here}:table/recorded-requests"
    recorded = {call for call in await embedded_aws.recorded() if "recorded-" in call.resource}
    assert recorded == {
        Call("server", "dynamodb:PartiQLInsert", table),
        Call("consumer", "sqs:ReceiveMessage", f"arn:aws:sqs:{here}:recorded-queue"),
        Call("consumer", "s3:PutObject", "arn:aws:s3:::recorded-images-000000000000/images/…"),
        Call("consumer", "sns:PublishBatch", f"arn:aws:sns:{here}:recorded-notifications"),
    }
    assert Call("operator", "cloudwatch:GetMetricData", "*") in await embedded_aws.recorded()
