"""Pagination through long lists while requests are inserted, with real processes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import cycle

import pytest

from core.dynamodb.tables import Tables
from core.runtime.clock import now_ms
from harness.aws import RecordingAws
from harness.command import imageservice
from harness.lists import insert, list_images, list_request_ids, request_pages
from harness.outcomes import complete, fail
from harness.system import System, system
from harness.tables import tables_of
from imageservice.v1 import image_service_pb2 as pb

CUSTOMERS = [f"customer-{number}" for number in range(5)]
REQUESTS = 300
"""Requests of each customer, ten in each millisecond."""
PAGE_SIZES = (33, 50, 77, 150, 300)
COMMAND_LISTS = 3


@dataclass(frozen=True, slots=True)
class Lists:
    running: System
    tables: Tables


@pytest.fixture
async def lists(embedded_aws: RecordingAws) -> AsyncIterator[Lists]:
    """A server, and its tables opened by the test."""
    async with system(embedded_aws) as running:
        await running.start_server()
        async with tables_of(embedded_aws.environment("tests"), running.stack) as tables:
            yield Lists(running, tables)


async def test_pages_list_each_request_once_while_others_are_inserted(lists: Lists) -> None:
    """Several customers at a time, with different page sizes. No customer sees the requests of another one."""
    start = now_ms()
    ids = {
        customer: await insert(
            lists.tables, customer, (start - 1_000 + at // 10 for at in range(REQUESTS))
        )
        for customer in CUSTOMERS
    }
    inserted: dict[str, list[str]] = {customer: [] for customer in CUSTOMERS}
    all_have_new, over = asyncio.Event(), asyncio.Event()

    async def write_on() -> None:
        for customer in cycle(CUSTOMERS):
            inserted[customer] += await insert(lists.tables, customer, [now_ms()] * 10)
            if all(inserted.values()):
                all_have_new.set()
            if over.is_set():
                return

    async def walked_by(customer: str, size: int) -> list[str]:
        ids: list[str] = []
        async with lists.running.stub() as stub:
            async for page in request_pages(stub, customer_id=customer, page_size=size):
                ids += [request.request_id for request in page.requests]
                # Each customer gets a new request before its second page.
                await all_have_new.wait()
        return ids

    async with asyncio.TaskGroup() as group:
        group.create_task(write_on())
        walks = await asyncio.gather(*map(walked_by, CUSTOMERS, PAGE_SIZES))
        over.set()
    for customer, walked in zip(CUSTOMERS, walks, strict=True):
        assert len(walked) == len(set(walked)), "a request is listed twice"
        assert set(ids[customer]) <= set(walked) <= {*ids[customer], *inserted[customer]}


async def test_the_list_of_failed_requests_follows_their_state(lists: Lists) -> None:
    """A reopened request leaves the list. A request that fails again is first in it."""
    customer = f"customer-{uuid.uuid4()}"
    ids = await insert(lists.tables, customer, [now_ms()] * 300)
    failed, reopened = ids[:200], ids[:50]
    for request_id in ids[200:220]:
        await complete(lists.tables, request_id, customer=customer)
    await asyncio.gather(*(fail(lists.tables, each, customer=customer) for each in failed))

    async def failures() -> list[str]:
        async with lists.running.stub() as stub:
            return await list_request_ids(
                stub, customer_id=customer, state=pb.STATE_FAILED, page_size=30
            )

    assert sorted(await failures()) == sorted(failed)
    for request_id in reopened:
        await lists.tables.reopen(request_id, 2, now=now_ms())
    assert sorted(await failures()) == sorted(failed[50:])
    await fail(lists.tables, reopened[0], 3, customer=customer)
    assert (await failures())[0] == reopened[0]
    async with lists.running.stub() as stub:
        images = await list_images(stub, customer_id=customer, page_size=7)
    assert sorted(image.request_id for image in images) == sorted(ids[200:220])


async def test_the_command_lists(lists: Lists) -> None:
    """Newest first, up to a limit, by state and time; an image by its id."""
    customer, start = f"customer-{uuid.uuid4()}", now_ms()
    ids = await insert(lists.tables, customer, range(start - 9, start + 1))
    await complete(lists.tables, ids[4], customer=customer)
    address = lists.running.address
    options = ["list", "--customer", customer]
    ran = await imageservice(*options, address=address)
    assert [line.split()[1] for line in ran.out.splitlines()] == ids[::-1]
    assert (ran.code, ran.err) == (0, "")
    ran = await imageservice(*options, "--limit", str(COMMAND_LISTS), "--json", address=address)
    assert [each["request_id"] for each in ran.objects] == ids[: -COMMAND_LISTS - 1 : -1]
    ran = await imageservice(*options, "--state", "completed", "--json", address=address)
    [completed] = ran.objects
    assert completed["request_id"] == ids[4]
    ran = await imageservice(*options, "--before", "2020-01-01", address=address)
    assert (ran.code, ran.out) == (0, "")
    ran = await imageservice("image", completed["image_id"], "--json", address=address)
    [image] = ran.objects
    assert (image["request_id"], image["public_url"]) == (ids[4], completed["public_url"])
    ran = await imageservice("image", ids[0], address=address)
    assert (ran.code, ran.err.startswith("imageservice: IMAGE_NOT_FOUND: ")) == (1, True)
