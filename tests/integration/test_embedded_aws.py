"""The embedded AWS as a child process, and the parent watch that ends it with its parent."""

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

# Holds the pipe, starts the module under the parent watch, and waits to be killed.
PARENT = """
import os, subprocess, sys
reading, writing = os.pipe()
watched = [sys.executable, "-m", "core.runtime.parent_watch", "--fd", str(reading), *sys.argv[1:]]
subprocess.Popen(watched, pass_fds=[reading], start_new_session=True)
os.close(reading)
sys.stdin.read()
"""


def output_after_parent_kill(tmp_path: Path, body: str, *options: str) -> str:
    """Run `body` under the parent watch, kill its parent, and return the rest of its output.

    The parent is killed when the child prints "up". The child inherits the parent's standard
    output, so reading to the end of the output waits for the child's exit.
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


def test_a_child_shuts_down_gracefully_when_its_parent_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the parent, the child gets SIGTERM, as from an operator."""
    body = (
        "import signal, sys, time\n"
        "def leave(*_):\n    print('left', sys.argv[1:], __name__, flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('up', flush=True)\n"
        "while True:\n    time.sleep(0.01)\n"
    )
    assert output_after_parent_kill(tmp_path, body) == "left ['argument'] __main__\n"


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A child that still runs after the grace period is killed."""
    body = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', flush=True)\n"
        "while True:\n    time.sleep(0.01)\n"
    )
    assert output_after_parent_kill(tmp_path, body, "--grace", "0.05") == ""


async def test_a_stopped_emulator_exits_with_status_0() -> None:
    """Its port is closed afterwards."""
    async with embedded_aws() as aws:
        pass
    assert await aws.process.exited == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", aws.port)


async def test_a_failed_start_is_reported_at_once() -> None:
    """If the child exits during start-up, the error is raised before the readiness timeout."""
    with pytest.raises(EmbeddedAwsFailed, match="ended at its start: exit status 1"):
        async with embedded_aws(module="no_such_module"):
            pass


async def test_waiting_for_readiness_has_a_timeout() -> None:
    """If no process answers, the wait fails after the given time."""
    with closed_port() as port:
        endpoint = endpoint_of(port)
        with pytest.raises(EmbeddedAwsFailed, match=f"not ready at {endpoint} after 0.1 s"):
            await aws_ready(endpoint, 0.1)


def test_variables_of_a_real_aws_account_are_not_passed_on() -> None:
    """A process that calls the emulator gets no variable of a real AWS profile."""
    own = {"PATH": "/bin", "AWS_PROFILE": "production", "AWS_ENDPOINT_URL_SQS": "https://real"}
    passed = {**without_aws(own), **client_environment("http://127.0.0.1:1", "server")}
    assert "production" not in passed.values()
    assert "https://real" not in passed.values()
    assert passed["PATH"] == "/bin"
    assert passed["AWS_ACCESS_KEY_ID"] == "server"


async def test_the_calls_of_each_role_are_recorded(
    embedded_aws: RecordingAws, deploy_stack: DeployStack
) -> None:
    """The SDK's requests are recorded as IAM actions. Calls in the suite's role are not recorded."""
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
    account = "us-east-1:000000000000"
    table = f"arn:aws:dynamodb:{account}:table/recorded-requests"
    recorded = {call for call in await embedded_aws.recorded() if "recorded-" in call.resource}
    assert recorded == {
        Call("server", "dynamodb:PartiQLInsert", table),
        Call("consumer", "sqs:ReceiveMessage", f"arn:aws:sqs:{account}:recorded-queue"),
        Call("consumer", "s3:PutObject", "arn:aws:s3:::recorded-images-000000000000/images/…"),
        Call("consumer", "sns:PublishBatch", f"arn:aws:sns:{account}:recorded-notifications"),
    }
    assert Call("operator", "cloudwatch:GetMetricData", "*") in await embedded_aws.recorded()
