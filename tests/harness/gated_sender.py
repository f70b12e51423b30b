"""A way to the queue that a test opens."""

import asyncio

from core.aws.sqs import QueueSender
from harness.running_server import ServerFactory


class Gated(QueueSender):
    """Sends wait until they are let go; counts them, and how many waited at once."""

    def gate(self) -> None:
        self.released = asyncio.Event()
        self.changed = asyncio.Condition()
        self.sent = 0
        self.waiting = 0
        self.most = 0
        self.drained = False

    def begin_send(self, body: str, *, delay: int = 0) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._send_when_released(body, delay))

    async def _send_when_released(self, body: str, delay: int) -> None:
        async with self.changed:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self.changed.notify_all()
        await self.released.wait()
        self.waiting -= 1
        self.sent += 1
        await super().begin_send(body, delay=delay)

    async def drain(self) -> None:
        await super().drain()
        self.drained = True

    async def reached(self, waiting: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.waiting >= waiting)


def gated(servers: ServerFactory, *, opened: bool = False) -> Gated:
    sender = servers.sender(Gated)
    sender.gate()
    if opened:
        sender.released.set()
    return sender
