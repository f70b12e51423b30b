"""Queries of the two indexes of requests by customer: one shard, newest first. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from core.answers import member
from core.dynamodb import schema
from core.dynamodb.answers import decode_page
from core.dynamodb.schema import Item, number, string
from core.errors import FailureCode


@dataclass(frozen=True, slots=True)
class Index:
    """`shard` and `time` are the attributes of the index's key."""

    name: str
    shard: str
    time: str


BY_CUSTOMER = Index("byCustomer", schema.CUSTOMER_SHARD, schema.CREATED_AT)
BY_FAILURE = Index("byFailure", schema.FAILURE_SHARD, schema.UPDATED_AT)


class IndexKey(NamedTuple):
    """A request in an index. `time` is in milliseconds since the epoch. A tuple, because comparisons are frequent."""

    time: int
    request_id: str


class TimeRange(NamedTuple):
    """Times in milliseconds since the epoch, both inclusive. The range is empty if `first` is later than `last`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class IndexPage:
    """The keys that one query found, newest first. `resume` is the key to continue after, None at the shard's end.

    `left_out` is the number of keys with another failure code than the query's.
    Keys of the same time are in an arbitrary order, which is the same in every query.
    """

    keys: tuple[IndexKey, ...]
    resume: IndexKey | None
    left_out: int = 0


EMPTY_PAGE = IndexPage((), None)


def query_members(
    table: str, index: Index, shard: str, times: TimeRange, *, after: IndexKey | None, limit: int
) -> dict[str, Any]:
    """Return the members of a Query. DynamoDB rejects an empty `times`, and an `after` outside of it."""
    members: dict[str, Any] = {
        "TableName": table,
        "IndexName": index.name,
        "KeyConditionExpression": "#shard = :shard AND #time BETWEEN :first AND :last",
        "ProjectionExpression": "#time, #id",
        "ExpressionAttributeNames": {
            "#shard": index.shard,
            "#time": index.time,
            "#id": schema.REQUEST_ID,
        },
        "ExpressionAttributeValues": {
            ":shard": string(shard),
            ":first": number(times.first),
            ":last": number(times.last),
        },
        "ScanIndexForward": False,
        "Limit": limit,
    }
    if after is not None:
        members["ExclusiveStartKey"] = {
            **schema.request_key(after.request_id),
            index.shard: string(shard),
            index.time: number(after.time),
        }
    return members


def filter_failure_code(members: dict[str, Any], code: FailureCode) -> None:
    """Make DynamoDB leave out the keys of other codes."""
    members["FilterExpression"] = "#code = :code"
    members["ExpressionAttributeNames"]["#code"] = schema.FAILURE_CODE
    members["ExpressionAttributeValues"][":code"] = schema.string(code)


def decode_index_page(index: Index, limit: int, answer: Mapping[str, Any]) -> IndexPage:
    """Decode a Query of `query_members`. An index has no row without the attributes of its key."""
    page = decode_page(limit, answer)
    return IndexPage(
        keys=tuple(_key(index, item) for item in page.items),
        resume=None if page.last is None else _key(index, page.last),
        left_out=page.scanned - len(page.items),
    )


def _key(index: Index, item: Item) -> IndexKey:
    time = int(member(item[index.time], "N", str))
    return IndexKey(time, member(item[schema.REQUEST_ID], "S", str))
