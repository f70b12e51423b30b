"""The null AWS's rows: every id that is asked for is there, PENDING until a bench says otherwise."""

import json
from collections.abc import Iterable
from typing import Any

from core.dynamodb import schema
from core.model.request import FIRST_REVISION, State, image_id_of, new_request, next_revision
from core.runtime.clock import now_ms
from loadtest.bench.null_aws.answers import response

_URL = "http://127.0.0.1/picture.jpg"
_PICTURE: schema.Item = {
    "format": schema.string("JPEG"),
    "mediaType": schema.string("image/jpeg"),
    "width": schema.number(1),
    "height": schema.number(1),
    "frames": schema.number(1),
}


class NullRows:
    """A row is there from its first read on, and has an age from then; writes leave no trace."""

    def __init__(self) -> None:
        self._requests: dict[str, schema.Item] = {}
        self._images: dict[str, schema.Item] = {}
        self._age_ms = 0

    def age(self, seconds: float) -> None:
        """From now on rows are so old when they are first read."""
        self._age_ms = round(seconds * 1_000)

    def complete(self, request_ids: Iterable[str]) -> None:
        """From now on these are COMPLETED, with an image."""
        for request_id in request_ids:
            image_id = image_id_of(request_id)
            row = self._request(request_id)
            row[schema.STATUS] = schema.string(State.COMPLETED)
            row[schema.REVISION] = schema.number(next_revision(FIRST_REVISION))
            row[schema.UPDATED_AT] = schema.number(now_ms())
            row[schema.IMAGE_ID] = schema.string(image_id)
            self._images[image_id] = _image(image_id, request_id)

    def batch_get(self, body: bytes) -> tuple[int, bytes]:
        """How many keys were asked for, and the answer of BatchGetItem."""
        found: dict[str, list[schema.Item]] = {}
        count = 0
        for table, asked in json.loads(body)["RequestItems"].items():
            rows = [self._row(key) for key in asked["Keys"]]
            count += len(rows)
            found[table] = [_projected(row, asked) for row in rows if row is not None]
        return count, response(json.dumps({"Responses": found, "UnprocessedKeys": {}}))

    def _row(self, key: schema.Item) -> schema.Item | None:
        if schema.IMAGE_ID in key:
            return self._images.get(key[schema.IMAGE_ID]["S"])
        return self._request(key[schema.REQUEST_ID]["S"])

    def _request(self, request_id: str) -> schema.Item:
        row = self._requests.get(request_id)
        if row is None:
            request = new_request(
                request_id=request_id,
                customer_id="bench",
                url=_URL,
                labels={},
                now=now_ms() - self._age_ms,
            )
            row = self._requests[request_id] = schema.new_request_item(request, shards=1)
        return row


def _image(image_id: str, request_id: str) -> schema.Item:
    return {
        schema.IMAGE_ID: schema.string(image_id),
        schema.REQUEST_ID: schema.string(request_id),
        schema.CUSTOMER_ID: schema.string("bench"),
        schema.S3_URL: schema.string("s3://bucket/images/00/0/0.jpg"),
        schema.CREATED_AT: schema.number(now_ms()),
        schema.METADATA: {"M": _PICTURE},
        schema.PROVENANCE: {"M": {}},
    }


def _projected(row: schema.Item, asked: dict[str, Any]) -> schema.Item:
    if "ProjectionExpression" not in asked:
        return row
    names = asked["ExpressionAttributeNames"].values()
    return {name: row[name] for name in names if name in row}
