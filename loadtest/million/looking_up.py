"""Reading every acknowledged id, consistently: from the tables where AWS can be reached, else by GetStatus.

BatchGetItem reads 50 requests with their images in one call and troubles no process under test. GetStatus is the public
contract, works against any address, and takes the server about as long as a submit.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import grpc

from core.dynamodb import schema
from core.model.image import image_id_of
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.aws_access import AwsAccess
from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, FAILED
from loadtest.million.proof import Found, StoredImage

REQUESTS_OF_A_CALL = 50
"""Two keys for each, and BatchGetItem takes 100."""
READERS = 8
GET_STATUS_AT_ONCE = 64
CALL_SECONDS = 30.0
PAUSE_SECONDS = 0.5


class LookUp(Protocol):
    size: int
    """Items of one `find`."""
    at_once: int

    async def find(self, numbers: Sequence[int]) -> dict[int, Found]:
        """What is there; an item that is absent is not in the answer."""


class TableLookUp:
    size, at_once = REQUESTS_OF_A_CALL, READERS

    def __init__(self, aws: AwsAccess, items: Items) -> None:
        self._aws = aws
        self._items = items

    async def find(self, numbers: Sequence[int]) -> dict[int, Found]:
        ids = {number: self._items.request_id(number) for number in numbers}
        requests, images = await self._read(
            {
                self._aws.requests_table: _keys(
                    schema.REQUEST_ID, list(ids.values()), (schema.STATUS, schema.REVISION)
                ),
                self._aws.images_table: _keys(
                    schema.IMAGE_ID,
                    [image_id_of(one) for one in ids.values()],
                    (schema.S3_URL, schema.METADATA),
                ),
            }
        )
        rows = {row[schema.REQUEST_ID]["S"]: row for row in requests}
        stored = {row[schema.IMAGE_ID]["S"]: self._stored(row) for row in images}
        return {
            number: Found(
                state=rows[request_id][schema.STATUS]["S"],
                revision=int(rows[request_id][schema.REVISION]["N"]),
                image=stored.get(image_id_of(request_id)),
            )
            for number, request_id in ids.items()
            if request_id in rows
        }

    def _stored(self, row: dict[str, Any]) -> StoredImage:
        base = self._aws.public_base_url
        key = row[schema.S3_URL]["S"].removeprefix("s3://").split("/", 1)[1]
        return StoredImage(base and base + key, row[schema.METADATA]["M"]["sha256"]["S"])

    async def _read(self, wanted: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        found: dict[str, list[Any]] = {name: [] for name in wanted}
        left: Any = wanted
        while left:
            answer = await self._aws.clients.wire.dynamodb.invoke(
                "BatchGetItem", {"RequestItems": left}
            )
            for name, rows in answer["Responses"].items():
                found[name] += rows
            left = answer.get("UnprocessedKeys")
            if left:
                await asyncio.sleep(PAUSE_SECONDS)
        return found[self._aws.requests_table], found[self._aws.images_table]


def _keys(key: str, ids: Sequence[str], others: Sequence[str]) -> dict[str, Any]:
    names = {f"#{at}": name for at, name in enumerate((key, *others))}
    return {
        "ConsistentRead": True,
        "Keys": [{key: {"S": one}} for one in ids],
        "ProjectionExpression": ", ".join(names),
        "ExpressionAttributeNames": names,
    }


class StatusLookUp:
    size, at_once = 1, GET_STATUS_AT_ONCE

    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", items: Items) -> None:
        self._stub = stub
        self._items = items

    async def find(self, numbers: Sequence[int]) -> dict[int, Found]:
        found = {}
        for number in numbers:
            try:
                answer = await self._stub.GetStatus(
                    pb.GetStatusRequest(request_id=self._items.request_id(number)),
                    timeout=CALL_SECONDS,
                    wait_for_ready=True,
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    continue
                raise
            found[number] = found_of(answer.request)
        return found


def found_of(request: pb.ImageRequest) -> Found:
    states = {pb.STATE_COMPLETED: COMPLETED, pb.STATE_FAILED: FAILED}
    state = states.get(request.state, pb.State.Name(request.state).removeprefix("STATE_"))
    image = None
    if request.HasField("image"):
        image = StoredImage(request.image.public_url, request.image.metadata.sha256)
    return Found(state, request.revision, image)


def chunks(numbers: Iterator[int], size: int) -> Iterator[list[int]]:
    while chunk := list(islice(numbers, size)):
        yield chunk
