"""Lists of requests and images from a client's view."""

import asyncio
import uuid
from typing import Any

import grpc
import pytest
from aiobotocore.session import get_session

from core.dynamodb.index_query import Index, IndexPage, TimeRange
from core.dynamodb.schema import new_request_item
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable
from core.model.image import image_id_of
from core.model.request import new_request
from harness.aws import RecordingAws
from harness.grpc_client import expect_refusal
from harness.lists import at, insert, list_images, list_request_ids, request_pages
from harness.outcomes import complete, fail, image_record
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb

FIRST = 1_700_000_000_000


class BlockingTables(Tables):
    """Queries wait until they are released."""

    def hold(self) -> None:
        self.started = asyncio.Event()
        self.released = asyncio.Event()

    async def query(self, index: Index, shard: str, times: TimeRange, **options: Any) -> IndexPage:
        self.started.set()
        await self.released.wait()
        return await super().query(index, shard, times, **options)


class UnavailableTables(Tables):
    """Its index does not answer."""

    async def query(self, index: Index, shard: str, times: TimeRange, **options: Any) -> IndexPage:
        raise DependencyUnavailable(f"{index} {shard} {times} {options}")


async def test_a_customer_without_requests_has_an_empty_list(
    servers: ServerFactory, customer: str
) -> None:
    """No error and no token; also with a time range or a state, or a range before all times."""
    queries: list[dict[str, Any]] = [
        {},
        {"state": pb.STATE_FAILED},
        {"created_after": at(FIRST)},
        {"created_before": at(-FIRST)},
    ]
    async with servers.running() as server:
        for fields in queries:
            request = pb.ListRequestsRequest(customer_id=customer, **fields)
            assert await server.stub.ListRequests(request) == pb.ListRequestsResponse()
        request_ = pb.ListImagesRequest(customer_id=customer)
        assert await server.stub.ListImages(request_) == pb.ListImagesResponse()


async def test_an_invalid_field_is_named(servers: ServerFactory) -> None:
    """INVALID_ARGUMENT contains the invalid fields, for both calls."""
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    async with servers.running() as server:
        requests = pb.ListRequestsRequest(customer_id="a b", page_size=-1)
        refusal = await expect_refusal(server.stub.ListRequests(requests))
        assert (refusal.code, refusal.reason) == invalid
        assert refusal.fields == ("customer_id", "page_size")
        images = pb.ListImagesRequest(customer_id="acme", page_token="x")
        refusal = await expect_refusal(server.stub.ListImages(images))
        assert (refusal.code, refusal.reason, refusal.fields) == (*invalid, ("page_token",))
        refusal = await expect_refusal(server.stub.GetImage(pb.GetImageRequest(image_id="x")))
        assert (refusal.code, refusal.reason, refusal.fields) == (*invalid, ("image_id",))


@pytest.mark.parametrize("size", [1, 7, 25, 1_000])
async def test_pages_list_each_request_once_newest_first(
    servers: ServerFactory, tables: Tables, customer: str, size: int
) -> None:
    """For any page size; no page is larger, and only the last one has no token."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 25))
    await insert(tables, f"{customer}2", range(FIRST, FIRST + 5))
    async with servers.running() as server:
        reader = request_pages(server.stub, customer_id=customer, page_size=size)
        pages = [page async for page in reader]
    assert [r.request_id for page in pages for r in page.requests] == ids[::-1]
    assert max(len(page.requests) for page in pages) == min(size, 25)


async def test_requests_of_one_millisecond_are_listed_once(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """With equal times no request is repeated or missing."""
    ids = await insert(tables, customer, [FIRST] * 30)
    async with servers.running() as server:
        listed_ids = await list_request_ids(server.stub, customer_id=customer, page_size=4)
    assert sorted(listed_ids) == sorted(ids)


async def test_a_time_range(servers: ServerFactory, tables: Tables, customer: str) -> None:
    """From `created_after`, included, to `created_before`, excluded, over all pages."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 20))
    async with servers.running() as server:
        listed_ids = await list_request_ids(
            server.stub,
            customer_id=customer,
            created_after=at(FIRST + 5),
            created_before=at(FIRST + 15),
            page_size=3,
        )
    assert listed_ids == ids[5:15][::-1]


