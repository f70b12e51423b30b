"""What a pod is given, seconds, bytes and ports, against what its process's settings will take."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cluster.manifests.environments import settings_of
from cluster.manifests.overlays import Object
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates
from consumer.indexer.settings import IndexerSettings
from consumer.settings import MIB, ConsumerSettings
from server.app import SERVICE
from server.settings import ServerSettings

SERVER_LAST_CALLS_S = 1
CONSUMER_GIVE_BACK_S = 25
"""Seconds that a drain takes beyond its settings; docs/reference.md has the consumer's, which the indexer shares."""
LONGEST_WAIT_S = 2
"""Seconds between two attempts; a longer wait gives the message back."""
PROCESS_BYTES = 125 * MIB
"""A consumer's resident memory without bodies and pictures."""
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def faults(objects: Sequence[Object]) -> list[str]:
    found = []
    for pod in pod_templates(objects):
        if pod.owner.startswith("Deployment/"):
            found += [f"{pod.owner}: {fault}" for fault in _pod_faults(pod, objects)]
    return found


def _pod_faults(pod: PodTemplate, objects: Iterable[Object]) -> Iterator[str]:
    settings = settings_of(pod, objects)
    if pod.port("metrics") != settings.metrics_port:
        yield "its port metrics is not METRICS_PORT"
    if isinstance(settings, ServerSettings):
        yield from _server_faults(pod, settings, objects)
    if isinstance(settings, ConsumerSettings):
        yield from _consumer_faults(pod, settings)
    if isinstance(settings, IndexerSettings):
        longest = max(settings.receive_wait_s, settings.drain_grace_s)
        yield from _too_short(pod, "a drain", longest + CONSUMER_GIVE_BACK_S)


def _server_faults(
    pod: PodTemplate, settings: ServerSettings, objects: Iterable[Object]
) -> Iterator[str]:
    port = int(settings.grpc_address.rpartition(":")[2])
    served = {pod.port("grpc")} | {
        each["port"] for service in of_kind(objects, "Service") for each in service["spec"]["ports"]
    }
    if served != {port}:
        yield f"gRPC is served on {port}, and looked for on {sorted(served)}"
    if pod.container["readinessProbe"]["grpc"]["service"] != SERVICE:
        yield f"readiness is not that of {SERVICE}"
    for probe in ("startupProbe", "livenessProbe"):
        if pod.container[probe]["grpc"]["service"]:
            yield f"{probe} asks for more than the process"
    drain = settings.drain_delay_s + settings.drain_grace_s + SERVER_LAST_CALLS_S
    yield from _too_short(pod, "a drain", drain)


def _consumer_faults(pod: PodTemplate, settings: ConsumerSettings) -> Iterator[str]:
    drain = settings.receive_wait_s + settings.drain_grace_s + CONSUMER_GIVE_BACK_S
    yield from _too_short(pod, "a drain", drain)
    waits = (settings.max_attempts - 1) * LONGEST_WAIT_S
    yield from _too_short(
        pod, "the longest job", settings.max_attempts * settings.total_timeout_s + waits
    )
    needed = PROCESS_BYTES + settings.body_budget_bytes + settings.decode_budget_bytes
    limit = quantity(pod.container["resources"]["limits"]["memory"])
    if limit < needed:
        yield f"its memory of {limit // MIB} MiB is below {needed // MIB} MiB"


def _too_short(pod: PodTemplate, what: str, seconds: float) -> Iterator[str]:
    grace = pod.spec["terminationGracePeriodSeconds"]
    if grace <= seconds:
        yield f"its grace period of {grace} s is below {what} of {seconds:g} s"


def quantity(text: Any) -> int:
    """Return a quantity of memory in bytes."""
    unit = str(text)[-2:]
    return int(str(text)[:-2]) * _UNITS[unit]
