"""The schema of both tables: attribute names, and the conversion of rows. No other module knows them.

Rows in DynamoDB's typed form are built by hand: they are small and their shape is known, and boto's generic serialiser
costs several times as much.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import structlog

from core.answers import SHAPE_ERRORS
from core.errors import MalformedRow
from core.model.image import ImageMetadata, ImageRecord, Provenance
from core.model.rendition import Rendition, is_renditions_id
from core.model.request import Failure, ImageRequest, State, customer_shard, next_revision
from core.model.reuse import FetchRecord, is_fetch_record_id

_log = structlog.get_logger()

Attribute = dict[str, Any]
Item = dict[str, Attribute]
FieldValue = str | int | tuple[str, ...]
"""A value of image metadata or of a provenance."""

REQUEST_ID = "requestId"
CUSTOMER_ID = "customerId"
CUSTOMER_SHARD = "customerShard"
ORIGIN_URL = "originUrl"
STATUS = "status"
REVISION = "revision"
RETRY_COUNT = "retryCount"
CLAIMS = "claims"
RUN_ID = "runId"
CREATED_AT = "createdAt"
UPDATED_AT = "updatedAt"
PAYLOAD_HASH = "payloadHash"
LABELS = "labels"
IMAGE_ID = "imageId"
FAILURE_SHARD = "failureShard"
FAILURE_CODE = "failureCode"
FAILURE_MESSAGE = "failureMessage"
FAILURE_ATTEMPTS = "failureAttempts"
EXPIRES_AT = "expiresAt"
S3_URL = "s3Url"
METADATA = "metadata"
PROVENANCE = "provenance"
REQUEST_CREATED_AT = "requestCreatedAt"
RENDITIONS = "renditions"
NOT_AFTER = "notAfter"
REUSE_WITHIN = "reuseWithin"
FETCHED_IMAGE_ID = "fetchedImageId"
FETCHED_AT = "fetchedAt"
FETCH_RULES = "fetchRules"
SUBMIT_ID = "submitId"


def string(value: str) -> Attribute:
    return {"S": value}


def number(value: int) -> Attribute:
    return {"N": str(value)}


def request_key(request_id: str) -> Item:
    return {REQUEST_ID: string(request_id)}


def new_request_item(request: ImageRequest, *, shards: int) -> Item:
    # Each submit makes one: literals take half the time of calls of `string` and `number`.
    item: Item = {
        REQUEST_ID: {"S": request.request_id},
        CUSTOMER_ID: {"S": request.customer_id},
        CUSTOMER_SHARD: {"S": customer_shard(request.customer_id, request.request_id, shards)},
        ORIGIN_URL: {"S": request.origin_url},
        STATUS: {"S": request.state},
        REVISION: {"N": str(request.revision)},
        RETRY_COUNT: {"N": str(request.retry_count)},
        CREATED_AT: {"N": str(request.created_at)},
        UPDATED_AT: {"N": str(request.updated_at)},
        PAYLOAD_HASH: {"S": request.payload_hash},
    }
    if request.labels:
        item[LABELS] = _strings(request.labels)
    if request.renditions:
        item[RENDITIONS] = {"L": [string(name) for name in request.renditions]}
    if request.not_after:
        item[NOT_AFTER] = number(request.not_after)
    if request.reuse_within:
        item[REUSE_WITHIN] = number(request.reuse_within)
    if request.submit_id:
        item[SUBMIT_ID] = string(request.submit_id)
    return item


def log_malformed_row(error: MalformedRow, **context: str) -> None:
    """Log a row that the caller skips, because one such row must not stop the others."""
    _log.error("malformed row skipped", key=error.key, error=str(error), **context)


def _malformed(item: Mapping[str, Attribute], key: str, error: Exception) -> MalformedRow:
    try:
        name = str(item[key]["S"])
    except SHAPE_ERRORS:
        name = f"without {key}"
    return MalformedRow(name, repr(error))


def request_from_item(item: Mapping[str, Attribute]) -> ImageRequest:
    """Convert a row of the table of requests. Raises MalformedRow."""
    try:
        return ImageRequest(
            request_id=item[REQUEST_ID]["S"],
            customer_id=item[CUSTOMER_ID]["S"],
            origin_url=item[ORIGIN_URL]["S"],
            payload_hash=item[PAYLOAD_HASH]["S"],
            created_at=int(item[CREATED_AT]["N"]),
            updated_at=int(item[UPDATED_AT]["N"]),
            labels={name: value["S"] for name, value in item.get(LABELS, {"M": {}})["M"].items()},
            state=State(item[STATUS]["S"]),
            revision=int(item[REVISION]["N"]),
            retry_count=int(item[RETRY_COUNT]["N"]),
            claims=_optional_int(item, CLAIMS),
            run_ids=tuple(item[RUN_ID]["S"].split(",")) if RUN_ID in item else (),
            image_id=item[IMAGE_ID]["S"] if IMAGE_ID in item else None,
            failure=_failure(item),
            expires_at=int(item[EXPIRES_AT]["N"]) if EXPIRES_AT in item else None,
            renditions=tuple(name["S"] for name in item.get(RENDITIONS, {"L": ()})["L"]),
            not_after=_optional_int(item, NOT_AFTER),
            reuse_within=_optional_int(item, REUSE_WITHIN),
            submit_id=item[SUBMIT_ID]["S"] if SUBMIT_ID in item else "",
        )
    except SHAPE_ERRORS as error:
        raise _malformed(item, REQUEST_ID, error) from error


def _optional_int(item: Mapping[str, Attribute], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0


def status_from_item(item: Mapping[str, Attribute]) -> tuple[State, int]:
    """Return state and revision of a row of the table of requests. Raises MalformedRow."""
    try:
        return State(item[STATUS]["S"]), int(item[REVISION]["N"])
    except SHAPE_ERRORS as error:
        raise _malformed(item, REQUEST_ID, error) from error


def _failure(item: Mapping[str, Attribute]) -> Failure | None:
    if FAILURE_CODE not in item:
        return None
    return Failure(
        code=item[FAILURE_CODE]["S"],
        message=item[FAILURE_MESSAGE]["S"],
        attempts=int(item[FAILURE_ATTEMPTS]["N"]),
    )


def reopen_update(failed_revision: int, now: int, expected: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of an UpdateItem that makes a FAILED request PENDING at the next revision.

    Removing the failure's attributes removes the row from the index of failures. `expected` are attributes that the
    row must have. `now` is in milliseconds since the epoch.
    """
    changes = {
        STATUS: string(State.PENDING),
        REVISION: number(next_revision(failed_revision)),
        UPDATED_AT: number(now),
        RETRY_COUNT: number(0),
        CLAIMS: number(0),
    }
    removals = (FAILURE_SHARD, FAILURE_CODE, FAILURE_MESSAGE, FAILURE_ATTEMPTS, EXPIRES_AT)
    names = {f"#{name}": name for name in (*changes, *removals, *expected)}
    sets = ", ".join(f"#{name} = :{name}" for name in changes)
    removes = ", ".join(f"#{name}" for name in removals)
    values = {f":{name}": value for name, value in changes.items()}
    values |= {f":{name}": string(value) for name, value in expected.items()}
    conditions = "".join(f" AND #{name} = :{name}" for name in expected)
    return {
        "UpdateExpression": f"SET {sets} REMOVE {removes}",
        "ConditionExpression": f"#{STATUS} = :failed AND #{REVISION} = :before{conditions}",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {
            **values,
            ":failed": string(State.FAILED),
            ":before": number(failed_revision),
        },
    }


