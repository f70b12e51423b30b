"""Searches with a wrong index, with the engine or the tables down, at the limit, and during a drain."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiobotocore.session import get_session
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable
from core.model.image import ImageRecord
from core.search.document import document_of
from harness.aws import RecordingAws
from harness.grpc_client import connect, expect_refusal, refusal, submit_request
from harness.index_fixture import Index, index, search_image_ids, search_pages, search_url
from harness.lists import list_images, list_request_ids
from harness.outcomes import image_record
from harness.reserved_port import closed_port
from harness.running_server import ServerFactory
from harness.search_engines import Engine
from imageservice.v1 import image_service_pb2 as pb
from server.app import SERVICE

FIRST = 1_700_000_000_000


class BlockingTables(Tables):
    """Reads of images wait until they are released."""

    def hold(self) -> None:
        self.started = asyncio.Event()
        self.released = asyncio.Event()

    async def read_image_by_id(self, image_id: str) -> ImageRecord | None:
        self.started.set()
        await self.released.wait()
        return await super().read_image_by_id(image_id)


class UnavailableTables(Tables):
    """Its table of images does not answer."""

    async def read_image_by_id(self, image_id: str) -> ImageRecord | None:
        raise DependencyUnavailable(image_id)


async def unready(port: int) -> None:
    """Wait until the server reports that it is not ready."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        message = health_pb2.HealthCheckRequest(service=SERVICE)
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(message, timeout=30):
            if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                return


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A port that accepts connections and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def away(tmp_path: Path, silent_port: int) -> Iterator[dict[str, str]]:
    """Search URLs without a working engine, by kind."""
    with closed_port() as port:
        yield {
            "opensearch": f"http://127.0.0.1:{port}",
            "silent": f"http://127.0.0.1:{silent_port}",
            "sqlite": search_url(tmp_path / "missing"),
        }


@pytest.fixture
def own_index(engine: Engine, tables: Tables) -> Index:
    settings = engine.settings.model_dump(
        include={"search_url", "search_index", "search_timeout_s"}
    )
    return Index(settings, engine.writer, tables)


async def test_a_wrong_index_exposes_no_image_of_another_customer(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """The owner of an image comes from the table; a difference is logged."""
    ours = await own_index.add(customer, created_at=FIRST)
    theirs = image_record(str(uuid.uuid4()), f"{customer}-other")
    await own_index.tables.write(own_index.tables.statements.insert_image(theirs))
    await own_index.write(replace(document_of(theirs, None), customer_id=customer))
    async with servers.running(**own_index.settings) as server:
        with capture_logs() as logs:
            answer = await server.stub.SearchImages(pb.SearchImagesRequest(customer_id=customer))
    assert [image.image_id for image in answer.images] == [ours.image_id]
    errors = [line for line in logs if line["log_level"] == "error"]
    assert [line["id"] for line in errors] == [theirs.image_id]


async def test_missing_and_malformed_images_are_left_out(
    servers: ServerFactory, own_index: Index, embedded_aws: RecordingAws, customer: str
) -> None:
    """A missing or malformed image makes a page shorter, and the search continues after it."""
    records = [await own_index.add(customer, created_at=FIRST + n) for n in range(4)]
    keys = [{"imageId": {"S": record.image_id}} for record in records]
    table = own_index.tables.statements.images_table
    async with get_session().create_client("dynamodb", **embedded_aws.sdk()) as dynamodb:
        await dynamodb.delete_item(TableName=table, Key=keys[2])
        await dynamodb.put_item(TableName=table, Item=keys[1])
    async with servers.running(**own_index.settings) as server:
        reader = search_pages(server.stub, customer_id=customer, page_size=1)
        pages = [[image.image_id for image in page.images] async for page in reader]
    assert pages == [[records[3].image_id], [], [], [records[0].image_id]]


@pytest.mark.parametrize("settings", [{}, {"search_url": ""}], ids=["unset", "empty"])
async def test_search_is_unimplemented_without_an_engine(
    servers: ServerFactory, customer: str, settings: dict[str, Any]
) -> None:
    """UNIMPLEMENTED, which clients do not retry; all other calls work."""
    async with servers.running(**settings) as server:
        refusal = await expect_refusal(
            server.stub.SearchImages(pb.SearchImagesRequest(customer_id=customer))
        )
        assert await list_request_ids(server.stub, customer_id=customer) == []
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "SEARCH_NOT_CONFIGURED",
    )
    assert refusal.retry_after is None