async def test_states_and_images(servers: ServerFactory, tables: Tables, customer: str) -> None:
    """A listed request equals that of GetStatus, filtered by state if one is given; images are listed if they exist."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 12))
    for request_id in ids[:4]:
        await complete(tables, request_id, customer=customer)
    for request_id in ids[4:7]:
        await fail(tables, request_id, customer=customer)
    async with servers.running() as server:
        for state, expected in (
            (pb.STATE_UNSPECIFIED, ids),
            (pb.STATE_COMPLETED, ids[:4]),
            (pb.STATE_FAILED, ids[4:7]),
            (pb.STATE_PENDING, ids[7:]),
        ):
            reader = request_pages(server.stub, customer_id=customer, state=state, page_size=2)
            requests = [request async for page in reader for request in page.requests]
            assert sorted(r.request_id for r in requests) == sorted(expected)
            for request in requests:
                message = pb.GetStatusRequest(request_id=request.request_id)
                assert (await server.stub.GetStatus(message)).request == request
        images = await list_images(server.stub, customer_id=customer, page_size=2)
        assert [image.request_id for image in images] == ids[:4][::-1]
        for image in images:
            got = await server.stub.GetImage(pb.GetImageRequest(image_id=image.image_id))
            assert (got.image, image.customer_id) == (image, customer)


async def test_an_unknown_image_is_not_found(servers: ServerFactory, tables: Tables) -> None:
    """NOT_FOUND has its own reason; ids are case-insensitive."""
    request_id = str(uuid.uuid4())
    message = pb.GetImageRequest(image_id=image_id_of(request_id).upper())
    async with servers.running() as server:
        refusal = await expect_refusal(server.stub.GetImage(message))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "IMAGE_NOT_FOUND")
        await tables.write(tables.statements.insert_image(image_record(request_id)))
        assert (await server.stub.GetImage(message)).image.request_id == request_id


async def test_the_newest_failure_comes_first(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """Failures are ordered by the time of the failure, and can be filtered by the creation time."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 8))
    for request_id in (order := [ids[number] for number in (3, 0, 7, 5)]):
        await fail(tables, request_id, customer=customer)
    query: dict[str, Any] = {"customer_id": customer, "state": pb.STATE_FAILED, "page_size": 1}
    async with servers.running() as server:
        requests = [r async for page in request_pages(server.stub, **query) for r in page.requests]
        failed_at = [request.update_time.ToNanoseconds() for request in requests]
        assert failed_at == sorted(failed_at, reverse=True)
        assert sorted(request.request_id for request in requests) == sorted(order)
        listed_ids = await list_request_ids(server.stub, **query, created_after=at(FIRST + 4))
        assert sorted(listed_ids) == sorted([ids[5], ids[7]])


async def test_a_reopened_request_leaves_the_list_of_failures(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """Also between two pages, and the list continues; after the next failure it is listed again."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 20))
    await asyncio.gather(*(fail(tables, each, customer=customer) for each in ids))
    query: dict[str, Any] = {"customer_id": customer, "state": pb.STATE_FAILED}
    async with servers.running() as server:
        listed_ids: list[str] = []
        async for page in request_pages(server.stub, **query, page_size=3):
            listed_ids += [request.request_id for request in page.requests]
            for request in page.requests:
                await tables.reopen(request.request_id, 2, now=FIRST + 1_000)
        assert sorted(listed_ids) == sorted(ids)
        assert await list_request_ids(server.stub, **query) == []
        await fail(tables, ids[0], 3, customer=customer)
        assert await list_request_ids(server.stub, **query) == [ids[0]]


async def test_a_malformed_row_is_left_out(
    servers: ServerFactory, tables: Tables, embedded_aws: RecordingAws, customer: str
) -> None:
    """A malformed row, or a request whose image is lost, does not end a customer's list."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 3))
    lost = await insert(tables, customer, [FIRST])
    completed = tables.statements.complete(
        lost[0], 1, customer_id=customer, image_id="gone", now=FIRST
    )
    await tables.write(completed)
    name = str(uuid.uuid4())
    broken = new_request(request_id=name, customer_id=customer, url="u", labels={}, now=FIRST)
    item = {**new_request_item(broken, shards=8), "status": {"S": "LATER"}}
    async with get_session().create_client("dynamodb", **embedded_aws.sdk()) as dynamodb:
        await dynamodb.put_item(TableName=tables.statements.requests_table, Item=item)
    async with servers.running() as server:
        assert await list_request_ids(server.stub, customer_id=customer) == ids[::-1]


async def test_concurrent_lists_are_bounded(servers: ServerFactory, customer: str) -> None:
    """Beyond MAX_LISTINGS a call is rejected with a retry delay; after an answer there is capacity again."""
    blocking = servers.tables(BlockingTables)
    blocking.hold()
    message = pb.ListRequestsRequest(customer_id=customer)
    async with servers.running(tables=blocking, max_listings=1) as server:
        first = asyncio.ensure_future(server.stub.ListRequests(message))
        await blocking.started.wait()
        refusal = await expect_refusal(
            server.stub.ListImages(pb.ListImagesRequest(customer_id=customer))
        )
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "OVERLOADED",
        )
        assert refusal.retry_after is not None
        blocking.released.set()
        assert await first == await server.stub.ListRequests(message)


async def test_an_index_that_is_down_is_unavailable(servers: ServerFactory, customer: str) -> None:
    """The caller gets a retry delay."""
    async with servers.running(tables=servers.tables(UnavailableTables)) as server:
        refusal = await expect_refusal(
            server.stub.ListRequests(pb.ListRequestsRequest(customer_id=customer))
        )
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "DEPENDENCY_UNAVAILABLE",
    )
