"""Reads and writes both tables. Concurrent callers share their calls."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from core.answers import no_members
from core.aws.client import call
from core.aws.http import JsonService
from core.batcher import NO_LINGER, OK, Batcher, Batching, Failed, ItemResult, Ok, Retry
from core.dynamodb import schema
from core.dynamodb.answers import RowKey, StatementError, decode_rows, decode_statements
from core.dynamodb.index_query import (
    Index,
    IndexKey,
    IndexPage,
    TimeRange,
    decode_index_page,
    filter_failure_code,
    query_members,
)
from core.dynamodb.statements import Statement, Statements
from core.errors import (
    DependencyUnavailable,
    FailureCode,
    ImageServiceError,
    MalformedRow,
    RequestRejected,
)
from core.model.image import ImageRecord, image_id_of, is_image_of, reused_image_id
from core.model.rendition import Rendition, renditions_id
from core.model.request import ImageRequest, State
from core.model.reuse import FetchRecord, fetch_record_id

R = TypeVar("R")

MAX_STATEMENTS = 25
"""Statements in one BatchExecuteStatement (AWS limit)."""
MAX_KEYS = 100
"""Keys in one BatchGetItem (AWS limit)."""

_CONDITION_NOT_MET = frozenset({"ConditionalCheckFailed", "DuplicateItem"})
_REJECTED = frozenset({"ItemCollectionSizeLimitExceeded", "ValidationError"})
_RETRYABLE = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)


class ConditionNotMet(ImageServiceError):
    """The condition of a write does not hold: the row exists already, or has changed."""


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The part of a request that a watcher polls."""

    state: State
    revision: int


