"""An image record of a request that is not COMPLETED with it: nobody is shown that image, also not later.

A worker is stopped before a step while another run of the same message fails the request. Then it continues, and loses.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from aiohttp import web

from consumer.clients import Clients
from consumer.indexer.lookup import look_up
from consumer.jobs.index_builder import IndexBuilder
from consumer.jobs.progress import Progress
from consumer.jobs.reopen import reopen, retry_of
from consumer.notify.finalize import fail_request
from consumer.run import Run
from core.aws.client import Aws
from core.dynamodb.scan import ImageScan
from core.dynamodb.schema import image_from_item
from core.errors import Undeliverable
from core.model.image import ImageRecord
from core.model.message import first_message
from core.model.request import ImageRequest, State
from core.search.document import SearchDocument, document_of
from harness.aws import DeployStack, RecordingAws
from harness.index_fixture import Index, index, search_image_ids, search_url
from harness.lists import list_images
from harness.message_worker import MessageWorker, Step, message_worker
from harness.origin import Origin, numbered_png, origin, reply_with
from harness.running_server import RunningServer, ServerFactory
from harness.tables import aws_with, tables_of
from imageservice.v1 import image_service_pb2 as pb

CUSTOMER = "acme"
DAYS = "7"
"""Of retention."""


@dataclass(frozen=True, slots=True)
class Race:
    """One request, which `loser` and `winner` process. `aws` and `index.tables` have the suite's role."""

    images: Origin
    server: RunningServer
    index: Index
    aws: Aws
    loser: MessageWorker
    winner: MessageWorker
    operator: Clients
    step: Step
    request_id: str

    @property
    def url(self) -> str:
        return f"{self.images.base}/raced.png"

    def serve_image(self, number: int) -> None:
        self.images.serve_body("/raced.png", numbered_png(number))

    def serve_nothing(self) -> None:
        self.images.serve("/raced.png", reply_with(status=404))

    async def row(self) -> ImageRequest:
        row = await self.index.tables.read_request(self.request_id)
        assert row is not None
        return row

    async def lose(self) -> asyncio.Task[None]:
        """Let the loser fetch the image and stop. Then let the winner fail the request. Return the loser's task.

        The loser stops before `step`. Only a loser whose end was rejected reads the row.
        """
        self.loser.gate.step = Step.END if self.step is Step.READ_ROW else self.step
        self.serve_image(1)
        submit = pb.SubmitImageRequest(
            url=self.url, customer_id=CUSTOMER, request_id=self.request_id
        )
        await self.server.stub.SubmitImage(submit)
        losing = asyncio.create_task(self.loser.handle_next())
        await self.loser.gate.reached.wait()
        self.serve_nothing()
        # SQS may deliver a message twice.
        await self.winner.clients.queue.send(first_message(await self.row()).encode(), group="acme")
        await self.winner.handle_next()
        assert (await self.row()).state is State.FAILED
        if self.step is Step.READ_ROW:
            await self.loser.gate.move(self.step)
        return losing

    async def reopen(self) -> None:
        retry = retry_of(await self.row())
        assert retry is not None
        assert await reopen(self.operator, retry)

    async def records(self) -> list[ImageRecord]:
        rows: Any = await self.aws.dynamodb.scan(
            TableName=self.index.tables.statements.images_table, ConsistentRead=True
        )
        return [image_from_item(item) for item in rows["Items"]]

    async def all_agree(self) -> State:
        """Assert that every reader shows the image of the status, and no other. Return the state."""
        status = await self.server.stub.GetStatus(pb.GetStatusRequest(request_id=self.request_id))
        state = (await self.row()).state
        shown = [status.request.image.image_id] if status.request.HasField("image") else []
        assert len(shown) == (state is State.COMPLETED)
        records = await self.records()
        assert [each.image_id for each in records if await self._gets(each)] == shown
        listed = await list_images(self.server.stub, customer_id=CUSTOMER)
        assert [image.image_id for image in listed] == shown
        (found,) = await look_up(self.index.tables, [self.request_id])
        assert ([found.image_id] if isinstance(found, SearchDocument) else []) == shown
        # A wrong index, such as one that an earlier version built.
        await self.index.writer.write([document_of(each, None) for each in records])
        await self.index.writer.refresh()
        assert await self._search() == shown
        await self._reindex()
        assert await self._search() == shown
        return state

    async def _gets(self, record: ImageRecord) -> bool:
        try:
            await self.server.stub.GetImage(pb.GetImageRequest(image_id=record.image_id))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _search(self) -> list[str]:
        return await search_image_ids(self.server.stub, customer_id=CUSTOMER)

    async def _reindex(self) -> None:
        tables = self.index.tables
        scan = ImageScan(
            self.aws.http.dynamodb,
            tables.statements.images_table,
            segments=1,
            rate=1_000,
        )
        async with self.index.writer.rebuild() as rebuild:
            with Progress("reindex", None) as progress:
                await IndexBuilder(scan, tables, rebuild, progress).run(1)
            await rebuild.finish()


class Races(Protocol):
    """Starts a server, and the workers of a race. The loser stops before `step`."""

    def __call__(self, step: Step) -> AbstractAsyncContextManager[Race]: ...