def image_item(record: ImageRecord) -> Item:
    item = {
        IMAGE_ID: string(record.image_id),
        REQUEST_ID: string(record.request_id),
        CUSTOMER_ID: string(record.customer_id),
        S3_URL: string(record.s3_url),
        CREATED_AT: number(record.created_at),
        METADATA: _map_of(record.metadata),
        PROVENANCE: _map_of(record.provenance),
    }
    if record.request_created_at:
        item[REQUEST_CREATED_AT] = number(record.request_created_at)
    return item


def image_from_item(item: Mapping[str, Attribute]) -> ImageRecord:
    """Convert a row of the table of images. Raises MalformedRow."""
    try:
        return ImageRecord(
            image_id=item[IMAGE_ID]["S"],
            request_id=item[REQUEST_ID]["S"],
            customer_id=item[CUSTOMER_ID]["S"],
            s3_url=item[S3_URL]["S"],
            created_at=int(item[CREATED_AT]["N"]),
            metadata=ImageMetadata(**_values_of(ImageMetadata, item[METADATA]["M"])),
            provenance=Provenance(**_values_of(Provenance, item[PROVENANCE]["M"])),
            request_created_at=_optional_int(item, REQUEST_CREATED_AT),
        )
    except SHAPE_ERRORS as error:
        raise _malformed(item, IMAGE_ID, error) from error


def is_image_item(item: Mapping[str, Attribute]) -> bool:
    """Return whether a row of the table of images is an image, and not its renditions or the record of a fetch."""
    try:
        key = item[IMAGE_ID]["S"]
        return not (is_renditions_id(key) or is_fetch_record_id(key))
    except SHAPE_ERRORS:
        return True  # `image_from_item` reports it.


