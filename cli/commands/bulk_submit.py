"""Submit any number of URLs with bounded concurrency, and optionally watch them until they end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from cli.client.client import MAX_WATCHED_IDS, TERMINAL, CallFailed, Client
from cli.errors import CommandFailed
from cli.output.outcome import RequestView, state_name
from cli.output.stats import SubmitStats
from cli.rpc_error import RpcError
from imageservice.v1 import image_service_pb2 as pb

MAX_CONCURRENT_SUBMITS = 32
MAX_CONCURRENT_WATCHES = 16
"""Watch streams. Each follows up to 100 requests, so submitting rarely has to wait for one."""

INTERRUPTED = RpcError("CANCELLED", "CANCELLED", "interrupted before the service answered")


class Submitter(Protocol):
    """Submits one URL: Client with a call per URL, or SubmitStream with one stream for all. Raises CallFailed."""

    async def submit(self, message: pb.SubmitImageRequest) -> pb.SubmitImageResponse: ...


@dataclass(slots=True)
class BulkSubmit:
    client: Client
    common: pb.SubmitImageRequest
    """The fields that all submits have, without URL and id."""
    report: Callable[[RequestView], None]
    """Receives one result per URL, in the order of completion."""
    submits: Submitter | None = None
    """The client itself if None."""
    at_once: int = MAX_CONCURRENT_SUBMITS
    request_id: str | None = None
    """The id for a single URL; None chooses an id for each URL."""
    watch: bool = False
    stats: SubmitStats = field(default_factory=SubmitStats)
    server_unreachable: CallFailed | None = None
    """Set if the service did not answer after all attempts. No further URL is read then."""
    source_error: CommandFailed | None = None
    """Set if the source of URLs failed. The URLs read before are still completed."""
    _open: dict[str, RequestView] = field(default_factory=dict)
    """Acknowledged requests without a report, by id. Their ids are always reported, even after Ctrl-C."""
    _waiting: asyncio.Queue[RequestView | None] = field(
        default_factory=lambda: asyncio.Queue(MAX_WATCHED_IDS)
    )

    async def run(self, urls: AsyncIterator[str]) -> None:
        """Submit all URLs. After a cancellation it still reports acknowledged and pending submits."""
        try:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._watch_all()) if self.watch else None
                await self._submit_all(urls)
                if following is not None:
                    await self._waiting.put(None)
        except asyncio.CancelledError:
            for submitted in list(self._open.values()):
                self._report(submitted)
            raise

    async def _submit_all(self, urls: AsyncIterator[str]) -> None:
        slots = asyncio.Semaphore(self.at_once)
        async with asyncio.TaskGroup() as group:
            async for url in self._read_urls(urls):
                await slots.acquire()
                if self.server_unreachable is not None:
                    return
                self.stats.read += 1
                task = group.create_task(self._submit(url))
                task.add_done_callback(lambda _: slots.release())
            self.stats.all_read = self.source_error is None

    async def _read_urls(self, urls: AsyncIterator[str]) -> AsyncIterator[str]:
        try:
            async for url in urls:
                yield url
        except CommandFailed as error:
            self.source_error = error

    async def _submit(self, url: str) -> None:
        request_id = self.request_id or str(uuid.uuid4())
        message = pb.SubmitImageRequest(url=url, request_id=request_id)
        message.MergeFrom(self.common)
        try:
            answer = await (self.submits or self.client).submit(message)
        except CallFailed as refused:
            if refused.fault.code == "UNAVAILABLE":
                self.server_unreachable = refused
            self._report(RequestView(request_id, url, error=refused.fault))
        except asyncio.CancelledError:
            self._report(RequestView(request_id, url, error=INTERRUPTED))
            raise
        else:
            await self._on_acknowledged(answer, url)

    async def _on_acknowledged(self, answer: pb.SubmitImageResponse, url: str) -> None:
        submitted = RequestView(answer.request_id, url, state=state_name(answer.state))
        self.stats.submitted += 1
        self._open[answer.request_id] = submitted
        if self.watch:
            await self._waiting.put(submitted)
        elif answer.state in TERMINAL:
            # This id was submitted before and has ended; the answer does not contain the outcome.
            self._report(await self._read_final_state(answer.request_id, submitted))
        else:
            self._report(submitted)

    async def _read_final_state(self, request_id: str, submitted: RequestView) -> RequestView:
        try:
            return RequestView.of(await self.client.status(request_id))
        except CallFailed as refused:
            return replace(submitted, error=refused.fault)

    async def _watch_all(self) -> None:
        streams = asyncio.Semaphore(MAX_CONCURRENT_WATCHES)
        async with asyncio.TaskGroup() as group:
            while (first := await self._waiting.get()) is not None:
                await streams.acquire()
                # Further requests may have arrived while all streams were busy. They share the stream.
                chunk, more = self._collect_waiting(first)
                task = group.create_task(self._watch_chunk(chunk))
                task.add_done_callback(lambda _: streams.release())
                if not more:
                    return

    def _collect_waiting(self, first: RequestView) -> tuple[list[RequestView], bool]:
        chunk = [first]
        while len(chunk) < MAX_WATCHED_IDS and not self._waiting.empty():
            submitted = self._waiting.get_nowait()
            if submitted is None:
                return chunk, False
            chunk.append(submitted)
        return chunk, True

    async def _watch_chunk(self, chunk: list[RequestView]) -> None:
        pending = {submitted.request_id or "": submitted for submitted in chunk}
        try:
            async for request in self.client.watch(list(pending)):
                if request.state in TERMINAL:
                    pending.pop(request.request_id, None)
                    self._report(RequestView.of(request))
        except CallFailed as refused:
            # The watch was interrupted; the requests themselves continue.
            for submitted in pending.values():
                self._report(replace(submitted, error=refused.fault))

    def _report(self, outcome: RequestView) -> None:
        self._open.pop(outcome.request_id or "", None)
        self.stats.count(outcome)
        self.report(outcome)