@pytest.mark.parametrize("kind", ["opensearch", "silent", "sqlite"])
async def test_an_engine_that_is_down_affects_only_searches(
    servers: ServerFactory, away: dict[str, str], customer: str, kind: str
) -> None:
    """Searches get a retry delay; the server is ready and answers every other call."""
    message = pb.SearchImagesRequest(customer_id=customer)
    async with servers.running(search_url=away[kind], search_timeout_s=0.2) as server:
        for _ in range(20):
            refusal = await expect_refusal(server.stub.SearchImages(message))
            assert (refusal.code, refusal.reason) == (
                grpc.StatusCode.UNAVAILABLE,
                "SEARCH_UNAVAILABLE",
            )
            assert refusal.retry_after is not None
        request_id = str(uuid.uuid4())
        await server.stub.SubmitImage(submit_request(request_id))
        status = await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
        assert status.request.state == pb.STATE_PENDING
        assert await list_images(server.stub, customer_id=customer) == []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=SERVICE)
            )
        assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_engine_that_recovers_is_used(
    servers: ServerFactory, tables: Tables, tmp_path: Path, customer: str
) -> None:
    """Without a restart; an outage is logged at its start and at its end."""
    folder = tmp_path / "later"
    message = pb.SearchImagesRequest(customer_id=customer)
    with capture_logs() as logs:
        async with servers.running(search_url=search_url(folder), search_timeout_s=30) as server:
            for _ in range(3):
                await expect_refusal(server.stub.SearchImages(message))
            await asyncio.to_thread(folder.mkdir)
            async with index(search_url(folder), tables) as own:
                record = await own.add(customer, created_at=FIRST)
                assert await search_image_ids(server.stub, customer_id=customer) == [
                    record.image_id
                ]
    events = [line["event"] for line in logs if "search engine" in line["event"]]
    assert events == ["search engine unavailable", "search engine recovered"]


async def test_an_outage_of_the_tables_is_not_blamed_on_the_engine(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """The reason names the dependency that is down."""
    await own_index.add(customer, created_at=FIRST)
    async with servers.running(
        tables=servers.tables(UnavailableTables), **own_index.settings
    ) as server:
        refusal = await expect_refusal(
            server.stub.SearchImages(pb.SearchImagesRequest(customer_id=customer))
        )
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "DEPENDENCY_UNAVAILABLE",
    )


async def test_concurrent_searches_are_bounded(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """Beyond MAX_SEARCHES a call is rejected with a retry delay; after an answer there is capacity again."""
    await own_index.add(customer, created_at=FIRST)
    blocking = servers.tables(BlockingTables)
    blocking.hold()
    message = pb.SearchImagesRequest(customer_id=customer)
    async with servers.running(tables=blocking, **own_index.settings, max_searches=1) as server:
        first = asyncio.ensure_future(server.stub.SearchImages(message))
        await blocking.started.wait()
        refusal = await expect_refusal(server.stub.SearchImages(message))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "OVERLOADED",
        )
        assert refusal.retry_after is not None
        assert await list_request_ids(server.stub, customer_id=customer) == []
        blocking.released.set()
        assert await first == await server.stub.SearchImages(message)


async def test_searches_of_one_customer_keep_no_other_out(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """Its searches fill the limit, and their rows are not read. Those of another customer are answered."""
    await own_index.add(customer, created_at=FIRST)
    blocking = servers.tables(BlockingTables)
    blocking.hold()
    message = pb.SearchImagesRequest(customer_id=customer)
    async with servers.running(tables=blocking, **own_index.settings, max_searches=40) as server:
        greedy = [asyncio.ensure_future(server.stub.SearchImages(message)) for _ in range(400)]
        await asyncio.wait(greedy, return_when=asyncio.FIRST_EXCEPTION)
        others = (
            server.stub.SearchImages(pb.SearchImagesRequest(customer_id=f"other-{customer}"))
            for _ in range(20)
        )
        assert await asyncio.gather(*others) == [pb.SearchImagesResponse()] * 20
        blocking.released.set()
        answers = await asyncio.gather(*greedy, return_exceptions=True)
    refused = [refusal(each) for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert {each.reason for each in refused} == {"OVERLOADED"}
    assert len(answers) - len(refused) >= 40


async def test_a_drain_waits_for_searches(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """A search in progress is answered before the server ends."""
    await own_index.add(customer, created_at=FIRST)
    blocking = servers.tables(BlockingTables)
    blocking.hold()
    running = AsyncExitStack()
    server = await running.enter_async_context(
        servers.running(tables=blocking, **own_index.settings)
    )
    async with connect(server.port) as stub:
        message = pb.SearchImagesRequest(customer_id=customer)
        search = asyncio.ensure_future(stub.SearchImages(message))
        await blocking.started.wait()
        drain = asyncio.create_task(running.aclose())
        await unready(server.port)
        assert not drain.done()
        blocking.released.set()
        assert len((await search).images) == 1
        await drain


async def test_a_drain_cancels_a_search_after_the_grace_period(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """A search that exceeds the grace period is cancelled and counted."""
    await own_index.add(customer, created_at=FIRST)
    blocking = servers.tables(BlockingTables)
    blocking.hold()
    running = AsyncExitStack()
    server = await running.enter_async_context(
        servers.running(tables=blocking, **own_index.settings, drain_grace_s=0.05)
    )
    async with connect(server.port) as stub:
        message = pb.SearchImagesRequest(customer_id=customer)
        search = asyncio.ensure_future(stub.SearchImages(message))
        await blocking.started.wait()
        with capture_logs() as logs:
            await running.aclose()
        error = await expect_refusal(search)
    assert error.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert {"calls_in_flight": 1, "event": "drain timed out", "log_level": "warning"} in logs
