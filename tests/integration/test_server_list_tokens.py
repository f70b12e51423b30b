"""Page tokens of honest and malicious clients."""

from typing import Any

import pytest

from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from harness.grpc_client import expect_refusal
from harness.lists import at, insert, list_request_ids
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb
from server.listing.merge import FromTime
from server.listing.page_token import encode
from server.listing.query import Kind, ListQuery

FIRST = 1_700_000_000_000


async def test_a_token_is_invalid_for_another_customer(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """It is rejected; and a token forged for the own list gives access to nothing else."""
    other = f"{customer}-other"
    theirs = await insert(tables, other, range(FIRST, FIRST + 20))
    ours = await insert(tables, customer, range(FIRST, FIRST + 20))
    async with servers.running() as server:
        message = pb.ListRequestsRequest(customer_id=other, page_size=5)
        page = await server.stub.ListRequests(message)
        stolen = pb.ListRequestsRequest(customer_id=customer, page_token=page.next_page_token)
        refusal = await expect_refusal(server.stub.ListRequests(stolen))
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("page_token",))
        for positions in ([FromTime(FIRST + 9)] * 8, [FromTime(FIRST + 9)] * 200):
            forged = encode(ListQuery(Kind.REQUESTS, customer), positions)
            listed_ids = await list_request_ids(
                server.stub, customer_id=customer, page_token=forged
            )
            assert listed_ids == ours[:10][::-1]
            assert not set(listed_ids) & set(theirs)


async def test_a_token_belongs_to_its_fields(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """Only the page size may change between two pages."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 10))
    async with servers.running() as server:
        query: dict[str, Any] = {"customer_id": customer}
        page = await server.stub.ListRequests(pb.ListRequestsRequest(**query, page_size=2))
        query["page_token"] = page.next_page_token
        assert await list_request_ids(server.stub, **query, page_size=3) == ids[7::-1]
        changes: list[dict[str, Any]] = [
            {"state": pb.STATE_PENDING},
            {"created_after": at(FIRST)},
            {"created_before": at(FIRST + 100)},
        ]
        for change in changes:
            changed = pb.ListRequestsRequest(**query, **change)
            refusal = await expect_refusal(server.stub.ListRequests(changed))
            assert refusal.fields == ("page_token",)


@pytest.mark.parametrize(("before", "after"), [(2, 8), (8, 2)])
async def test_servers_with_different_numbers_of_shards(
    servers: ServerFactory, tables: Tables, customer: str, before: int, after: int
) -> None:
    """A list continues at a server with more or fewer shards, for example while CUSTOMER_SHARDS is raised."""
    old, new = (
        Statements(servers.stack.requests_table, servers.stack.images_table, shards=shards)
        for shards in (before, after)
    )
    ids = await insert(tables, customer, range(FIRST, FIRST + 20), old)
    ids += await insert(tables, customer, range(FIRST + 10, FIRST + 30), new)
    message = pb.ListRequestsRequest(customer_id=customer, page_size=5)
    async with servers.running(customer_shards=before) as server:
        page = await server.stub.ListRequests(message)
    listed_ids = [request.request_id for request in page.requests]
    token = page.next_page_token
    async with servers.running(customer_shards=after) as server:
        listed_ids += await list_request_ids(
            server.stub, customer_id=customer, page_size=5, page_token=token
        )
    assert sorted(listed_ids) == sorted(ids)
