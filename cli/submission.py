"""Submits URLs, however many, with bounded work under way, and follows them to their ends where asked to."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from cli.client import TERMINAL, WATCHED_AT_ONCE, Client, Refused
from cli.outcome import Outcome, state_name
from imageservice.v1 import image_service_pb2 as pb

SUBMITS_AT_ONCE = 32
WATCHES_AT_ONCE = 16
"""Streams; each follows up to 100 requests, so that many are under way before submitting has to wait."""


@dataclass(slots=True)
class Tally:
    """How many URLs came to what."""

    read: int = 0
    submitted: int = 0
    told: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Submitted:
    request_id: str
    url: str


@dataclass(slots=True)
class Submission:
    """One run over one source of URLs."""

    client: Client
    customer: str
    tell: Callable[[Outcome], None]
    """Gets one outcome for each URL, in the order in which they come about."""
    request_id: str | None = None
    """For the only URL; otherwise an id is chosen for each."""
    watch: bool = False
    tally: Tally = field(default_factory=Tally)
    unreachable: Refused | None = None
    """Set when the service did not answer after all attempts: then no further URL is read."""
    _waiting: asyncio.Queue[Submitted | None] = field(
        default_factory=lambda: asyncio.Queue(WATCHED_AT_ONCE)
    )

    async def run(self, urls: AsyncIterator[str]) -> Tally:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow()) if self.watch else None
            await self._submit_all(urls)
            if following is not None:
                await self._waiting.put(None)
        return self.tally

    async def _submit_all(self, urls: AsyncIterator[str]) -> None:
        slots = asyncio.Semaphore(SUBMITS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            async for url in urls:
                await slots.acquire()
                if self.unreachable is not None:
                    break
                self.tally.read += 1
                task = group.create_task(self._submit(url))
                task.add_done_callback(lambda _: slots.release())

    async def _submit(self, url: str) -> None:
        request_id = self.request_id or str(uuid.uuid4())
        try:
            answer = await self.client.submit(url, self.customer, request_id)
            self.tally.submitted += 1
            if self.watch:
                await self._waiting.put(Submitted(answer.request_id, url))
            else:
                self._told(await self._outcome(answer, url))
        except Refused as refused:
            if refused.fault.code == "UNAVAILABLE":
                self.unreachable = refused
            self._told(Outcome(request_id, url, error=refused.fault))

    async def _outcome(self, answer: pb.SubmitImageResponse, url: str) -> Outcome:
        """An id that was submitted before may have ended, and the answer does not say how."""
        if answer.state in TERMINAL:
            return Outcome.of(await self.client.status(answer.request_id))
        return Outcome(answer.request_id, url, state=state_name(answer.state))

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

    def _with_what_waits(self, first: Submitted) -> tuple[dict[str, str], bool]:
        chunk = {first.request_id: first.url}
        while len(chunk) < WATCHED_AT_ONCE and not self._waiting.empty():
            submitted = self._waiting.get_nowait()
            if submitted is None:
                return chunk, False
            chunk[submitted.request_id] = submitted.url
        return chunk, True

    async def _follow_chunk(self, urls: dict[str, str]) -> None:
        try:
            async for request in self.client.watch(list(urls)):
                if request.state in TERMINAL:
                    urls.pop(request.request_id, None)
                    self._told(Outcome.of(request))
        except Refused as refused:
            for request_id, url in urls.items():
                self._told(Outcome(request_id, url, error=refused.fault))

    def _told(self, outcome: Outcome) -> None:
        self.tally.told += 1
        self.tally.bad += outcome.bad
        self.tell(outcome)
