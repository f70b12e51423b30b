"""DNS lookups in their own threads."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from consumer.fetching.connect_guard import ConnectGuard
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.resolver import PooledResolver

RESPONSE = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))


class SlowDns:
    """Names that begin with "slow" hang until `end`; `hanging` counts them as they begin."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.hanging = threading.Semaphore(0)

    def answer(self, host: str, *_: object) -> list[object]:
        if host.startswith("slow"):
            self.hanging.release()
            self.end.wait()
        return [RESPONSE]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDns]:
    dns = SlowDns()
    monkeypatch.setattr(socket, "getaddrinfo", dns.answer)
    yield dns
    dns.end.set()


@pytest.fixture
async def resolver(dns: SlowDns) -> AsyncIterator[PooledResolver]:
    """A resolver with three threads, of which one domain gets two."""
    resolver = PooledResolver(threads=3, per_domain=2)
    yield resolver
    dns.end.set()
    await resolver.close()


async def address(resolver: PooledResolver, host: str) -> str:
    return (await resolver.resolve(host))[0]["host"]


async def hang(resolver: PooledResolver, dns: SlowDns, *hosts: str) -> list[asyncio.Task[str]]:
    """Start lookups that hold a thread each."""
    tasks = [asyncio.create_task(address(resolver, host)) for host in hosts]
    for _ in hosts:
        await asyncio.to_thread(dns.hanging.acquire)
    return tasks


async def test_one_domain_cannot_take_every_thread(resolver: PooledResolver, dns: SlowDns) -> None:
    """Names of a wildcard domain that hang get only its part. Another name is still looked up."""
    await hang(resolver, dns, "slow1.evil.test", "slow2.evil.test")
    with pytest.raises(HostBusy) as busy:
        await address(resolver, "fast.EVIL.test.")
    assert busy.value.reason == "dns_busy"
    assert await address(resolver, "victim.test") == "192.0.2.1"


async def test_a_customer_leaves_threads_of_a_domain_to_others(dns: SlowDns) -> None:
    """Many owners have names below co.uk. One of them, with names that hang, does not stop the lookups of others."""
    guard, resolver = ConnectGuard(), PooledResolver(threads=16, per_domain=4)
    with guard.record_connects("a"):
        await hang(resolver, dns, *(f"slow{number}.evil.co.uk" for number in range(4)))
        with pytest.raises(HostBusy):
            await address(resolver, "fast.evil.co.uk")
    with guard.record_connects("b"):
        assert await address(resolver, "shop.co.uk") == "192.0.2.1"
    dns.end.set()
    await resolver.close()


async def test_a_customer_leaves_threads_to_others(dns: SlowDns) -> None:
    """Also one with names that hang below many domains."""
    guard, resolver = ConnectGuard(), PooledResolver(threads=16)
    with guard.record_connects("a"):
        await hang(resolver, dns, *(f"slow.evil{number}.test" for number in range(14)))
        with pytest.raises(HostBusy):
            await address(resolver, "fast.test")
    with guard.record_connects("b"):
        assert await address(resolver, "shop.test") == "192.0.2.1"
    dns.end.set()
    await resolver.close()


async def test_no_look_up_waits_for_another(resolver: PooledResolver, dns: SlowDns) -> None:
    """If every thread is in use, a lookup is busy at once instead of timing out in a queue."""
    await hang(resolver, dns, "slow.a.test", "slow.b.test", "slow.c.test")
    with pytest.raises(HostBusy):
        await address(resolver, "victim.test")


async def test_a_cancelled_look_up_still_holds_its_thread(
    resolver: PooledResolver, dns: SlowDns
) -> None:
    """It cannot be interrupted, so it counts until it ends."""
    tasks = await hang(resolver, dns, "slow1.evil.test", "slow2.evil.test")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(HostBusy):
        await address(resolver, "fast.evil.test")


async def test_a_thread_is_free_again_after_its_look_up(
    resolver: PooledResolver, dns: SlowDns
) -> None:
    """Lookups that ended hold no thread."""
    tasks = await hang(resolver, dns, "slow1.evil.test", "slow2.evil.test")
    dns.end.set()
    await asyncio.gather(*tasks)
    answers = [await address(resolver, f"{number}.evil.test") for number in range(5)]
    assert answers == ["192.0.2.1"] * 5


@pytest.mark.usefixtures("dns")
async def test_a_process_out_of_threads_is_busy(
    resolver: PooledResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread limit of the system spends no attempt."""

    def fail_to_start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail_to_start)
        with pytest.raises(HostBusy):
            await address(resolver, "victim.test")
    assert await address(resolver, "victim.test") == "192.0.2.1"
