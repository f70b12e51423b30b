"""A request id that is reused after its row has expired: rows, image records and the server's responses."""

import asyncio
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
from harness.lists import insert, list_images, list_request_ids
from harness.outcomes import complete, fail, image_record
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Reused:
    """`request` is PENDING. An expired request had the same id, and its image `old` still exists."""

    tables: Tables
    old: ImageRecord
    request: ImageRequest

    @property
    def later_image_id(self) -> str:
        return reused_image_id(self.request.request_id, self.request.created_at)

    def record(self) -> ImageRecord:
        """Return the image record that a consumer is about to insert for `request`."""
        return image_record(
            self.request.request_id,
            self.request.customer_id,
            request_created_at=self.request.created_at,
        )

    async def complete(self, image_id: str, *, customer: str | None = None) -> None:
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


async def reused(
    tables: Tables, request_id: str, earlier: str, later: str, *, earlier_created_at: int = 0
) -> Reused:
    """`earlier_created_at` is in the record of the expired request; earlier versions wrote none."""
    old = image_record(
        request_id,
        earlier,
        created_at=now_ms() - DAY_MS,
        request_created_at=earlier_created_at,
    )
    await tables.write(tables.statements.insert_image(old))
    request = new_request(
        request_id=request_id, customer_id=later, url="https://b.example/2", labels={}, now=now_ms()
    )
    await tables.write(tables.statements.insert_request(request))
    return Reused(tables, old, request)


@pytest.fixture(params=["same", "another"])
def earlier(request: pytest.FixtureRequest, customer: str) -> str:
    """The customer of the expired request."""
    return customer if request.param == "same" else f"{customer}-earlier"


@pytest.fixture(params=["this version", "earlier version"])
def earlier_created_at(request: pytest.FixtureRequest) -> int:
    return now_ms() - DAY_MS if request.param == "this version" else 0


@pytest_asyncio.fixture
async def second(tables: Tables, customer: str, earlier: str, earlier_created_at: int) -> Reused:
    return await reused(
        tables, str(uuid.uuid4()), earlier, customer, earlier_created_at=earlier_created_at
    )


async def test_a_later_request_gets_its_own_image(second: Reused) -> None:
    """The earlier image does not change. A second worker of the later request adopts its image."""
    record = second.record()
    written = await insert_image_once(second.tables, record)
    assert written == replace(record, image_id=second.later_image_id)
    other = replace(record, s3_url="s3://bucket/images/bb/tag/b.jpg")
    assert await insert_image_once(second.tables, other) == written
    assert await second.tables.read_image_by_id(second.old.image_id) == second.old
    assert await second.tables.read_image_of(second.request) == written


async def test_a_later_request_has_no_image_before_its_own_is_inserted(second: Reused) -> None:
    """So a worker that looks for the image of an earlier run finds none, and fetches."""
    assert await second.tables.read_image_of(second.request) is None


async def test_the_second_of_two_workers_adopts_the_first_image(
    tables: Tables, customer: str
) -> None:
    """The normal case: the id was not used before, and the image id derives from it."""
    (request_id,) = await insert(tables, customer, [now_ms()])
    first = image_record(request_id, customer)
    assert await insert_image_once(tables, first) == first
    other = replace(first, s3_url="s3://bucket/images/bb/tag/b.jpg")
    assert await insert_image_once(tables, other) == first
    assert first.image_id == image_id_of(request_id)


async def test_a_message_of_an_expired_request_changes_no_later_request(
    tables: Tables, customer: str
) -> None:
    """The image or failure of the old message is not written to the other customer's request."""
    second = await reused(tables, str(uuid.uuid4()), f"{customer}-earlier", customer)
    late = image_record(second.request.request_id, f"{customer}-earlier")
    with pytest.raises(ConditionNotMet):
        await insert_image_once(tables, late)
    with pytest.raises(ConditionNotMet):
        await second.complete(late.image_id, customer=f"{customer}-earlier")
    with pytest.raises(ConditionNotMet):
        await fail(tables, second.request.request_id, customer=f"{customer}-earlier")
    assert (await second.row()).state is State.PENDING


async def test_an_existing_image_id_without_a_request_row_is_rejected(second: Reused) -> None:
    """No request exists that could be COMPLETED with the image."""
    rowless = replace(second.record(), request_id=str(uuid.uuid4()))
    with pytest.raises(ConditionNotMet):
        await insert_image_once(second.tables, rowless)


async def test_each_customer_gets_only_its_own_image(
    second: Reused, servers: ServerFactory, customer: str, earlier: str
) -> None:
    """GetStatus and both lists agree, before and after completion. GetImage still returns the earlier image."""
    request_id = second.request.request_id
    async with servers.running(cached_requests=0) as server:
        assert await list_images(server.stub, customer_id=customer) == []
        written = await insert_image_once(second.tables, second.record())
        await second.complete(written.image_id)
        get_status = pb.GetStatusRequest(request_id=request_id)
        status = (await server.stub.GetStatus(get_status)).request
        assert (status.customer_id, status.image.image_id) == (customer, second.later_image_id)
        list_requests = pb.ListRequestsRequest(customer_id=customer)
        assert list((await server.stub.ListRequests(list_requests)).requests) == [status]
        assert await list_images(server.stub, customer_id=customer) == [status.image]
        if earlier != customer:
            assert await list_request_ids(server.stub, customer_id=earlier) == []
            assert await list_images(server.stub, customer_id=earlier) == []
        old = await server.stub.GetImage(pb.GetImageRequest(image_id=second.old.image_id))
        assert old.image.customer_id == earlier


async def test_an_event_is_resolved_to_the_image_of_the_later_request(second: Reused) -> None:
    """The document has labels and host of the later row. An earlier event does not get them."""
    request_id = second.request.request_id
    assert await look_up(second.tables, [request_id]) == [document_of(second.old, None)]
    written = await insert_image_once(second.tables, second.record())
    await second.complete(written.image_id)
    assert await look_up(second.tables, [request_id]) == [document_of(written, await second.row())]


async def test_an_image_of_another_customer_is_not_shown(
    tables: Tables, servers: ServerFactory, customer: str
) -> None:
    """An earlier version could write such a row: it adopted an existing image without a check."""
    second = await reused(tables, str(uuid.uuid4()), f"{customer}-earlier", customer)
    await second.complete(second.old.image_id)
    assert await tables.read_image_of(await second.row()) is None
    async with servers.running() as server:
        assert await list_images(server.stub, customer_id=customer) == []
        assert await list_request_ids(server.stub, customer_id=customer) == []


async def test_an_image_and_its_row_are_read_in_two_calls(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """Only the image's row has the id of the request."""
    (request_id,) = await insert(tables, customer, [now_ms()])
    await complete(tables, request_id, customer=customer)
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting) as server:
        await server.stub.GetImage(pb.GetImageRequest(image_id=image_id_of(request_id)))
    assert (counting.reads, counting.read_calls) == (2, 2)


async def test_a_list_of_images_reads_each_image_and_row_once_in_one_call(
    servers: ServerFactory, tables: Tables, customer: str
) -> None:
    """The row decides whether the image is published. Two rows for each key, 100 in a call."""
    ids = await insert(tables, customer, [now_ms()] * 50)
    await asyncio.gather(*(complete(tables, each, customer=customer) for each in ids))
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting) as server:
        images = await list_images(server.stub, customer_id=customer)
    assert sorted(image.request_id for image in images) == sorted(ids)
    assert (counting.reads, counting.read_calls) == (100, 1)
