"""A request id that is used again after its row was gone: rows and records at the seams, and what a server tells."""

import uuid
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from consumer.indexer.lookup import look_up
from consumer.worker.pipeline import insert_image_once
from core.dynamodb.tables import ConditionNotMet, Tables
from core.model.image import ImageRecord, image_id_of, reused_image_id
from core.model.request import ImageRequest, State, new_request
from core.runtime.clock import now_ms
from core.search.document import document_of
from harness.counting_tables import CountingTables
from harness.lists import insert, listed, listed_images
from harness.outcomes import complete, fail, image_record
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Reused:
    """`request` is PENDING under the id of an earlier one, whose image `old` is there and whose row is gone."""

    tables: Tables
    old: ImageRecord
    request: ImageRequest

    @property
    def later(self) -> str:
        return reused_image_id(self.request.request_id, self.request.created_at)

    def record(self) -> ImageRecord:
        """What a consumer is about to record for it."""
        return image_record(self.request.request_id, self.request.customer_id)

    async def end(self, image_id: str, *, customer: str | None = None) -> None:
        statement = self.tables.statements.complete(
            self.request.request_id,
            1,
            customer_id=customer or self.request.customer_id,
            image_id=image_id,
            now=now_ms(),
        )
        await self.tables.write(statement)

    async def row(self) -> ImageRequest:
        row = await self.tables.read_request(self.request.request_id)
        assert row is not None
        return row


async def reused(tables: Tables, request_id: str, earlier: str, later: str) -> Reused:
    old = image_record(request_id, earlier, created_at=now_ms() - DAY_MS)
    await tables.write(tables.statements.insert_image(old))
    request = new_request(
        request_id=request_id, customer_id=later, url="https://b.example/2", labels={}, now=now_ms()
    )
    await tables.write(tables.statements.insert_request(request))
    return Reused(tables, old, request)


@pytest.fixture(params=["same", "another"])
def earlier(request: pytest.FixtureRequest, customer: str) -> str:
    """The customer who had the id before."""
    return customer if request.param == "same" else f"{customer}-earlier"


@pytest_asyncio.fixture
async def second(tables: Tables, customer: str, earlier: str) -> Reused:
    return await reused(tables, str(uuid.uuid4()), earlier, customer)


async def test_a_later_request_gets_an_image_of_its_own(second: Reused) -> None:
    """The earlier one's stays as it is; whoever comes second still adopts what is there."""
    mine = second.record()
    written = await insert_image_once(second.tables, mine)
    assert written == replace(mine, image_id=second.later)
    rival = replace(mine, s3_url="s3://bucket/images/bb/tag/b.jpg")
    assert await insert_image_once(second.tables, rival) == written
    assert await second.tables.read_image_by_id(second.old.image_id) == second.old
    assert await second.tables.read_image_of(second.request) == written


async def test_before_its_own_is_recorded_a_later_request_has_no_image(second: Reused) -> None:
    """So a worker that looks whether an earlier run recorded one fetches."""
    assert await second.tables.read_image_of(second.request) is None


async def test_of_two_workers_the_second_adopts_the_firsts(tables: Tables, customer: str) -> None:
    """As ever, where the id was not used before."""
    (request_id,) = await insert(tables, customer, [now_ms()])
    first = image_record(request_id, customer)
    assert await insert_image_once(tables, first) == first
    other = replace(first, s3_url="s3://bucket/images/bb/tag/b.jpg")
    assert await insert_image_once(tables, other) == first
    assert first.image_id == image_id_of(request_id)


async def test_a_message_that_outlived_its_row_ends_nothing(tables: Tables, customer: str) -> None:
    """Neither what it recorded nor how it failed is a later request's, of another customer."""
    second = await reused(tables, str(uuid.uuid4()), f"{customer}-earlier", customer)
    late = image_record(second.request.request_id, f"{customer}-earlier")
    with pytest.raises(ConditionNotMet):
        await insert_image_once(tables, late)
    with pytest.raises(ConditionNotMet):
        await second.end(late.image_id, customer=f"{customer}-earlier")
    with pytest.raises(ConditionNotMet):
        await fail(tables, second.request.request_id, customer=f"{customer}-earlier")
    assert (await second.row()).state is State.PENDING


async def test_without_a_row_nothing_is_recorded_a_second_time(second: Reused) -> None:
    """There is nothing that could be COMPLETED with it."""
    nobody = replace(second.record(), request_id=str(uuid.uuid4()))
    with pytest.raises(ConditionNotMet):
        await insert_image_once(second.tables, nobody)


async def test_each_customer_is_told_of_its_own_image(
    second: Reused, servers: ServerFactory, customer: str, earlier: str
) -> None:
    """By GetStatus and both lists, before the end and after it; the earlier image is still there for GetImage."""
    request_id = second.request.request_id
    async with servers.running(cached_requests=0) as server:
        assert await listed_images(server.stub, customer_id=customer) == []
        written = await insert_image_once(second.tables, second.record())
        await second.end(written.image_id)
        asked = pb.GetStatusRequest(request_id=request_id)
        status = (await server.stub.GetStatus(asked)).request
        assert (status.customer_id, status.image.image_id) == (customer, second.later)
        asked_list = pb.ListRequestsRequest(customer_id=customer)
        assert list((await server.stub.ListRequests(asked_list)).requests) == [status]
        assert await listed_images(server.stub, customer_id=customer) == [status.image]
        if earlier != customer:
            assert await listed(server.stub, customer_id=earlier) == []
            assert await listed_images(server.stub, customer_id=earlier) == []
        old = await server.stub.GetImage(pb.GetImageRequest(image_id=second.old.image_id))
        assert old.image.customer_id == earlier


async def test_an_event_leads_to_the_later_requests_image(second: Reused) -> None:
    """With the labels and the host of its row; and no event of the earlier one leads to them."""
    request_id = second.request.request_id
    assert await look_up(second.tables, [request_id]) == [document_of(second.old, None)]
    written = await insert_image_once(second.tables, second.record())
    await second.end(written.image_id)
    assert await look_up(second.tables, [request_id]) == [document_of(written, await second.row())]


async def test_an_image_that_another_customers_row_names_is_not_shown(
    tables: Tables, servers: ServerFactory, customer: str
) -> None:
    """As an earlier version wrote it, which adopted whatever was there."""
    second = await reused(tables, str(uuid.uuid4()), f"{customer}-earlier", customer)
    await second.end(second.old.image_id)
    assert await tables.read_image_of(await second.row()) is None
    async with servers.running() as server:
        assert await listed_images(server.stub, customer_id=customer) == []
        assert await listed(server.stub, customer_id=customer) == []


async def test_a_list_of_images_reads_each_image_and_nothing_else(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """Where no id was used before, the index's key tells that an image is the request's own."""
    ids = await insert(tables, customer, [now_ms()] * 5)
    for request_id in ids:
        await complete(tables, request_id, customer=customer)
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting) as server:
        images = await listed_images(server.stub, customer_id=customer)
    assert sorted(image.request_id for image in images) == sorted(ids)
    assert counting.reads == 5
