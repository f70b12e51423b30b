"""What the answers of S3 mean for a request."""

import gzip
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from multidict import CIMultiDict, MultiMapping

from consumer.fetching.body_budget import BodyBudget
from consumer.fetching.hop_headers import Validator
from consumer.fetching.s3_origin import ObjectOrigin
from core.errors import (
    DependencyUnavailable,
    ImageServiceError,
    NotFound,
    OriginError,
    OriginRefused,
    TooLarge,
)

HEAD = {"ETag": '"1"', "Content-Length": "4", "Content-Type": "image/png"}
URL = "s3://uploads/a.png"


class ScriptedBucket:
    """A bucket with these answers. `sent` counts the bytes of bodies."""

    def __init__(self, head: Any, body: Any = b"body") -> None:
        self._head = head
        self._body = body
        self.conditions: list[str] = []
        self.sent = 0

    async def head_object(self, _key: str) -> tuple[int, MultiMapping[str]]:
        if isinstance(self._head, Exception):
            raise self._head
        known = isinstance(self._head, dict)
        return (200, CIMultiDict(self._head)) if known else (self._head, CIMultiDict())

    async def get_object(
        self, _key: str, *, if_match: str = ""
    ) -> tuple[Mapping[str, str], bytes] | None:
        self.conditions.append(if_match)
        if isinstance(self._body, Exception):
            raise self._body
        if self._body is None or if_match not in {"", HEAD["ETag"]}:
            return None
        self.sent += len(self._body)
        return HEAD, self._body


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")


def origin_of(bucket: Any, opened: list[str] | None = None, *, max_bytes: int = 10) -> ObjectOrigin:
    def open_bucket(name: str) -> Any:
        if opened is not None:
            opened.append(name)
        return bucket

    def allows(name: str, key: str, customer_id: str) -> bool:
        return (name, customer_id) == ("uploads", "acme") and key.startswith("a")

    return ObjectOrigin(open_bucket, allows, max_bytes=max_bytes, timeout=5)


@pytest.mark.parametrize(
    ("bucket", "failure"),
    [
        (ScriptedBucket(404), NotFound),
        (ScriptedBucket(403), OriginRefused),
        (ScriptedBucket(403, None), OriginRefused),
        (ScriptedBucket(403, error("ExpiredToken")), DependencyUnavailable),
        (ScriptedBucket(301), OriginRefused),
        (ScriptedBucket(400), OriginRefused),
        (ScriptedBucket(error("SlowDown")), OriginError),
        (ScriptedBucket(TimeoutError()), OriginError),
        (ScriptedBucket({"Content-Length": "4"}), OriginError),
        (ScriptedBucket(HEAD, None), OriginError),
        (ScriptedBucket(HEAD, error("InternalError")), OriginError),
        (ScriptedBucket({**HEAD, "Content-Length": "11"}), TooLarge),
    ],
)
async def test_each_answer_has_its_failure(
    bucket: ScriptedBucket, failure: type[ImageServiceError]
) -> None:
    """All memory is returned."""
    budget = BodyBudget(20, max_bytes=10)
    with pytest.raises(failure):
        await origin_of(bucket).fetch(URL, "acme", None, budget)
    assert budget.free == 20


async def test_no_body_is_read_whose_size_is_not_known() -> None:
    """S3 may refuse the HEAD and allow the GET, which is sent only for the code of the refusal."""
    bucket = ScriptedBucket(403)
    with pytest.raises(OriginRefused):
        await origin_of(bucket).fetch(URL, "acme", None, BodyBudget(20, max_bytes=10))
    assert (len(bucket.conditions), bucket.sent) == (1, 0)


async def test_an_object_is_read_in_the_version_that_was_measured() -> None:
    bucket, budget = ScriptedBucket(HEAD), BodyBudget(20, max_bytes=10)
    with await origin_of(bucket).fetch(URL, "acme", None, budget) as fetched:
        assert (fetched.body, fetched.provenance.etag, budget.free) == (b"body", '"1"', 16)
    assert (bucket.conditions, budget.free) == (['"1"'], 20)


@pytest.mark.parametrize(("etag", "modified"), [('"1"', False), ('"2"', True), ("", True)])
async def test_a_known_version_is_not_read_again(etag: str, modified: bool) -> None:
    bucket = ScriptedBucket(HEAD)
    validator = Validator(URL, etag, "")
    with await origin_of(bucket).fetch(URL, "acme", validator, BodyBudget(20, max_bytes=10)) as got:
        assert got.modified is modified
    assert len(bucket.conditions) == modified


@pytest.mark.parametrize(
    ("url", "customer"),
    [
        (URL, "globex"),
        ("s3://uploads/b.png", "acme"),
        ("s3://other/a.png", "acme"),
        ("s3://", "acme"),
    ],
)
async def test_no_call_is_made_for_an_object_that_is_not_allowed(url: str, customer: str) -> None:
    """So nobody can learn which buckets exist."""
    opened: list[str] = []
    with pytest.raises(OriginRefused):
        await origin_of(ScriptedBucket(HEAD), opened).fetch(
            url, customer, None, BodyBudget(20, max_bytes=10)
        )
    assert not opened


async def test_a_compressed_object_is_decoded() -> None:
    """As an image of the web is. A name that is no coding, as upload programs write it, means nothing."""
    body, budget = gzip.compress(b"body"), BodyBudget(2_000, max_bytes=100)
    for coding, stored in (("gzip", body), ("aws-chunked", b"body")):
        head = {**HEAD, "Content-Length": str(len(stored)), "Content-Encoding": coding}
        origin = origin_of(ScriptedBucket(head, stored), max_bytes=100)
        with await origin.fetch(URL, "acme", None, budget) as fetched:
            assert (fetched.body, budget.free) == (b"body", 1_996)
        origin.close()
    assert budget.free == 2_000
