"""MiniStack, an emulator of AWS, as a child process on loopback.

A supervisor starts it with `command` and `environment`, and then calls readiness.aws_ready. All data is in memory and
is lost when the process ends.
"""

import socket
from collections.abc import Mapping

from core.runtime.parent_watch import watched_command

HOST = "127.0.0.1"
REGION = "us-east-1"
EMULATOR = "cli.local.emulator"


class EmbeddedAwsFailed(Exception):
    """The emulator ended before it was ready, or was not ready in time."""


def free_port() -> int:
    """Return a port that is free now. If another program takes it first, the child ends at once."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def endpoint_of(port: int) -> str:
    return f"http://{HOST}:{port}"


def command(port: int, pipe: int, *, module: str = EMULATOR) -> list[str]:
    """Return the child's command. `pipe` is the reading end of the parent pipe."""
    return watched_command(pipe, module, str(port))


def environment(port: int) -> dict[str, str]:
    """Return the environment that the child needs, in addition to what it inherits.

    Most of it switches off features of MiniStack that would affect this machine: listening on all interfaces and on
    fixed ports for SFTP and MQTT, state in /tmp, and the removal of all containers with its label at start and end,
    including those of another MiniStack.
    """
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        # It is also the host in the URL of every queue.
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": "000000000000",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "USE_SSL": "0",
        "SERVICES": "",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "LOCALSTACK_PERSISTENCE": "0",
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        "LOG_LEVEL": "ERROR",
    }


def client_environment(endpoint: str, role: str) -> dict[str, str]:
    """Return the variables that point an AWS SDK at the emulator, to be added to `without_aws(os.environ)`.

    `role` is used as the access key id: MiniStack accepts any id that is not 12 digits, and the test suite derives
    from it which role of the template a call must be allowed by.
    """
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": role,
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Otherwise a proxy variable would send calls to loopback out of the machine.
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


def without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without AWS profiles, tokens and endpoints."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}
