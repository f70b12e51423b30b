"""The proof's part that reads: every acknowledged id, the counts of rows, and some of the published pictures."""

from asyncio import TaskGroup
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import grpc
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.aws_access import AwsAccess
from loadtest.million.looking_up import LookUp, chunks
from loadtest.million.proof import Found, Proof, RowCounts
from loadtest.million.published import Published, is_fetched, published

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
FETCHES = 3
"""Of a picture that did not come as it should, before that is called a fault."""

_PASSING = (
    grpc.aio.AioRpcError,
    BotoCoreError,
    ClientError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
)
_WAIT = wait_random_exponential(multiplier=PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class Prover:
    proof: Proof
    look_up: LookUp
    aws: AwsAccess | None
    patience: float
    """Seconds for which a read that fails is made again."""
    bar: ProgressBar

    async def rows(self) -> RowCounts | None:
        """Rows in the tables; None where they cannot be counted exactly."""
        if self.aws is None or not self.aws.counts_rows:
            return None
        tables = (self.aws.requests_table, self.aws.images_table)
        counts = [
            (await self.aws.clients.dynamodb.describe_table(TableName=name))["Table"]["ItemCount"]
            for name in tables
        ]
        return RowCounts(*counts)

    async def prove(self, before: RowCounts | None) -> None:
        """`before` is what the tables held before the run. Raises what reading failed with when patience ended."""
        ledger = self.proof.ledger
        self.bar.begin("looked up", ledger.acknowledged)
        waiting = chunks(ledger.all_acknowledged(), self.look_up.size)
        async with published() as pictures, TaskGroup() as group:
            for _ in range(self.look_up.at_once):
                group.create_task(self._read(waiting, pictures))
        after = await self.rows()
        added = None
        if before is not None and after is not None:
            added = RowCounts(after.requests - before.requests, after.images - before.images)
        self.proof.close(added)

    async def _read(self, waiting: Iterator[list[int]], pictures: Published) -> None:
        for chunk in waiting:
            found: dict[int, Found] = await self._retrying()(self.look_up.find, chunk)
            for number in chunk:
                self.proof.look_at(number, found.get(number))
                await self._fetch(number, found.get(number), pictures)
            self.bar.show(self.proof.states.total())

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(_PASSING),
            stop=stop_after_delay(self.patience),
            wait=_WAIT,
            reraise=True,
        )

    async def _fetch(self, number: int, found: Found | None, pictures: Published) -> None:
        if found is None or found.image is None or not found.image.public_url:
            return
        if is_fetched(number, self.proof.items.total):
            fetching = AsyncRetrying(
                retry=retry_if_result(lambda fault: fault is not None),
                stop=stop_after_attempt(FETCHES),
                wait=_WAIT,
                retry_error_callback=_last_fault,
            )
            self.proof.fetch(number, await fetching(pictures.fault, found.image))


def _last_fault(state: RetryCallState) -> str | None:
    fault: str | None = state.outcome.result() if state.outcome is not None else None
    return fault
