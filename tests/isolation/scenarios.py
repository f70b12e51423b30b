"""The scenarios: one customer (A) makes load, another one (B) submits ten images."""

import asyncio
import itertools
import os
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.aws import RecordingAws
from harness.redis_server import redis_server
from harness.system import System, system
from isolation.origins import RatedOrigin, loopback_hosts, rated_origin, silent_origin
from isolation.traffic import (
    Times,
    count_outcomes,
    measure,
    numbered,
    outcomes,
    submit_stream,
    wait_ended,
)

B_IMAGES = 10
_QUICK_HOST = "127.0.0.1"
_SILENT_NET = 16
_SLOW_NET = 32
_RATED_NET = 48
_RATED_HOSTS = 2
_RATE = 5.0
_SLOW_FETCH_S = 12.0
_SLOW_FETCHES = 64
_VISIBILITY_S = 20
_RECEIVE_WAIT_S = 5
_SETTINGS = {
    "ALLOWED_NETWORKS": "127.0.0.0/8",
    "PER_HOST_LIMIT": "8",
    "RETRY_DELAY_S": "30",
    "RECEIVE_WAIT_S": str(_RECEIVE_WAIT_S),
}
"""The defaults of production, except the network. The harness sets other values for the tests."""


@dataclass(frozen=True, slots=True)
class Options:
    """`size` is the number of A's requests; 0 takes the scenario's."""

    size: int = 0
    consumers: int = 1
    concurrency: int = 64
    redis: bool = False
    retry_after: str | None = None
    seconds: float = 600


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its limit; the limit is None if there is none."""

    name: str
    value: str
    limit: str | None = None
    met: bool = True


Scenario = Callable[[RecordingAws, Options], Awaitable[list[Figure]]]


@asynccontextmanager
async def _running(
    aws: RecordingAws, options: Options, *, consumers: bool = True, **parameters: str
) -> AsyncIterator[System]:
    """Start a server, and the consumers."""
    async with (
        _redis(enabled=options.redis) as redis,
        system(aws, forked=False, **parameters) as running,
    ):
        await running.start_server(**redis)
        for _ in range(options.consumers if consumers else 0):
            await running.start_consumer(CONCURRENCY=str(options.concurrency), **_SETTINGS, **redis)
        yield running


@asynccontextmanager
async def _redis(*, enabled: bool) -> AsyncIterator[Mapping[str, str]]:
    if not enabled:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        async with redis_server(Path(folder)) as server:
            yield {"REDIS_URL": server.url}


def _delay_figures(alone: Times, beside: Times, *, at_most: float) -> list[Figure]:
    rise = max(beside.seconds) - alone.median
    return [
        Figure("B alone, median and worst", f"{alone.median:.2f} s, {alone.worst:.2f} s"),
        Figure("B beside A, median and worst", f"{beside.median:.2f} s, {beside.worst:.2f} s"),
        Figure(
            "B's outcomes", str(beside.codes), "all COMPLETED", set(beside.codes) == {"COMPLETED"}
        ),
        Figure(
            "B's worst beside A minus its median alone",
            f"{rise:.2f} s",
            f"{at_most} s",
            rise <= at_most,
        ),
    ]


def _ratio(name: str, alone: Times, beside: Times) -> Figure:
    """Compare medians. The limit is twice the time alone."""
    ratio = beside.median / alone.median
    value = f"{beside.median:.3f} s, {ratio:.2f}x {alone.median:.3f} s"
    return Figure(name, value, "2x", ratio <= 2)


async def _beside(running: System, a_urls: list[str], *, at_most: float = 2.0) -> list[Figure]:
    """Measure B alone, then while the requests of A wait."""
    async with rated_origin([_QUICK_HOST], RatedOrigin()) as quick:
        urls = iter(numbered([_QUICK_HOST], quick.port, 3 * B_IMAGES))
        await measure(running, "warm-up", itertools.islice(urls, 1), pause=0)
        alone = await measure(running, "b", itertools.islice(urls, B_IMAGES))
        began = time.monotonic()
        submits = asyncio.create_task(submit_stream(running, "a", a_urls))
        beside = await measure(running, "b", itertools.islice(urls, B_IMAGES))
        await submits
        after = await measure(running, "b", itertools.islice(urls, B_IMAGES))
    both = beside + after
    pending = (await count_outcomes(running, "a")).get("PENDING", 0)
    return [
        *_delay_figures(alone, both, at_most=at_most),
        Figure(
            "A's requests that wait",
            f"{pending} of {len(a_urls)} after {time.monotonic() - began:.0f} s",
        ),
    ]


async def hung_host(aws: RecordingAws, options: Options) -> list[Figure]:
    """A submits URLs of one hung host (20,000)."""
    host = loopback_hosts(_SILENT_NET, 1)
    async with silent_origin(host) as silent, _running(aws, options) as running:
        figures = await _beside(running, numbered(host, silent.port, options.size or 20_000))
        return [*figures, Figure("most connections to it", str(silent.most_open))]


async def silent_hosts(aws: RecordingAws, options: Options) -> list[Figure]:
    """A submits URLs of 200 silent hosts with an address each (600)."""
    hosts = loopback_hosts(_SILENT_NET, 200)
    async with silent_origin(hosts) as silent, _running(aws, options) as running:
        figures = await _beside(running, numbered(hosts, silent.port, options.size or 600))
        return [*figures, Figure("most connections to them", str(silent.most_open))]


async def hung_address(aws: RecordingAws, options: Options) -> list[Figure]:
    """A submits URLs of 256 names of one hung address. Needs root, for a file of hosts of its own."""
    (address,) = loopback_hosts(_SILENT_NET, 1)
    names = [f"name-{number}.example" for number in range(options.size or 256)]
    hosts = f"{address} {' '.join(names)}\n"
    async with (
        silent_origin([address]) as silent,
        _running(aws, options, consumers=False) as running,
    ):
        with tempfile.NamedTemporaryFile("w", suffix=".hosts") as file:
            file.write(hosts)
            file.flush()
            process = await _consumer_with_hosts(running, Path(file.name))
            try:
                figures = await _beside(running, numbered(names, silent.port, len(names)))
            finally:
                process.terminate()
                await process.wait()
        most = silent.most_open
        return [*figures, Figure("most connections to it", str(most), "16", most <= 16)]


async def _consumer_with_hosts(running: System, hosts: Path) -> asyncio.subprocess.Process:
    """Start a consumer in a mount namespace that has its own /etc/hosts."""
    script = f"mount --bind {shlex.quote(str(hosts))} /etc/hosts && exec {shlex.quote(sys.executable)} -m consumer"
    environment = {**os.environ, **running.environment("consumer", _SETTINGS)}
    return await asyncio.create_subprocess_exec(
        "unshare", "--mount", "sh", "-c", script, env=environment, start_new_session=True
    )


async def quick_images(aws: RecordingAws, options: Options) -> list[Figure]:
    """A submits quick images of 16 hosts (100,000); B ten. Only ElasticMQ holds so many messages well."""
    hosts = loopback_hosts(_RATED_NET, 16)
    async with rated_origin(hosts, RatedOrigin()) as quick, _running(aws, options) as running:
        own = 3 * B_IMAGES + 1
        urls = numbered(hosts, quick.port, (options.size or 100_000) + own)
        await measure(running, "warm-up", urls[:1], pause=0)
        alone = await measure(running, "b", urls[1 : B_IMAGES + 1])
        a_urls = urls[own:]
        submits = asyncio.create_task(submit_stream(running, "a", a_urls))
        await asyncio.sleep(_RECEIVE_WAIT_S)
        beside = await measure(running, "b", urls[B_IMAGES + 1 : 2 * B_IMAGES + 1])
        await submits
        after = await measure(running, "b", urls[2 * B_IMAGES + 1 : own])
        pending = (await count_outcomes(running, "a")).get("PENDING", 0)
    return [
        *_delay_figures(alone, beside + after, at_most=2.0),
        _ratio("B's median while A submits", alone, beside),
        _ratio("B's median beside A's backlog", alone, after),
        Figure("A's requests that wait", f"{pending} of {len(a_urls)}"),
    ]


async def killed_consumer(aws: RecordingAws, options: Options) -> list[Figure]:
    """A has 64 slow fetches in flight in one of two consumers, which is killed; B submits one quick image."""
    hosts = loopback_hosts(_SLOW_NET, _SLOW_FETCHES // 2)
    slow = RatedOrigin(delay=_SLOW_FETCH_S)
    async with (
        rated_origin(hosts, slow),
        rated_origin([_QUICK_HOST], RatedOrigin()) as quick,
        _running(
            aws, options, consumers=False, VisibilityTimeoutSeconds=str(_VISIBILITY_S)
        ) as running,
    ):
        victim = await running.start_consumer(**_SETTINGS)
        urls = iter(numbered([_QUICK_HOST], quick.port, 2 * B_IMAGES))
        await measure(running, "warm-up", itertools.islice(urls, 1), pause=0)
        alone = await measure(running, "b", itertools.islice(urls, 3))
        ids = await submit_stream(running, "a", numbered(hosts, slow.port, _SLOW_FETCHES))
        await slow.wait_in_flight(_SLOW_FETCHES)
        await running.start_consumer(**_SETTINGS)
        victim.kill()
        await victim.wait()
        running.processes.remove(victim)
        killed = time.monotonic()
        await asyncio.sleep(_RECEIVE_WAIT_S + 1)
        beside = await measure(running, "b", itertools.islice(urls, B_IMAGES))
        ended = await running.wait_terminal(ids, seconds=1_200)
        seconds = time.monotonic() - killed
    limit = 2 * _SLOW_FETCH_S + _VISIBILITY_S
    counted = outcomes(ended.values())
    return [
        *_delay_figures(alone, beside, at_most=2.0),
        Figure("A's outcomes", str(counted), "all COMPLETED", set(counted) == {"COMPLETED"}),
        Figure(
            "A's last end after the kill", f"{seconds:.1f} s", f"{limit:.0f} s", seconds <= limit
        ),
    ]


async def rated_hosts(aws: RecordingAws, options: Options) -> list[Figure]:
    """A submits URLs of two hosts that serve 5 images per second and answer 429 beyond (400 each)."""
    hosts = loopback_hosts(_RATED_NET, _RATED_HOSTS)
    count = options.size or 400
    rated = RatedOrigin(rate=_RATE, retry_after=options.retry_after)
    async with rated_origin(hosts, rated), _running(aws, options) as running:
        total = count * _RATED_HOSTS
        began = time.monotonic()
        await submit_stream(running, "a", numbered(hosts, rated.port, total))
        await wait_ended(running, "a", total, seconds=options.seconds)
        seconds = time.monotonic() - began
        counted = await count_outcomes(running, "a")
    ideal = count / _RATE
    requests = (rated.served.total() + rated.refused.total()) / total
    return [
        Figure("outcomes", str(counted), "all COMPLETED", set(counted) == {"COMPLETED"}),
        Figure(
            "time over the ideal",
            f"{seconds / ideal:.2f}x ({seconds:.0f} s)",
            "1.3x",
            seconds <= 1.3 * ideal,
        ),
        Figure("requests per image", f"{requests:.2f}", "1.5", requests <= 1.5),
    ]


SCENARIOS: Mapping[str, Scenario] = {
    "hung-host": hung_host,
    "silent-hosts": silent_hosts,
    "hung-address": hung_address,
    "quick-images": quick_images,
    "killed-consumer": killed_consumer,
    "rated-hosts": rated_hosts,
}
