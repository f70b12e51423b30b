"""FAILED requests with their failed-requests messages, and an operator that retries them."""

import asyncio
import json
import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace

from cli.local.embedded_aws import without_aws
from consumer.notify.outcome import failed_request_message_of, outcome_of
from core.dynamodb.tables import Tables
from core.model.request import Failure, ImageRequest, State, new_request
from core.runtime.clock import now_ms
from harness.processes import CompletedProcess, launcher
from harness.stores import Stores
from harness.system import System
from harness.tables import tables_of


@dataclass(frozen=True, slots=True)
class Failures:
    """A system with FAILED requests and without a consumer."""

    running: System
    stores: Stores
    shards: int = 8

    async def add(
        self,
        count: int,
        code: str,
        *,
        customer: str = "acme",
        age_ms: int = 0,
        messages: bool = True,
    ) -> list[str]:
        """Add FAILED requests, with their messages in the failed-requests queue; return their ids."""
        requests = [
            new_request(
                request_id=str(uuid.uuid4()),
                customer_id=customer,
                url="http://127.0.0.1:1/picture.png",
                labels={},
                now=now_ms() - age_ms,
            )
            for _ in range(count)
        ]
        failure = Failure(code, "it failed", 3)
        environment = self.running.aws.environment("tests")
        async with tables_of(environment, self.running.stack) as tables:
            tables.statements = replace(tables.statements, shards=self.shards)

            async def fail(request: ImageRequest) -> None:
                failed = await _insert_failed(tables, request, failure)
                if messages:
                    await self.send_failed_request(
                        failed_request_message_of(outcome_of(failed, None), failure).encode()
                    )

            await asyncio.gather(*map(fail, requests))
        return [request.request_id for request in requests]

    async def send_failed_request(self, body: str) -> None:
        await self.stores.sqs.send_message(
            QueueUrl=self.running.stack.failed_requests_queue_url, MessageBody=body
        )

    async def retry_failed(self, *arguments: str) -> CompletedProcess:
        """Run the operator's command to its end."""
        environment = {
            **without_aws(os.environ),
            **self.running.aws.environment("operator"),
            **self.running.stack.environment(),
            "CUSTOMER_TAG_KEY": "a key of the test suite",
            "CUSTOMER_SHARDS": str(self.shards),
            "LOG_LEVEL": "error",
        }
        running = await launcher()
        return await running.run("consumer", "retry-failed", *arguments, environment=environment)

    async def reopened(self, *, but: Collection[str] = ()) -> set[str]:
        """Return the ids of requests that are PENDING again, except `but`. Each was sent once. Empties the queue."""
        sent: list[str] = []
        while batch := await self.stores.receive(self.running.stack.bulk_queue_url):
            sent += [json.loads(message["Body"])["request_id"] for message in batch]
        rows = await self.stores.requests()
        pending = {row["requestId"]["S"] for row in rows if row["revision"]["N"] == "3"}
        assert sorted(sent) == sorted(pending - set(but))
        return pending - set(but)

    async def visible_messages(self) -> list[str]:
        """Return the request ids of the visible failed-requests messages. Receives them."""
        url, ids = self.running.stack.failed_requests_queue_url, list[str]()
        while batch := await self.stores.receive(url):
            ids += [json.loads(message["Body"])["request_id"] for message in batch]
        return ids


async def _insert_failed(tables: Tables, request: ImageRequest, failure: Failure) -> ImageRequest:
    await tables.write(tables.statements.insert_request(request))
    await tables.write(
        tables.statements.fail(
            request.request_id,
            1,
            customer_id=request.customer_id,
            failure=failure,
            now=request.created_at,
        )
    )
    return replace(request, state=State.FAILED, revision=2, failure=failure)
