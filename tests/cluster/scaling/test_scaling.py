"""The number of consumer pods follows the queue depth, with the real KEDA and the real autoscaler."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane, Refused
from cluster.scaling.backlog import Lanes
from cluster.scaling.overlays import Overlays
from cluster.scaling.report import write_report
from cluster.scaling.scaling import Scaling
from cluster.scaling.timeline import NAME, NAMESPACE, ConditionTimeout, Sample, Timeline, timeline

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1_200)]

MESSAGES = 500
BULK_MESSAGES = 3_000


@pytest.mark.usefixtures("overlays")
async def test_consumers_follow_the_queue_depth_and_stay_if_it_is_unreadable(
    plane: ControlPlane,
    queues: Lanes,
    print_line: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> None:
    scaling = Scaling.parse(await plane.kubectl.get("scaledobject", NAME, "-n", NAMESPACE))
    assert scaling.pods_for(MESSAGES) > max(scaling.minimum, 1), (
        "500 messages must mean several pods"
    )
    assert scaling.minimum < scaling.pods_for(0, BULK_MESSAGES) < scaling.pods_for(MESSAGES)
    async with timeline(plane.kubectl, queues, print_line) as run:
        phases = Phases(run, queues, scaling, fake_nodes=plane.ours)
        try:
            await phases.empty()
            await phases.filled()
            await phases.half_in_flight()
            await phases.drained()
            await phases.both_lanes_filled()
            await phases.drained()
            await phases.unreadable_bulk()
            await phases.readable_again()
            await phases.unreadable_with_work()
            await phases.readable_again()
            await phases.unreadable_and_empty()
            await phases.readable_again()
        except ConditionTimeout:
            print_line(await plane.log_tails())
            raise
        finally:
            folder: Path = pytestconfig.getoption("--scaling-report")
            await asyncio.to_thread(write_report, run, scaling, folder)
            print_line(f"timeline in {folder}")


class Phases:
    """The phases of one run, each with its assertions."""

    def __init__(self, run: Timeline, queues: Lanes, scaling: Scaling, *, fake_nodes: bool) -> None:
        self.run = run
        self.queues = queues
        self.queue = queues.interactive
        self.scaling = scaling
        # On real nodes the readiness of a pod depends on images and credentials that this test does not have.
        self.checks_ready = fake_nodes

    async def empty(self) -> None:
        self.run.enter("empty")
        await self._settles_at(self.scaling.minimum)
        await self._stays(self.scaling.minimum, samples=10)

    async def filled(self) -> None:
        self.run.enter(f"{MESSAGES} sent")
        await self.queue.send(MESSAGES)
        await self._settles_at(self.scaling.pods_for(MESSAGES))
        assert max(s.desired for s in self._samples()) == self.scaling.pods_for(MESSAGES)

    async def half_in_flight(self) -> None:
        """Half of the messages are in flight, and messages for one more pod are sent. Messages in flight count."""
        self.run.enter("half in flight")
        await self.queue.receive(MESSAGES // 2)
        await self.queue.send(self.scaling.queue_length)
        grown = self.scaling.pods_for(MESSAGES + self.scaling.queue_length)
        assert grown > self.scaling.pods_for(MESSAGES), "the maximum leaves no room for one more"
        await self._settles_at(grown)
        assert min(s.desired for s in self._samples()) == self.scaling.pods_for(MESSAGES)

    async def drained(self) -> None:
        self.run.enter("drained")
        await self._drain()
        await self._settles_at(self.scaling.minimum)

    async def both_lanes_filled(self) -> None:
        """Pods start for bulk messages alone. The lane that needs more pods decides, not the sum."""
        self.run.enter(f"{BULK_MESSAGES} sent to bulk")
        await self.queues.bulk.send(BULK_MESSAGES)
        await self._settles_at(self.scaling.pods_for(0, BULK_MESSAGES))
        self.run.enter(f"{MESSAGES} more sent")
        await self.queue.send(MESSAGES)
        await self._settles_at(self.scaling.pods_for(MESSAGES, BULK_MESSAGES))
        await self._stays(self.scaling.pods_for(MESSAGES, BULK_MESSAGES))

    async def unreadable_bulk(self) -> None:
        """The depth of bulk becomes unreadable. The interactive lane still adds pods."""
        self.run.enter("bulk unreadable")
        self.queues.start_errors(self.queues.bulk)
        await self.run.until(lambda s: s.fallback, "in the fallback")
        await self.queue.send(MESSAGES)
        await self._settles_at(max(self.scaling.pods_for(MESSAGES), self.scaling.fallback))
        await self._drain()

    async def unreadable_with_work(self) -> None:
        """The depth becomes unreadable while pods work. They stay, although the queue is empty."""
        self.run.enter("filled again")
        await self.queue.send(MESSAGES)
        working = self.scaling.pods_for(MESSAGES)
        await self._settles_at(working)
        self.run.enter("unreadable")
        self._start_errors()
        await self.queue.drain()
        await self.run.until(lambda s: s.fallback, "in the fallback")
        await self._stays(max(working, self.scaling.fallback))
        assert min(s.desired for s in self._samples()) == working

    async def unreadable_and_empty(self) -> None:
        """The depth becomes unreadable while no pod works. The fallback determines the number of pods."""
        self.run.enter("unreadable at rest")
        self._start_errors()
        await self.run.until(lambda s: s.fallback, "in the fallback")
        fallback = max(self.scaling.minimum, self.scaling.fallback)
        await self._settles_at(fallback)
        await self._stays(fallback)

    async def readable_again(self) -> None:
        self.run.enter("readable again")
        self.queues.stop_errors()
        await self.run.until(lambda s: not s.fallback, "out of the fallback")
        await self._settles_at(self.scaling.minimum)

    def _start_errors(self) -> None:
        self.queues.start_errors(self.queues.interactive, self.queues.bulk)

    async def _drain(self) -> None:
        await self.queue.drain()
        await self.queues.bulk.drain()

    async def _settles_at(self, pods: int) -> None:
        def settled(sample: Sample) -> bool:
            return sample.desired == pods and (not self.checks_ready or sample.ready == pods)

        await self.run.until(settled, f"at {pods} pods")

    async def _stays(self, pods: int, samples: int = 30) -> None:
        """Take samples for longer than the interval between two decisions of the autoscaler."""
        first = len(self.run.samples)
        await self.run.until(lambda _: len(self.run.samples) >= first + samples, "sampled")
        assert {s.desired for s in self.run.samples[first:]} == {pods}

    def _samples(self) -> list[Sample]:
        return self.run.of(self.run.phase)


@pytest.mark.usefixtures("overlays")
async def test_scaling_to_zero_waits_longer_than_the_fallback(
    plane: ControlPlane,
) -> None:
    """KEDA 2.21 sometimes treats a failed reading as an idle queue: if both of its readers fail at the same time."""
    scaling = Scaling.parse(await plane.kubectl.get("scaledobject", NAME, "-n", NAMESPACE))
    assert scaling.minimum > 0 or scaling.cooldown > scaling.until_fallback


@pytest.mark.parametrize("overlay", ["staging", "eks"])
async def test_the_api_server_accepts_every_object_of_an_overlay(
    plane: ControlPlane, overlays: Overlays, overlay: str
) -> None:
    folder = await asyncio.to_thread(overlays.with_settings, overlay)
    accepted = await plane.kubectl.apply("--dry-run=server", "-k", str(folder))
    assert f"{NAME} serverside-applied (server dry run)" in accepted


@pytest.mark.usefixtures("overlays")
async def test_the_api_server_accepts_search(plane: ControlPlane, tmp_path: Path) -> None:
    with_search = await asyncio.to_thread(Overlays.copy, tmp_path)
    await asyncio.to_thread(with_search.with_search, "eks")
    accepted = await plane.kubectl.apply("--dry-run=server", "-k", str(with_search.folder / "eks"))
    for created in ("deployment.apps/imageservice-indexer", "cronjob.batch/imageservice-reindex"):
        assert f"{created} serverside-applied (server dry run)" in accepted


@pytest.mark.usefixtures("overlays")
async def test_a_misspelt_field_is_refused(plane: ControlPlane) -> None:
    """This shows that the validation works."""
    scaled = await plane.kubectl.get("scaledobject", NAME, "-n", NAMESPACE)
    misspelt = {
        "apiVersion": scaled["apiVersion"],
        "kind": scaled["kind"],
        "metadata": {"name": "misspelt", "namespace": NAMESPACE},
        "spec": {**scaled["spec"], "maxReplicasCount": 3},
    }
    with pytest.raises(Refused, match="maxReplicasCount"):
        await plane.kubectl.apply_objects([misspelt])


@pytest.mark.usefixtures("overlays")
async def test_keda_refuses_a_second_scaled_object_for_the_same_pods(plane: ControlPlane) -> None:
    scaled = await plane.kubectl.get("scaledobject", NAME, "-n", NAMESPACE)
    second = {
        "apiVersion": scaled["apiVersion"],
        "kind": scaled["kind"],
        "metadata": {"name": "second", "namespace": NAMESPACE},
        "spec": scaled["spec"],
    }
    with pytest.raises(Refused, match=r"vscaledobject.* is already managed by"):
        await plane.kubectl.apply_objects([second])


@pytest.mark.usefixtures("overlays")
async def test_the_namespace_refuses_a_pod_with_privileges(plane: ControlPlane) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": NAMESPACE},
        "spec": {
            "containers": [
                {"name": "it", "image": "it", "securityContext": {"privileged": True}},
            ]
        },
    }
    with pytest.raises(Refused, match='violates PodSecurity "restricted'):
        await plane.kubectl.run("create", "-f", "-", stdin=json.dumps(pod))


@pytest.mark.usefixtures("overlays")
async def test_every_pod_of_the_overlay_is_admitted_and_ready(plane: ControlPlane) -> None:
    if not plane.ours:
        pytest.skip("the cluster of KUBECONFIG has real nodes, and the image does not exist there")
    deployments = await plane.kubectl.get("deployments", "-n", NAMESPACE)
    names = {each["metadata"]["name"] for each in deployments["items"]}
    assert names >= {"imageservice-server", NAME, "imageservice-queue-exporter"}
    for name in names - {NAME}:
        await plane.kubectl.run(
            "rollout", "status", f"deployment/{name}", "-n", NAMESPACE, "--timeout=180s"
        )