def renditions_update(renditions: Sequence[Rendition]) -> dict[str, Any]:
    """Return the arguments of an UpdateItem that adds renditions to their image's row, or creates the row.

    Each is an attribute with the name of its preset. That is in lower case, so it is no other attribute's name. A
    failure replaces nothing: another run may have made the rendition meanwhile.
    """
    sets = [
        f"#{at} = if_not_exists(#{at}, :{at})" if each.failed else f"#{at} = :{at}"
        for at, each in enumerate(renditions)
    ]
    return {
        "UpdateExpression": "SET " + ", ".join(sets),
        "ExpressionAttributeNames": {f"#{at}": each.preset for at, each in enumerate(renditions)},
        "ExpressionAttributeValues": {
            f":{at}": _map_of(each) for at, each in enumerate(renditions)
        },
    }


def renditions_from_item(item: Mapping[str, Attribute]) -> tuple[Rendition, ...]:
    """Convert a row of renditions, sorted by preset. Raises MalformedRow."""
    try:
        return tuple(
            Rendition(**_values_of(Rendition, item[name]["M"]))
            for name in sorted(item)
            if name != IMAGE_ID
        )
    except SHAPE_ERRORS as error:
        raise _malformed(item, IMAGE_ID, error) from error


def fetch_record_update(customer_id: str, fetch: FetchRecord) -> dict[str, Any]:
    """Return the arguments of an UpdateItem that writes the record of a fetch in place of an earlier one.

    The customer is there for the deletion of a customer's data: the key is a hash.
    """
    values = {
        CUSTOMER_ID: string(customer_id),
        FETCHED_IMAGE_ID: string(fetch.image_id),
        FETCHED_AT: number(fetch.fetched_at),
        FETCH_RULES: string(fetch.rules),
        EXPIRES_AT: number(fetch.expires_at),
    }
    return {
        "UpdateExpression": "SET " + ", ".join(f"{name} = :{name}" for name in values),
        "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
    }


def fetch_record_from_item(item: Mapping[str, Attribute]) -> FetchRecord:
    """Convert the record of a fetch. Raises MalformedRow."""
    try:
        return FetchRecord(
            image_id=item[FETCHED_IMAGE_ID]["S"],
            fetched_at=int(item[FETCHED_AT]["N"]),
            rules=item[FETCH_RULES]["S"],
        )
    except SHAPE_ERRORS as error:
        raise _malformed(item, IMAGE_ID, error) from error


_KINDS: dict[str, tuple[Any, Callable[[Attribute], Any]]] = {
    "str": ("", lambda attribute: attribute["S"]),
    "int": (0, lambda attribute: int(attribute["N"])),
    "bool": (False, lambda attribute: attribute["BOOL"]),
    "tuple[str, ...]": ((), lambda attribute: tuple(each["S"] for each in attribute["L"])),
}
"""By a field's type: the value of an absent attribute, and how one is read."""


_Record = ImageMetadata | Provenance | Rendition


def _map_of(record: _Record) -> Attribute:
    """Return a map without empty values: an absent attribute costs no bytes."""
    return {"M": {name: _attribute(value) for name, value in camel_items(record) if value}}


def _values_of(kind: type[_Record], stored: Mapping[str, Attribute]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields(kind):
        kind_name = field.type.__name__ if isinstance(field.type, type) else str(field.type)
        attribute = stored.get(camel(field.name))
        default, read = _KINDS[kind_name]
        values[field.name] = default if attribute is None else read(attribute)
    return values


def camel_items(record: _Record) -> Iterator[tuple[str, FieldValue]]:
    """Yield a record's fields by their names in rows and notifications."""
    names, read_values = _CAMEL_FIELDS[type(record)]
    return zip(names, read_values(record), strict=True)


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _attribute(value: FieldValue) -> Attribute:
    return _ATTRIBUTES[type(value)](value)


def _strings(values: Mapping[str, str]) -> Attribute:
    return {"M": {name: string(value) for name, value in values.items()}}


_ATTRIBUTES: dict[type, Callable[[Any], Attribute]] = {
    str: string,
    int: number,
    bool: lambda value: {"BOOL": value},
    tuple: lambda value: {"L": [string(each) for each in value]},
}
_CAMEL_FIELDS: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[FieldValue, ...]]]] = {
    kind: (
        tuple(camel(field.name) for field in fields(kind)),
        attrgetter(*(field.name for field in fields(kind))),
    )
    for kind in (ImageMetadata, Provenance, Rendition)
}
