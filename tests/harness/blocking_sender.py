"""A queue sender that a test blocks and releases."""

import asyncio

from core.aws.sqs import SqsQueue
from harness.running_server import ServerFactory


class BlockingSender(SqsQueue):
    """Sends wait until `released` is set. `most` is the greatest number of sends that waited at the same time."""

    def block(self) -> None:
        self.released = asyncio.Event()
        self.changed = asyncio.Condition()
        self.sent = 0
        self.waiting = 0
        self.most = 0
        self.drained = False

    def send_nowait(self, body: str, *, delay: int = 0, group: str = "") -> asyncio.Future[None]:
        return asyncio.ensure_future(self._send_when_released(body, delay, group))

    async def _send_when_released(self, body: str, delay: int, group: str) -> None:
        async with self.changed:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self.changed.notify_all()
        await self.released.wait()
        self.waiting -= 1
        self.sent += 1
        await super().send_nowait(body, delay=delay, group=group)

    async def drain(self) -> None:
        await super().drain()
        self.drained = True

    async def reached(self, waiting: int) -> None:
        """Wait until `count` sends are blocked."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.waiting >= waiting)


def blocking_sender(servers: ServerFactory, *, released: bool = False) -> BlockingSender:
    sender = servers.sender(BlockingSender)
    sender.block()
    if released:
        sender.released.set()
    return sender
