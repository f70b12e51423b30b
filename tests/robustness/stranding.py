"""Messages that no consumer can finish, until SQS moves them to the DLQ; and rows that expire."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from harness.waiting import wait_for
from robustness.history import Expired
from robustness.session import Session
from robustness.system.operators import RECONCILE
from robustness.traffic.plan import PlannedRequest, PlannedSubmit

_STOPPED_S = 120.0
_QUIET_S = 6.0
"""Longer than a server caches a request (CACHED_REQUEST_AGE_S of the runs)."""


@asynccontextmanager
async def no_consumers(run: Session) -> AsyncIterator[None]:
    """Keep all consumers stopped during the block."""
    consumers = run.cluster.named("consumer")
    for consumer in consumers:
        consumer.hold()
    await wait_for(
        lambda: not any(consumer.running for consumer in consumers),
        "the end of the consumers",
        within_s=_STOPPED_S,
    )
    try:
        yield
    finally:
        for consumer in consumers:
            consumer.release()


async def submit_all(run: Session, requests: Sequence[PlannedRequest], content: int = 0) -> None:
    submits = (PlannedSubmit(0, request.id, content, streamed=False) for request in requests)
    await asyncio.gather(*(run.traffic.submit(submit) for submit in submits))


async def strand(run: Session) -> None:
    """Receive all messages of the queue until SQS has moved them to the DLQ, as consumers that die would."""
    stores, url = run.recorder.stores, run.system.stack.queue_url

    async def moved() -> bool:
        await stores.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return await stores.depth(url) == 0

    await wait_for(moved, "all messages in the DLQ", within_s=_STOPPED_S)


async def reconcile(run: Session) -> None:
    """Run reconcile until the DLQ is empty; some of the runs are killed."""

    async def emptied() -> bool:
        run.injector.failpoints.arm("reconcile")
        await run.operators.named["reconcile"].run(*RECONCILE)
        run.injector.failpoints.disarm()
        return await run.recorder.stores.depth(run.system.stack.dlq_url) == 0

    await wait_for(emptied, "an empty DLQ", within_s=_STOPPED_S)


async def strand_once_and_twice(
    run: Session, once: Sequence[PlannedRequest], twice: Sequence[PlannedRequest]
) -> None:
    """Strand some requests once, which then complete, and others twice, which fail and are retried."""
    async with no_consumers(run):
        await submit_all(run, once)
        await strand(run)
        await reconcile(run)
    run.phase("stranded once")
    await run.until_quiet()
    async with no_consumers(run):
        await submit_all(run, twice)
        for _ in range(2):
            await strand(run)
            await reconcile(run)
    run.phase("stranded twice")
    await run.until_quiet()
    ids = ",".join(request.id for request in twice[::2])
    await run.operators.named["retry-failed"].run(f"--request-id={ids}")


async def expire_and_reuse(run: Session, requests: Sequence[PlannedRequest]) -> None:
    """Delete the rows of requests that have ended, as DynamoDB does, and submit their ids with other content."""
    await run.until_quiet()
    for request in requests:
        began = time.time()
        await run.recorder.stores.dynamodb.delete_item(
            TableName=run.system.stack.requests_table,
            Key={"requestId": {"S": request.id}},
            ConditionExpression="#status <> :pending",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":pending": {"S": "PENDING"}},
        )
        run.history.add(Expired(began, time.time(), request.id))
    run.phase("expired")
    await asyncio.sleep(_QUIET_S)
    await submit_all(run, requests, content=1)
