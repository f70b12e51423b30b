"""Series that a rule or panel takes a rate of start at 0: `rate()` misses the first increment of a new series."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from cluster.dashboards import panels, promql, rules
from cluster.dashboards.series import TARGET, ours
from core.model.image import image_id_of
from harness.aws import RecordingAws
from harness.aws_proxy import AwsProxy, Forward, ProxiedCall, Unreachable, aws_proxy, pass_on
from harness.metrics import MetricsPort
from harness.origin import Origin, origin
from harness.reserved_port import closed_port
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = ("server", "consumer", "indexer", "queue-exporter")
OPEN: Mapping[str, str] = {
    "aws_calls_total": "outcome",
    "redis_calls_total": "outcome",
}
"""Labels whose values are not known in advance: an error code of AWS, the type of an error of the client. The outcomes
`ok` and `cancelled` are known. A panel shows such errors from the second on; no alert takes their rate."""
KNOWN_OUTCOMES = ("ok", "cancelled")

Series = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """The metrics page of a process: its families, and the labels of the samples of each series name."""

    families: frozenset[str]
    samples: Mapping[str, frozenset[Series]]

    @classmethod
    def parse(cls, text: str) -> "Page":
        families, samples = set[str](), dict[str, set[Series]]()
        for family in text_string_to_metric_families(text):
            families.add(family.name)
            for sample in family.samples:
                samples.setdefault(sample.name, set()).add(frozenset(sample.labels.items()))
        return cls(frozenset(families), {name: frozenset(each) for name, each in samples.items()})

    def exports(self, name: str) -> bool:
        """Return whether the process has this metric, with or without a series."""
        return re.sub(r"_(total|bucket|sum|count)$", "", name) in self.families

    def has(self, name: str, labels: Mapping[str, str]) -> bool:
        """Return whether a series has all of these labels. An empty value means that the label is absent."""
        return any(
            all(dict(series).get(label, "") == value for label, value in labels.items())
            for series in self.samples.get(name, ())
        )


@dataclass(frozen=True, slots=True)
class Run:
    """The pages of the processes by job: after the start, when no AWS call has ended, and after work."""

    started: Mapping[str, Page]
    worked: Mapping[str, Page]


def rated() -> Iterator[promql.Selector]:
    """Yield the selectors of our series whose rate a rule or a panel takes."""
    known = ours()
    sources = [query.promql for query in panels.queries()] + [rule.expr for rule in rules.rules()]
    for expr in sources:
        for selector in promql.selectors(expr):
            if selector.within in promql.GROWTH and selector.metric in known:
                yield selector


SELECTORS = {selector.text: selector for selector in rated()}


def selected(selector: promql.Selector) -> list[dict[str, str]]:
    """Return the labels of the series that must exist: one for each combination of the values that it names."""
    named = {
        label: value.split("|")
        for label, value in selector.matchers.items()
        if label not in TARGET and re.fullmatch(r"[\w:. |-]*", value)
    }
    return [dict(zip(named, values, strict=True)) for values in product(*named.values())]


def selects(selector: promql.Selector, job: str) -> bool:
    return re.fullmatch(selector.matchers["job"], f"imageservice-{job}") is not None


class HeldCalls:
    """A hook that answers no call but those in `answered` until `release`, which ends the others without an answer."""

    def __init__(self, *answered: str) -> None:
        self._answered = answered
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation in self._answered:
            return await forward()
        await self._released.wait()
        raise Unreachable


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run(embedded_aws: RecordingAws) -> AsyncIterator[Run]:
    """Start every process while AWS answers no call, scrape; let AWS answer, work, scrape again."""
    ports = {job: MetricsPort() for job in JOBS}
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint, forked=False) as running,
    ):
        with closed_port() as port:
            started = await start_all(running, proxy, ports, f"redis://127.0.0.1:{port}")
            await work(running, images)
            worked = {job: await scrape(ports[job]) for job in JOBS}
            yield Run(started, worked)


async def start_all(
    running: System, proxy: AwsProxy, ports: Mapping[str, MetricsPort], redis_url: str
) -> dict[str, Page]:
    # The consumer reads the visibility timeout of its queue before it serves metrics.
    most, every = HeldCalls("GetQueueAttributes"), HeldCalls()
    redis = {"REDIS_URL": redis_url}
    proxy.hook = most.hook
    await running.start_server(**ports["server"].settings, **redis)
    await running.start_consumer(**ports["consumer"].settings, **redis)
    await running.start_indexer(**ports["indexer"].settings)
    await ports["consumer"].until_served()
    proxy.hook = every.hook
    await running.start_exporter(**ports["queue-exporter"].settings, READ_INTERVAL_S="1")
    await ports["queue-exporter"].until_served()
    pages = {job: await scrape(ports[job]) for job in JOBS}
    proxy.hook = pass_on
    most.release()
    every.release()
    return pages


async def scrape(port: MetricsPort) -> Page:
    return Page.parse((await port.scrape()).text)


async def work(running: System, images: Origin) -> None:
    """Every read, and requests that complete, are requeued, and fail in several ways."""

    async def busy(_request: web.Request) -> web.Response:
        images.serve_body("/busy.png", b"", "image/png")
        return web.Response(status=429, headers={"Retry-After": "3"})

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    urls = [
        images.image_url(1),
        f"{images.base}/nothing-there.png",
        "http://10.0.0.1/blocked.png",
        images.serve("/busy.png", busy),
        images.serve("/broken.png", broken),
    ]
    ids = [await running.submit(url) for url in urls]
    await running.wait_terminal(ids)
    async with running.stub() as stub:
        search = pb.SearchImagesRequest(customer_id="acme")

        async def indexed() -> bool:
            return (await stub.SearchImages(search)).total > 0

        await wait_for(indexed, "an image in the index")
        await stub.ListRequests(pb.ListRequestsRequest(customer_id="acme"))
        await stub.ListImages(pb.ListImagesRequest(customer_id="acme"))
        await stub.GetStatus(pb.GetStatusRequest(request_id=ids[0]))
        await stub.GetImage(pb.GetImageRequest(image_id=image_id_of(ids[0])))


@pytest.mark.parametrize("text", sorted(SELECTORS))
async def test_a_series_of_a_rate_exists_after_the_start(run: Run, text: str) -> None:
    """A process that exports the metric has each series that the selector names, before the first event."""
    selector = SELECTORS[text]
    exporting = [
        job for job in JOBS if selects(selector, job) and run.started[job].exports(selector.metric)
    ]
    assert exporting
    if OPEN.get(selector.metric) in selector.excluded:
        return
    for labels in selected(selector):
        assert any(run.started[job].has(selector.metric, labels) for job in exporting), labels


@pytest.mark.parametrize("job", JOBS)
async def test_no_series_appears_during_work(run: Run, job: str) -> None:
    """Also a panel without a selected label value misses no increment. OPEN lists the exceptions."""
    new = {
        (name, *sorted(series))
        for name, found in run.worked[job].samples.items()
        # A histogram has all of its buckets if it has a count.
        if name.endswith(("_total", "_count"))
        for series in found - run.started[job].samples.get(name, frozenset())
        if dict(series).get(OPEN.get(name, ""), "ok") in KNOWN_OUTCOMES
    }
    assert new == set()
