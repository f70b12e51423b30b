"""Submits URLs, however many, with bounded work under way, and follows them to their ends where asked to."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cli.client.client import TERMINAL, WATCHED_AT_ONCE, Client, Refused
from cli.errors import CommandFailed
from cli.output.outcome import Outcome, state_name
from cli.output.tally import Tally
from cli.rpc_error import RpcFault
from imageservice.v1 import image_service_pb2 as pb

SUBMITS_AT_ONCE = 32
WATCHES_AT_ONCE = 16
"""Streams; each follows up to 100 requests, so that many are under way before submitting has to wait."""

INTERRUPTED = RpcFault("CANCELLED", "CANCELLED", "interrupted before the service answered")


class Submits(Protocol):
    """A way to submit: Client, a call for each URL, or ItemStream, one stream for all. Raises Refused."""

    async def submit(
        self, url: str, customer: str, request_id: str, labels: Mapping[str, str]
    ) -> pb.SubmitImageResponse: ...


@dataclass(frozen=True, slots=True)
class Submitted:
    """A request that the service acknowledged."""

    request_id: str
    url: str
    state: str


@dataclass(slots=True)
class Submission:
    """One run over one source of URLs."""

    client: Client
    customer: str
    tell: Callable[[Outcome], None]
    """Gets one outcome for each URL, in the order in which they come about."""
    submits: Submits | None = None
    """The client's own calls where it is None."""
    at_once: int = SUBMITS_AT_ONCE
    request_id: str | None = None
    """For the only URL; otherwise an id is chosen for each."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of each."""
    watch: bool = False
    tally: Tally = field(default_factory=Tally)
    unreachable: Refused | None = None
    """Set when the service did not answer after all attempts: then no further URL is read."""
    unreadable: CommandFailed | None = None
    """Set when the source of URLs broke off: what was read until then is brought to its end."""
    _open: dict[str, Submitted] = field(default_factory=dict)
    """Acknowledged and not told yet: their ids are to reach the person whatever happens. By id."""
    _waiting: asyncio.Queue[Submitted | None] = field(
        default_factory=lambda: asyncio.Queue(WATCHED_AT_ONCE)
    )

    async def run(self, urls: AsyncIterator[str]) -> None:
        """Cancelled, it still tells what was acknowledged or under way."""
        try:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow()) if self.watch else None
                await self._submit_all(urls)
                if following is not None:
                    await self._waiting.put(None)
        except asyncio.CancelledError:
            for submitted in list(self._open.values()):
                self._told(Outcome(submitted.request_id, submitted.url, state=submitted.state))
            raise

    async def _submit_all(self, urls: AsyncIterator[str]) -> None:
        slots = asyncio.Semaphore(self.at_once)
        async with asyncio.TaskGroup() as group:
            async for url in self._readable(urls):
                await slots.acquire()
                if self.unreachable is not None:
                    return
                self.tally.read += 1
                task = group.create_task(self._submit(url))
                task.add_done_callback(lambda _: slots.release())
            self.tally.all_read = self.unreadable is None

    async def _readable(self, urls: AsyncIterator[str]) -> AsyncIterator[str]:
        try:
            async for url in urls:
                yield url
        except CommandFailed as error:
            self.unreadable = error

    async def _submit(self, url: str) -> None:
        request_id = self.request_id or str(uuid.uuid4())
        try:
            submits = self.submits or self.client
            answer = await submits.submit(url, self.customer, request_id, self.labels)
        except Refused as refused:
            if refused.fault.code == "UNAVAILABLE":
                self.unreachable = refused
            self._told(Outcome(request_id, url, error=refused.fault))
        except asyncio.CancelledError:
            self._told(Outcome(request_id, url, error=INTERRUPTED))
            raise
        else:
            await self._acknowledged(answer, url)

    async def _acknowledged(self, answer: pb.SubmitImageResponse, url: str) -> None:
        submitted = Submitted(answer.request_id, url, state_name(answer.state))
        self.tally.submitted += 1
        self._open[submitted.request_id] = submitted
        if self.watch:
            await self._waiting.put(submitted)
        elif answer.state in TERMINAL:
            # An id that was submitted before has ended, and the answer does not say how.
            self._told(await self._ended(submitted))
        else:
            self._told(Outcome(submitted.request_id, url, state=submitted.state))

    async def _ended(self, submitted: Submitted) -> Outcome:
        try:
            return Outcome.of(await self.client.status(submitted.request_id))
        except Refused as refused:
            return _lost(submitted, refused)

    async def _follow(self) -> None:
        streams = asyncio.Semaphore(WATCHES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while (first := await self._waiting.get()) is not None:
                await streams.acquire()
                # While the streams were busy more have come; they go together.
                chunk, more = self._with_what_waits(first)
                task = group.create_task(self._follow_chunk(chunk))
                task.add_done_callback(lambda _: streams.release())
                if not more:
                    return

    def _with_what_waits(self, first: Submitted) -> tuple[dict[str, Submitted], bool]:
        chunk = {first.request_id: first}
        while len(chunk) < WATCHED_AT_ONCE and not self._waiting.empty():
            submitted = self._waiting.get_nowait()
            if submitted is None:
                return chunk, False
            chunk[submitted.request_id] = submitted
        return chunk, True

    async def _follow_chunk(self, chunk: dict[str, Submitted]) -> None:
        try:
            async for request in self.client.watch(list(chunk)):
                if request.state in TERMINAL:
                    chunk.pop(request.request_id, None)
                    self._told(Outcome.of(request))
        except Refused as refused:
            for submitted in chunk.values():
                self._told(_lost(submitted, refused))

    def _told(self, outcome: Outcome) -> None:
        self._open.pop(outcome.request_id or "", None)
        self.tally.count(outcome)
        self.tell(outcome)


def _lost(submitted: Submitted, refused: Refused) -> Outcome:
    """It was acknowledged, so it goes on; only this client does not see how."""
    return Outcome(submitted.request_id, submitted.url, state=submitted.state, error=refused.fault)