@pytest.fixture
def races(embedded_aws: RecordingAws, deploy_stack: DeployStack, tmp_path: Path) -> Races:
    @asynccontextmanager
    async def race(step: Step) -> AsyncIterator[Race]:
        outputs = await deploy_stack(f"race-{uuid.uuid4().hex[:12]}")
        roles = {
            role: {**embedded_aws.environment(role), "RETENTION_DAYS": DAYS}
            for role in ("consumer", "operator", "server", "tests")
        }
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            loser = await enter(message_worker(roles["consumer"], outputs))
            winner = await enter(message_worker(roles["consumer"], outputs))
            operator = await enter(message_worker(roles["operator"], outputs))
            aws = await enter(aws_with(roles["tests"]))
            tables = await enter(tables_of(roles["tests"], outputs))
            images = await enter(origin())
            searched = await enter(index(search_url(tmp_path), tables))
            servers = ServerFactory(await enter(aws_with(roles["server"])), outputs)
            server = await enter(servers.running(cached_requests=0, **searched.settings))
            ends = (loser, winner, operator.clients)
            yield Race(images, server, searched, aws, *ends, step, str(uuid.uuid4()))

    return race


STEPS = pytest.mark.parametrize("step", list(Step), ids=str)


@STEPS
async def test_a_loser_publishes_nothing(races: Races, step: Step) -> None:
    """The request stays FAILED. Its row is kept, because without it the record would look like a published image."""
    async with races(step) as race:
        losing = await race.lose()
        assert await race.all_agree() is State.FAILED
        race.loser.gate.open()
        await losing
        assert await race.all_agree() is State.FAILED
        assert len(await race.records()) == 1
        assert (await race.row()).expires_at is None


@STEPS
async def test_a_loser_that_continues_while_the_request_is_open_again(
    races: Races, step: Step
) -> None:
    """The retry completes the request with the loser's image, and does not fetch."""
    async with races(step) as race:
        losing = await race.lose()
        await race.reopen()
        assert await race.all_agree() is State.PENDING
        race.loser.gate.open()
        await losing
        assert await race.all_agree() is State.PENDING
        await race.winner.handle_next()
        assert await race.all_agree() is State.COMPLETED
        assert len(await race.records()) == 1


@STEPS
async def test_a_loser_that_continues_after_a_retry(races: Races, step: Step) -> None:
    """The request stays COMPLETED with the image of the retry."""
    async with races(step) as race:
        losing = await race.lose()
        await race.reopen()
        race.serve_image(2)
        await race.winner.handle_next()
        assert await race.all_agree() is State.COMPLETED
        completed = await race.row()
        race.loser.gate.open()
        await losing
        assert await race.all_agree() is State.COMPLETED
        assert await race.row() == completed
        assert len(await race.records()) == 1


async def test_a_record_that_is_inserted_during_a_retry_that_fails(races: Races) -> None:
    """The loser finds the request PENDING. So the run that fails it keeps the row."""
    async with races(Step.RECORD) as race:
        losing = await race.lose()
        await race.reopen()
        fetching, answered = asyncio.Event(), asyncio.Event()

        async def not_found(_request: web.Request) -> web.Response:
            fetching.set()
            await answered.wait()
            return web.Response(status=404)

        race.images.serve("/raced.png", not_found)
        retrying = asyncio.create_task(race.winner.handle_next())
        await fetching.wait()
        race.loser.gate.open()
        await losing
        answered.set()
        await retrying
        assert await race.all_agree() is State.FAILED
        row = await race.row()
        assert (row.revision, row.expires_at, len(await race.records())) == (4, None, 1)


async def test_a_record_of_a_request_that_reconcile_fails(races: Races) -> None:
    """No worker could end the request, so its message is in the DLQ."""
    async with races(Step.END) as race:
        losing = await race.lose()
        await race.reopen()
        race.loser.gate.open()
        await losing
        message = replace(first_message(await race.row()), resent=True)
        operator = race.operator
        run = Run.of(message)
        await fail_request(operator.tables, operator.notifier, message, Undeliverable(), run)
        assert await race.all_agree() is State.FAILED
        assert (await race.row()).expires_at is None


async def test_a_message_that_comes_again_after_its_worker_died_keeps_the_row(races: Races) -> None:
    """The worker had inserted its record, and another run has failed the request."""
    async with races(Step.END) as race:
        dying = await race.lose()
        dying.cancel()
        await asyncio.wait({dying})
        assert (await race.row()).expires_at is not None
        again = replace(first_message(await race.row()), revision=1, resent=True)
        await race.winner.clients.queue.send(again.encode(), group="acme")
        await race.winner.handle_next()
        assert await race.all_agree() is State.FAILED
        assert (await race.row()).expires_at is None


async def test_the_row_of_a_failure_without_a_record_expires(races: Races) -> None:
    """Also after a repeated message."""
    async with races(Step.STORE) as race:
        losing = await race.lose()
        again = replace(first_message(await race.row()), revision=1, resent=True)
        await race.winner.clients.queue.send(again.encode(), group="acme")
        await race.winner.handle_next()
        assert (await race.row()).expires_at is not None
        losing.cancel()
        await asyncio.wait({losing})
