"""The child processes of a local system, and the environment of each."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from cli.local import embedded_aws, readiness
from cli.local.child import ChildSpec, watched
from cli.local.plan import METRICS_HOST, Plan
from cli.local.stack import StackOutputs

AWS_GRACE_S = 5.0
WORKER_GRACE_S = 25.0
"""Longer than a drain with the settings below plus one long poll."""

LOCAL_DEFAULTS = {
    "DRAIN_DELAY_S": "0",
    "DRAIN_GRACE_S": "10",
    "RECEIVE_WAIT_S": "1",
    "RENDITIONS_FILE": str(Path(__file__).with_name("renditions.toml")),
}
"""No load balancer needs time to notice a drain, polls cost nothing, and a person waits for the end."""

_COMMANDS = {"server": ["server"], "consumer": ["consumer"], "indexer": ["consumer", "indexer"]}
"""Module and arguments, by role."""


def settings(
    plan: Plan, endpoint: str, outputs: StackOutputs, search: Mapping[str, str]
) -> dict[str, str]:
    """Return the settings that all processes share.

    `search` holds the settings of the search engine; the emulator has no OpenSearch.
    """
    return {
        **outputs.environment(),
        **search,
        **embedded_aws.client_environment(endpoint, "operator"),
        "CUSTOMER_TAG_KEY": plan.customer_tag_key,
        "ALLOWED_NETWORKS": ",".join(plan.networks),
        "METRICS_HOST": METRICS_HOST,
        "LOG_FORMAT": plan.log_format,
    }


def aws(plan: Plan, port: int, environ: Mapping[str, str]) -> ChildSpec:
    endpoint = embedded_aws.endpoint_of(port)
    return ChildSpec(
        name="the embedded AWS",
        role="aws",
        command=partial(embedded_aws.command, port),
        environment={**environ, **embedded_aws.environment(port)},
        ready=partial(readiness.aws_ready, endpoint),
        grace_s=AWS_GRACE_S,
        log=_log(plan, "aws"),
    )


def workers(plan: Plan, endpoint: str, environ: Mapping[str, str]) -> tuple[ChildSpec, ...]:
    """Return server, consumers, indexer and the plan's extra children. `environ` already contains their settings."""
    worker = partial(_worker, plan, endpoint, {**LOCAL_DEFAULTS, **environ})
    server = worker(
        "server",
        plan.server_port,
        ready=partial(readiness.grpc_serving, str(plan.address)),
        GRPC_ADDRESS=str(plan.address),
    )
    consumers = (
        worker("consumer", port, name=f"consumer {number}")
        for number, port in enumerate(plan.consumer_ports, 1)
    )
    indexers = (worker("indexer", port) for port in _indexer_ports(plan, environ))
    return (server, *consumers, *indexers, *plan.extra_children)


def metrics(plan: Plan, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs of the metrics pages: the server's first, the indexer's last if there is one."""
    ports = (plan.server_port, *plan.consumer_ports, *_indexer_ports(plan, environ))
    return tuple(map(_metrics_url, ports))


def _worker(
    plan: Plan,
    endpoint: str,
    environ: Mapping[str, str],
    role: str,
    port: int,
    *,
    name: str = "",
    ready: Callable[[], Awaitable[None]] | None = None,
    **own: str,
) -> ChildSpec:
    """Return a child whose metrics are on `port`. `ready` defaults to an answer of the metrics."""
    identity = embedded_aws.client_environment(endpoint, role)
    name = name or role
    return ChildSpec(
        name=name,
        role=role,
        command=watched(*_COMMANDS[role]),
        environment={**environ, **identity, "METRICS_PORT": str(port), **own},
        ready=ready or partial(readiness.http_ok, _metrics_url(port)),
        grace_s=WORKER_GRACE_S,
        log=_log(plan, name.replace(" ", "-")),
    )


def _indexer_ports(plan: Plan, environ: Mapping[str, str]) -> Sequence[int]:
    """Return the metrics port of the indexer, or nothing if the plan or the stack has no indexer."""
    if plan.indexer_port is None or not environ.get("SEARCH_QUEUE_URL"):
        return ()
    return (plan.indexer_port,)


def _metrics_url(port: int) -> str:
    return f"http://{METRICS_HOST}:{port}/metrics"


def _log(plan: Plan, name: str) -> Path | None:
    return None if plan.logs is None else plan.logs / f"{name}.log"
