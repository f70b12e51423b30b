"""The items of the million, and when they are sent."""

import asyncio
import time
import uuid
from collections import Counter

import pytest

from loadtest.million.items import Items, TooFewCustomers
from loadtest.million.ledger import Ledger
from loadtest.million.scheduler import Scheduler
from loadtest.run_report.schedule import Schedule

ORIGINS = ("http://127.0.0.1:1", "http://127.0.0.2:1", "http://127.0.0.3:1")
RUN = "0123456789abcdef01"


def items(total: int = 1_000, bodies: int = 100, customers: int = 10) -> Items:
    return Items(total, bodies, customers, ORIGINS, RUN)


@pytest.mark.parametrize(
    ("total", "bodies", "customers"),
    [(1_000, 100, 10), (1_000, 100, 37), (995, 100, 100), (5, 5, 1)],
)
def test_no_customer_submits_a_body_twice(total: int, bodies: int, customers: int) -> None:
    """Otherwise the second upload would overwrite the first."""
    some = items(total, bodies, customers)
    assert len({(some.url(n), some.customer(n)) for n in range(total)}) == total
    assert len({some.url(n) for n in range(total)}) == bodies


def test_all_formats_origins_and_customers_are_used() -> None:
    some = items()
    urls = [some.url(n) for n in range(some.total)]
    assert {url.rpartition(".")[2] for url in urls} == {"jpg", "png", "webp", "gif"}
    assert {url.partition("/generated")[0] for url in urls} == set(ORIGINS)
    by_customer = Counter(some.customer(n) for n in range(some.total))
    assert len(by_customer) == 10
    assert set(by_customer.values()) == {100}


def test_too_few_customers_are_refused() -> None:
    with pytest.raises(TooFewCustomers, match="10 submits of each body"):
        items(customers=9)


def test_an_id_is_a_uuid_that_contains_the_item_number() -> None:
    some = items()
    ids = [some.request_id(n) for n in range(some.total)]
    assert [str(uuid.UUID(one)) for one in ids] == ids
    assert {uuid.UUID(one).version for one in ids} == {4}
    assert [some.number(one) for one in ids] == list(range(some.total))


@pytest.mark.parametrize(
    "request_id",
    ["0f8fad5b-d9cb-469f-a165-70867728950e", items(total=2_000, bodies=200).request_id(1_000), ""],
)
def test_an_id_of_another_run_has_no_number(request_id: str) -> None:
    assert items().number(request_id) is None


async def drain(scheduler: Scheduler) -> list[int | None]:
    """Take all items that are available without waiting."""
    taken: list[int | None] = []
    for _ in range(200):
        await asyncio.sleep(0)
        if scheduler.queued:
            taken.append(await scheduler.next_item())
    return taken


async def test_at_most_a_window_of_items_is_unfinished() -> None:
    scheduler = Scheduler(Ledger(100), 100, window=5)
    feeding = asyncio.create_task(scheduler.feed(None))
    assert await drain(scheduler) == [0, 1, 2, 3, 4]
    scheduler.release_slot()
    scheduler.release_slot()
    assert await drain(scheduler) == [5, 6]
    feeding.cancel()


async def test_an_open_loop_ignores_the_window() -> None:
    """Overdue items are sent at once, and their latency counts from the intended time."""
    ledger = Ledger(50)
    start = time.monotonic() - 10
    scheduler = Scheduler(ledger, 50, window=1)
    feeding = asyncio.create_task(scheduler.feed(Schedule(start, rate=100.0)))
    assert await drain(scheduler) == list(range(50))
    assert ledger.started(40) == pytest.approx(start + 0.4)
    await feeding


async def test_senders_end_once_all_items_are_answered() -> None:
    ledger = Ledger(2)
    scheduler = Scheduler(ledger, 2, window=2)
    await scheduler.feed(None)
    assert await drain(scheduler) == [0, 1]
    senders = [asyncio.create_task(scheduler.next_item()) for _ in range(3)]
    ledger.acknowledge(0)
    scheduler.item_answered()
    scheduler.retry(1, 0)
    assert await asyncio.wait_for(_first(senders), 5) == 1
    ledger.reject(1)
    scheduler.item_answered()
    assert Counter(await asyncio.gather(*senders)) == {None: 2, 1: 1}
    assert await scheduler.next_item() is None


async def _first(senders: list[asyncio.Task[int | None]]) -> int | None:
    done, _ = await asyncio.wait(senders, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()
