"""Reads and writes both tables. Concurrent callers share their calls."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.aws.client import call
from core.aws.http import JsonService
from core.batcher import NO_LINGER, OK, Batcher, Batching, Failed, ItemResult, Ok, Retry
from core.dynamodb import schema
from core.dynamodb.index_query import (
    Index,
    IndexKey,
    IndexPage,
    TimeRange,
    index_page,
    query_members,
)
from core.dynamodb.statements import Statement, Statements
from core.errors import DependencyUnavailable, ImageServiceError, MalformedRow, RequestRejected
from core.model.image import ImageRecord, image_id_of, is_image_of, reused_image_id
from core.model.request import ImageRequest, State

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

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


@dataclass(frozen=True, slots=True)
class _Key:
    table: str
    name: str
    value: str


class Tables:
    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        http: JsonService,
        statements: Statements,
        batching: Batching = NO_LINGER,
    ) -> None:
        self._dynamodb = dynamodb
        self._http = http
        self.statements = statements
        self._writes: Batcher[Statement, None] = Batcher(
            "dynamodb writes",
            self._execute,
            max_batch=MAX_STATEMENTS,
            batching=batching,
            key=lambda statement: statement.key,
        )
        self._reads: Batcher[_Key, schema.Item | None] = Batcher(
            "dynamodb reads", self._get, max_batch=MAX_KEYS, key=lambda key: key
        )

    async def write(self, statement: Statement) -> None:
        """Execute a statement. Raises ConditionNotMet, Overloaded, DependencyUnavailable or RequestRejected."""
        await self.write_nowait(statement)

    def write_nowait(self, statement: Statement) -> asyncio.Future[None]:
        """Start a write without a task; the future ends as `write` would. Raises Overloaded at once."""
        return self._writes.submit_nowait(statement)

    async def read_request(self, request_id: str) -> ImageRequest | None:
        """Read a request, strongly consistent. Raises Overloaded, DependencyUnavailable or MalformedRow."""
        key = _Key(self.statements.requests_table, schema.REQUEST_ID, request_id)
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

    async def read_image_by_id(self, image_id: str) -> ImageRecord | None:
        """Read an image, strongly consistent. Raises Overloaded, DependencyUnavailable or MalformedRow."""
        key = _Key(self.statements.images_table, schema.IMAGE_ID, image_id)
        item = await self._reads.submit(key)
        return None if item is None else schema.image_from_item(item)

    async def read_statuses(self, request_ids: Sequence[str]) -> dict[str, StatusSnapshot]:
        """Read state and revision of up to MAX_KEYS requests; eventually consistent, at half the price.

        A request that is not in the result was not read this time. Raises DependencyUnavailable, RequestRejected or
        MalformedRow.
        """
        table = self.statements.requests_table
        wanted = {
            "Keys": [schema.request_key(request_id) for request_id in request_ids],
            "ProjectionExpression": "#id, #status, #revision",
            "ExpressionAttributeNames": {
                "#id": schema.REQUEST_ID,
                "#status": schema.STATUS,
                "#revision": schema.REVISION,
            },
        }
        response = await self._invoke("BatchGetItem", {"RequestItems": {table: wanted}})
        return {
            item[schema.REQUEST_ID]["S"]: StatusSnapshot(*schema.status_from_item(item))
            for item in response["Responses"].get(table, [])
        }

    async def query(
        self, index: Index, shard: str, times: TimeRange, *, after: IndexKey | None, limit: int
    ) -> IndexPage:
        """Read up to `limit` keys of one shard of an index, newest first; eventually consistent.

        `after` is an earlier page's `resume`, within `times`. Raises DependencyUnavailable or RequestRejected.
        """
        table = self.statements.requests_table
        members = query_members(table, index, shard, times, after=after, limit=limit)
        return index_page(index, await self._invoke("Query", members))

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
            await call(
                "dynamodb:UpdateItem",
                self._dynamodb.update_item(
                    TableName=self.statements.requests_table,
                    Key=schema.request_key(request_id),
                    **schema.reopen_update(failed_revision, now, expected),
                ),
            )
        except RequestRejected as rejection:
            if rejection.code == "ConditionalCheckFailedException":
                raise ConditionNotMet(rejection.code) from rejection
            raise DependencyUnavailable(str(rejection)) from rejection

    async def drain(self) -> None:
        await self._writes.drain()
        await self._reads.drain()

    async def _invoke(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        return await call(f"dynamodb:{operation}", self._http.invoke(operation, members))

    async def _execute(self, batch: Sequence[Statement]) -> Sequence[ItemResult[None]]:
        statements: list[Any] = [
            {"Statement": statement.text, "Parameters": statement.parameters} for statement in batch
        ]
        response = await self._invoke("BatchExecuteStatement", {"Statements": statements})
        return [_outcome(result.get("Error")) for result in response["Responses"]]

    async def _get(self, batch: Sequence[_Key]) -> Sequence[ItemResult[schema.Item | None]]:
        by_table: dict[str, Any] = {}
        for key in batch:
            keys = by_table.setdefault(key.table, {"ConsistentRead": True, "Keys": []})["Keys"]
            keys.append({key.name: schema.string(key.value)})
        response = await self._invoke("BatchGetItem", {"RequestItems": by_table})
        try:
            found = response["Responses"]
            left: Mapping[str, Any] = response.get("UnprocessedKeys", {})
            return [_found(key, found.get(key.table, []), left) for key in batch]
        except (LookupError, TypeError, AttributeError) as error:
            # The answer itself is malformed, not a row in it.
            raise DependencyUnavailable(
                f"dynamodb:BatchGetItem: malformed answer: {error!r}"
            ) from error


def _image_id_of(request_id: str) -> str:
    try:
        return image_id_of(request_id)
    except ValueError as error:  # no version of this system writes an id that is no UUID
        raise MalformedRow(request_id, repr(error)) from error


def _outcome(error: Mapping[str, Any] | None) -> ItemResult[None]:
    if not error:
        return OK
    code, message = error["Code"], error.get("Message", "")
    if code in _CONDITION_NOT_MET:
        return Failed(ConditionNotMet(code))
    if code in _RETRYABLE:
        return Retry(code)
    if code in _REJECTED:
        return Failed(RequestRejected("dynamodb:BatchExecuteStatement", code, message))
    return Failed(DependencyUnavailable(f"dynamodb:BatchExecuteStatement: {code}: {message}"))


def _found(
    key: _Key, items: Sequence[Mapping[str, Any]], left: Mapping[str, Any]
) -> ItemResult[schema.Item | None]:
    for item in items:
        if item[key.name]["S"] == key.value:
            return Ok(dict(item))
    skipped = left.get(key.table, {}).get("Keys", [])
    if any(unread[key.name]["S"] == key.value for unread in skipped):
        return Retry("unprocessed key")
    return Ok(None)
