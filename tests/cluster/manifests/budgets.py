"""Grace periods, memory, volumes, ports and rollouts of pods, compared with what their program needs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath, PurePosixPath
from typing import Any

from cluster.manifests.environments import settings_of
from cluster.manifests.overlays import Object
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates, title
from consumer.indexer.settings import IndexerSettings
from consumer.settings import MIB, ConsumerSettings
from core.runtime.event_loop_monitor import STALL_TIMEOUT_S
from harness.consumer_memory import needed_bytes
from server.app import SERVICE
from server.settings import ServerSettings

SERVER_LAST_CALLS_S = 1
REQUEUE_S = 25
"""Seconds that a drain of the consumer or the indexer takes beyond its settings (docs/reference.md)."""
LONGEST_WAIT_S = 2
"""Longest wait between two attempts in one run. A longer wait requeues the message."""
PROGRESS_DEADLINE_S = 600
"""Default of Kubernetes."""
_TEMPORARY = PurePosixPath("/tmp")  # noqa: S108  the folder in which the image keeps temporary files
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def faults(objects: Sequence[Object]) -> list[str]:
    """Return a line for each pod template whose budgets do not fit."""
    found = []
    for pod in pod_templates(objects):
        of_pod = [*_bound_faults(pod)]
        if pod.owner.startswith("Deployment/"):
            of_pod += _program_faults(pod, objects)
        found += [f"{pod.owner}: {fault}" for fault in of_pod]
    for deployment in of_kind(objects, "Deployment"):
        found += [f"{title(deployment)}: {fault}" for fault in _rollout_faults(deployment["spec"])]
    return found


def _rollout_faults(spec: Mapping[str, Any]) -> Iterator[str]:
    """Check that a rollout waits until a new pod that is stuck would be unready, and removes no old pod before."""
    if spec["strategy"]["type"] == "Recreate":
        return
    if spec["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "a rollout removes old pods before new ones are available"
    wait = spec.get("minReadySeconds", 0)
    (container,) = spec["template"]["spec"]["containers"]
    detection = seconds_until_unready(container["readinessProbe"])
    if wait <= detection:
        yield f"minReadySeconds of {wait} s is not above {detection:g} s, in which a stuck pod becomes unready"
    deadline = spec.get("progressDeadlineSeconds", PROGRESS_DEADLINE_S)
    if wait >= deadline:
        yield f"minReadySeconds of {wait} s is not below progressDeadlineSeconds of {deadline} s"


def seconds_until_unready(probe: Mapping[str, Any]) -> float:
    """Return the longest time until a readiness probe has failed after the event loop became stuck.

    The loop answers a gRPC probe itself; the thread that answers /livez reports the loop after STALL_TIMEOUT_S.
    """
    failing: float = probe["failureThreshold"] * probe["periodSeconds"]
    return failing + (probe["timeoutSeconds"] if "grpc" in probe else STALL_TIMEOUT_S)


def _bound_faults(pod: PodTemplate) -> Iterator[str]:
    """Check what linters do not: memory is reserved in full, CPU is not limited, volumes are bounded."""
    resources = pod.container["resources"]
    if resources.get("limits") != {"memory": resources["requests"]["memory"]}:
        yield "its limits are not exactly the memory that it requests"
    for volume in pod.spec.get("volumes", []):
        if "sizeLimit" not in volume.get("emptyDir", {}):
            yield f"volume {volume['name']} is not an emptyDir with a size limit"


def _program_faults(pod: PodTemplate, objects: Iterable[Object]) -> Iterator[str]:
    settings = settings_of(pod, objects)
    if pod.port("metrics") != settings.metrics_port:
        yield "its port metrics is not METRICS_PORT"
    if isinstance(settings, ServerSettings):
        yield from _server_faults(pod, settings, objects)
    if isinstance(settings, ConsumerSettings):
        yield from _consumer_faults(pod, settings)
    if isinstance(settings, IndexerSettings):
        longest = max(settings.receive_wait_s, settings.drain_grace_s)
        yield from _too_short(pod, "a drain", longest + REQUEUE_S)


def _server_faults(
    pod: PodTemplate, settings: ServerSettings, objects: Iterable[Object]
) -> Iterator[str]:
    port = int(settings.grpc_address.rpartition(":")[2])
    served = {pod.port("grpc")} | {
        each["port"] for service in of_kind(objects, "Service") for each in service["spec"]["ports"]
    }
    if served != {port}:
        yield f"gRPC is served on port {port}, and the manifests name {sorted(served)}"
    if pod.container["readinessProbe"]["grpc"]["service"] != SERVICE:
        yield f"readiness does not check {SERVICE}"
    for probe in ("startupProbe", "livenessProbe"):
        if pod.container[probe]["grpc"]["service"]:
            yield f"{probe} checks more than the process"
    drain = settings.drain_delay_s + settings.drain_grace_s + SERVER_LAST_CALLS_S
    yield from _too_short(pod, "a drain", drain)


def _consumer_faults(pod: PodTemplate, settings: ConsumerSettings) -> Iterator[str]:
    drain = settings.receive_wait_s + settings.drain_grace_s + REQUEUE_S
    yield from _too_short(pod, "a drain", drain)
    waits = (settings.max_attempts - 1) * LONGEST_WAIT_S
    yield from _too_short(
        pod, "the longest job", settings.max_attempts * settings.total_timeout_s + waits
    )
    if not _outlives_the_container(pod, settings.journal_dir or _TEMPORARY):
        yield "a restart of its container loses the journals of isolated decodings"
    needed = needed_bytes(settings)
    limit = quantity(pod.container["resources"]["limits"]["memory"])
    if limit < needed:
        yield f"its memory of {limit // MIB} MiB is below {needed // MIB} MiB"


def _outlives_the_container(pod: PodTemplate, folder: PurePath) -> bool:
    """Return whether a folder is in a volume of the pod that can be written."""
    written = {each["name"] for each in pod.spec.get("volumes", []) if "emptyDir" in each}
    return any(
        mount["name"] in written and folder.is_relative_to(mount["mountPath"])
        for mount in pod.container.get("volumeMounts", [])
    )


def _too_short(pod: PodTemplate, what: str, seconds: float) -> Iterator[str]:
    grace = pod.spec["terminationGracePeriodSeconds"]
    if grace <= seconds:
        yield f"its grace period of {grace} s is below {what} of {seconds:g} s"


def quantity(text: Any) -> int:
    """Return a quantity of memory, such as 512Mi, in bytes."""
    unit = str(text)[-2:]
    return int(str(text)[:-2]) * _UNITS[unit]
