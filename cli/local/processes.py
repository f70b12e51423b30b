"""The child processes of a local system, and the environment of each."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cli.local import embedded_aws, readiness
from cli.local.child import ChildSpec, watched
from cli.local.plan import METRICS_HOST, Plan
from cli.local.stack import StackOutputs

AWS_GRACE_S = 5.0
WORKER_GRACE_S = 25.0
"""Longer than a drain with the settings below plus one long poll."""

LOCAL_DEFAULTS = {"DRAIN_DELAY_S": "0", "DRAIN_GRACE_S": "10", "RECEIVE_WAIT_S": "1"}
"""No load balancer needs time to notice a drain, polls cost nothing, and a person waits for the end."""


def settings(
    plan: Plan, endpoint: str, outputs: StackOutputs, search: Mapping[str, str]
) -> dict[str, str]:
    """Return the settings that all processes share.

    `search` holds the settings of the search engine; the emulator has no OpenSearch.
    """
    return {
        **outputs.environment(),
        **search,
        **_aws_environment("operator", endpoint),
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
    environ = {**LOCAL_DEFAULTS, **environ}
    consumers = (
        _consumer(plan, number, port, {**environ, **_aws_environment("consumer", endpoint)})
        for number, port in enumerate(plan.consumer_ports, 1)
    )
    server = _server(plan, {**environ, **_aws_environment("server", endpoint)})
    indexer = _indexer(plan, {**environ, **_aws_environment("indexer", endpoint)})
    return (server, *consumers, *indexer, *plan.extra_children)


def metrics(plan: Plan, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs of the metrics pages: the server's first, the indexer's last if there is one."""
    indexer = _indexer_url(plan, environ)
    return plan.metrics if indexer is None else (*plan.metrics, indexer)


def _server(plan: Plan, environ: Mapping[str, str]) -> ChildSpec:
    own = {"GRPC_ADDRESS": str(plan.address), "METRICS_PORT": str(plan.server_port)}
    return ChildSpec(
        name="server",
        role="server",
        command=watched("server"),
        environment={**environ, **own},
        ready=partial(readiness.grpc_serving, str(plan.address)),
        grace_s=WORKER_GRACE_S,
        log=_log(plan, "server"),
    )


def _consumer(plan: Plan, number: int, port: int, environ: Mapping[str, str]) -> ChildSpec:
    return ChildSpec(
        name=f"consumer {number}",
        role="consumer",
        command=watched("consumer"),
        environment={**environ, "METRICS_PORT": str(port)},
        ready=partial(readiness.http_ok, f"http://{METRICS_HOST}:{port}/metrics"),
        grace_s=WORKER_GRACE_S,
        log=_log(plan, f"consumer-{number}"),
    )


def _indexer(plan: Plan, environ: Mapping[str, str]) -> tuple[ChildSpec, ...]:
    """Return the indexer, or nothing if the plan or the stack has none."""
    url = _indexer_url(plan, environ)
    if url is None:
        return ()
    spec = ChildSpec(
        name="indexer",
        role="indexer",
        command=watched("consumer", "indexer"),
        environment={**environ, "METRICS_PORT": str(plan.indexer_port)},
        ready=partial(readiness.http_ok, url),
        grace_s=WORKER_GRACE_S,
        log=_log(plan, "indexer"),
    )
    return (spec,)


def _indexer_url(plan: Plan, environ: Mapping[str, str]) -> str | None:
    if plan.indexer_port is None or not environ.get("SEARCH_QUEUE_URL"):
        return None
    return f"http://{METRICS_HOST}:{plan.indexer_port}/metrics"


def _aws_environment(role: str, endpoint: str) -> dict[str, str]:
    return embedded_aws.client_environment(endpoint, role)


def _log(plan: Plan, name: str) -> Path | None:
    return None if plan.logs is None else plan.logs / f"{name}.log"