class Tables:
    def __init__(
        self,
        dynamodb: JsonService,
        statements: Statements,
        batching: Batching = NO_LINGER,
        *,
        renditions: bool = False,
    ) -> None:
        """`renditions`: whether this installation has presets. Without them `read_renditions` reads nothing."""
        self._dynamodb = dynamodb
        self._has_renditions = renditions
        self.statements = statements
        self._writes: Batcher[Statement, None] = Batcher(
            "dynamodb writes",
            self._execute,
            max_batch=MAX_STATEMENTS,
            batching=batching,
            key=attrgetter("key"),
            quick=True,
        )
        self._reads: Batcher[RowKey, schema.Item | None] = Batcher(
            "dynamodb reads", self._get, max_batch=MAX_KEYS, key=lambda key: key
        )

    async def write(self, statement: Statement) -> None:
        """Execute a statement. Raises ConditionNotMet, Overloaded, DependencyUnavailable or RequestRejected."""
        await self.write_nowait(statement)

    def write_nowait(self, statement: Statement) -> asyncio.Future[None]:
        """Start a write without a task; the future ends as `write` would. Raises Overloaded at once."""
        return self._writes.submit_nowait(statement, statement.customer_id)

    async def read_request(self, request_id: str) -> ImageRequest | None:
        """Read a request, strongly consistent. Raises Overloaded, DependencyUnavailable or MalformedRow."""
        key = RowKey(self.statements.requests_table, schema.REQUEST_ID, request_id)
        item = await self._reads.submit(key)
        return None if item is None else schema.request_from_item(item)

    async def read_image(self, request_id: str) -> ImageRecord | None:
        """Read the image of the first request that had an image under this id, strongly consistent.

        Raises as `read_image_by_id`.
        """
        return await self.read_image_by_id(_image_id_of(request_id))

    async def read_image_of(self, request: ImageRequest) -> ImageRecord | None:
        """Read the image of this request, not of an earlier one with the same id; strongly consistent.

        The image is inserted before the request is COMPLETED. Raises Overloaded, DependencyUnavailable or MalformedRow.
        """
        image_id = request.image_id or _image_id_of(request.request_id)
        record = await self.read_image_by_id(image_id)
        if record is None or is_image_of(record, request):
            return record
        if request.image_id is not None:
            return None
        reused_id = reused_image_id(request.request_id, request.created_at)
        return await self.read_image_by_id(reused_id)

    async def read_image_and_request(
        self, request_id: str
    ) -> tuple[ImageRecord | None, ImageRequest | None]:
        """Read an id's image and row, strongly consistent, in one call. Raises as `read_image_of`.

        The image is that of the row's request if this is COMPLETED; otherwise that of the first request that had an
        image under this id. See is_published.
        """
        record, request = await asyncio.gather(
            self.read_image(request_id), self.read_request(request_id)
        )
        if request is not None and request.image_id not in {None, record and record.image_id}:
            record = await self.read_image_of(request)
        return record, request

    async def read_image_by_id(self, image_id: str) -> ImageRecord | None:
        """Read an image, strongly consistent. Raises Overloaded, DependencyUnavailable or MalformedRow."""
        key = RowKey(self.statements.images_table, schema.IMAGE_ID, image_id)
        item = await self._reads.submit(key)
        return None if item is None else schema.image_from_item(item)

    async def read_renditions(self, image_id: str) -> tuple[Rendition, ...]:
        """Read the renditions of an image, strongly consistent. Raises Overloaded or DependencyUnavailable.

        A malformed row is logged and has none: it must not hide the image. One read unit for each 4 KB, also if there
        are none; with another read at the same time, no further call.
        """
        if not self._has_renditions:
            return ()
        key = RowKey(self.statements.images_table, schema.IMAGE_ID, renditions_id(image_id))
        item = await self._reads.submit(key)
        try:
            return () if item is None else schema.renditions_from_item(item)
        except MalformedRow as error:
            schema.log_malformed_row(error)
            return ()

    async def add_renditions(self, image_id: str, renditions: Sequence[Rendition]) -> None:
        """Add renditions to those of an image. Idempotent. Raises DependencyUnavailable or RequestRejected.

        Not batched: it takes much less time than making the renditions. An UpdateItem, because PartiQL cannot update a
        row that may not exist.
        """
        await self._call(
            "UpdateItem",
            {
                "TableName": self.statements.images_table,
                "Key": {schema.IMAGE_ID: schema.string(renditions_id(image_id))},
                **schema.renditions_update(renditions),
            },
            no_members,
        )

    async def read_fetch(self, customer_id: str, url: str) -> FetchRecord | None:
        """Read the record of the last fetch of a URL for a customer. A malformed row is logged, and is none.

        Raises Overloaded or DependencyUnavailable.
        """
        record_id = fetch_record_id(customer_id, url)
        item = await self._reads.submit(
            RowKey(self.statements.images_table, schema.IMAGE_ID, record_id)
        )
        try:
            return None if item is None else schema.fetch_record_from_item(item)
        except MalformedRow as error:
            schema.log_malformed_row(error)
            return None

    async def record_fetch(self, customer_id: str, url: str, fetch: FetchRecord) -> None:
        """Write the record of the last fetch of a URL. Raises DependencyUnavailable or RequestRejected."""
        await self._call(
            "UpdateItem",
            {
                "TableName": self.statements.images_table,
                "Key": {schema.IMAGE_ID: schema.string(fetch_record_id(customer_id, url))},
                **schema.fetch_record_update(customer_id, fetch),
            },
            no_members,
        )

    async def read_statuses(self, request_ids: Sequence[str]) -> dict[str, StatusSnapshot]:
        """Read state and revision of up to MAX_KEYS requests; eventually consistent, at half the price.

        A request that is not in the result was not read this time. Raises DependencyUnavailable, RequestRejected or
        MalformedRow.
        """
        table = self.statements.requests_table
        names = {
            "#id": schema.REQUEST_ID,
            "#status": schema.STATUS,
            "#revision": schema.REVISION,
        }
        rows = await self._batch_get(
            [RowKey(table, schema.REQUEST_ID, request_id) for request_id in request_ids],
            {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names},
        )
        return {
            key.value: StatusSnapshot(*schema.status_from_item(item))
            for key, item in rows.items()
            if item is not None
        }

    async def query(
        self,
        index: Index,
        shard: str,
        times: TimeRange,
        *,
        after: IndexKey | None,
        limit: int,
        failure_code: FailureCode | None = None,
    ) -> IndexPage:
        """Read up to `limit` keys of one shard of an index, newest first; eventually consistent.

        `after` is an earlier page's `resume`, within `times`. With `failure_code`, keys with another one are left out;
        they cost read units all the same. Raises DependencyUnavailable or RequestRejected.
        """
        table = self.statements.requests_table
        members = query_members(table, index, shard, times, after=after, limit=limit)
        if failure_code is not None:
            filter_failure_code(members, failure_code)
        return await self._call("Query", members, partial(decode_index_page, index, limit))

    async def reopen(
        self,
        request_id: str,
        failed_revision: int,
        *,
        now: int,
        customer_id: str | None = None,
        url: str | None = None,
    ) -> None:
        """Make a request that is FAILED at `failed_revision` PENDING at the next, without its failure.

        If given, `customer_id` and `url` must be the row's: the caller's record of the failure may be of an earlier
        request with the same id. `now` is in milliseconds since the epoch. Raises ConditionNotMet or
        DependencyUnavailable.

        Not batched, because it is an operator's write. An UpdateItem, because emulators and DynamoDB disagree on how
        PartiQL removes several attributes.
        """
        given = {schema.CUSTOMER_ID: customer_id, schema.ORIGIN_URL: url}
        expected = {name: value for name, value in given.items() if value is not None}
        try:
            await self._call(
                "UpdateItem",
                {
                    "TableName": self.statements.requests_table,
                    "Key": schema.request_key(request_id),
                    **schema.reopen_update(failed_revision, now, expected),
                },
                no_members,
            )
        except RequestRejected as rejection:
            if rejection.code == "ConditionalCheckFailedException":
                raise ConditionNotMet(rejection.code) from rejection
            raise DependencyUnavailable(str(rejection)) from rejection

    async def drain(self) -> None:
        await self._writes.drain()
        await self._reads.drain()

    async def _call(
        self, operation: str, members: Mapping[str, Any], decode: Callable[[Mapping[str, Any]], R]
    ) -> R:
        invocation = self._dynamodb.invoke(operation, members)
        return await call(f"dynamodb:{operation}", invocation, decode)

    async def _execute(self, batch: Sequence[Statement]) -> Sequence[ItemResult[None]]:
        statements: list[Any] = [
            {"Statement": statement.text, "Parameters": statement.parameters} for statement in batch
        ]
        errors = await self._call(
            "BatchExecuteStatement",
            {"Statements": statements},
            partial(decode_statements, len(batch)),
        )
        return [_outcome(error) for error in errors]

    async def _get(self, batch: Sequence[RowKey]) -> Sequence[ItemResult[schema.Item | None]]:
        rows = await self._batch_get(batch, {"ConsistentRead": True})
        return [Ok(rows[key]) if key in rows else Retry("unprocessed key") for key in batch]

    async def _batch_get(
        self, keys: Sequence[RowKey], options: Mapping[str, Any]
    ) -> dict[RowKey, schema.Item | None]:
        """Return the row of each key that was read, None if there is none. `options` apply to every table."""
        by_table: dict[str, Any] = {}
        for key in keys:
            request = by_table.setdefault(key.table, {**options, "Keys": []})
            request["Keys"].append({key.name: schema.string(key.value)})
        return await self._call(
            "BatchGetItem", {"RequestItems": by_table}, partial(decode_rows, keys)
        )


def _image_id_of(request_id: str) -> str:
    try:
        return image_id_of(request_id)
    except ValueError as error:  # no version of this system writes an id that is no UUID
        raise MalformedRow(request_id, repr(error)) from error


def _outcome(error: StatementError | None) -> ItemResult[None]:
    if error is None:
        return OK
    code, message = error.code, error.message
    if code in _CONDITION_NOT_MET:
        return Failed(ConditionNotMet(code))
    if code in _RETRYABLE:
        return Retry(code)
    if code in _REJECTED:
        return Failed(RequestRejected("dynamodb:BatchExecuteStatement", code, message))
    return Failed(DependencyUnavailable(f"dynamodb:BatchExecuteStatement: {code}: {message}"))
