"""Page tokens, as honest and other clients use them."""

from typing import Any

import pytest

from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from harness.grpc_client import refused
from harness.lists import at, insert, listed
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb
from server.listing.merge import FromTime
from server.listing.page_token import encode
from server.listing.query import Kind, ListQuery

FIRST = 1_700_000_000_000


async def test_a_token_is_of_no_use_to_another_customer(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """It is refused; and one that is forged for the own list leads nowhere else."""
    other = f"{customer}-other"
    theirs = await insert(tables, other, range(FIRST, FIRST + 20))
    ours = await insert(tables, customer, range(FIRST, FIRST + 20))
    async with servers.running() as server:
        asked = pb.ListRequestsRequest(customer_id=other, page_size=5)
        page = await server.stub.ListRequests(asked)
        stolen = pb.ListRequestsRequest(customer_id=customer, page_token=page.next_page_token)
        refusal = await refused(server.stub.ListRequests(stolen))
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("page_token",))
        for positions in ([FromTime(FIRST + 9)] * 8, [FromTime(FIRST + 9)] * 200):
            forged = encode(ListQuery(Kind.REQUESTS, customer), positions)
            walked = await listed(server.stub, customer_id=customer, page_token=forged)
            assert walked == ours[:10][::-1]
            assert not set(walked) & set(theirs)


async def test_a_token_belongs_to_its_fields(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """Only the page's size may change between two pages."""
    ids = await insert(tables, customer, range(FIRST, FIRST + 10))
    async with servers.running() as server:
        asked: dict[str, Any] = {"customer_id": customer}
        page = await server.stub.ListRequests(pb.ListRequestsRequest(**asked, page_size=2))
        asked["page_token"] = page.next_page_token
        assert await listed(server.stub, **asked, page_size=3) == ids[7::-1]
        changes: list[dict[str, Any]] = [
            {"state": pb.STATE_PENDING},
            {"created_after": at(FIRST)},
            {"created_before": at(FIRST + 100)},
        ]
        for change in changes:
            changed = pb.ListRequestsRequest(**asked, **change)
            refusal = await refused(server.stub.ListRequests(changed))
            assert refusal.fields == ("page_token",)


@pytest.mark.parametrize(("before", "after"), [(2, 8), (8, 2)])
async def test_servers_that_know_another_number_of_shards(
    servers: ServerFactory, tables: Tables, customer: str, before: int, after: int
) -> None:
    """A walk goes on at a server with more shards, or with fewer, as while CUSTOMER_SHARDS is being raised."""
    old, new = (
        Statements(servers.stack.requests_table, servers.stack.images_table, shards=shards)
        for shards in (before, after)
    )
    ids = await insert(tables, customer, range(FIRST, FIRST + 20), old)
    ids += await insert(tables, customer, range(FIRST + 10, FIRST + 30), new)
    asked = pb.ListRequestsRequest(customer_id=customer, page_size=5)
    async with servers.running(customer_shards=before) as server:
        page = await server.stub.ListRequests(asked)
    walked = [request.request_id for request in page.requests]
    token = page.next_page_token
    async with servers.running(customer_shards=after) as server:
        walked += await listed(server.stub, customer_id=customer, page_size=5, page_token=token)
    assert sorted(walked) == sorted(ids)
