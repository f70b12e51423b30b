"""s3:// URLs, read with the consumer's role from buckets that the operator allows."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiobotocore.session import get_session
from google.protobuf.duration_pb2 import Duration

from harness.aws import RecordingAws
from harness.origin import numbered_png
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

KEYS = ("photos/a.png", "photos/a b+c%20d?e=f&g#h.png", "photos/é/\U0001f41f.png", "photos//a.png")


@dataclass(frozen=True, slots=True)
class Buckets:
    running: System
    s3: Any
    allowed: str
    private: str

    async def outcome(self, url: str, customer: str = "acme", **fields: Any) -> pb.ImageRequest:
        request_id = await self.running.submit(url, customer=customer, **fields)
        return (await self.running.wait_terminal([request_id]))[request_id]


@pytest_asyncio.fixture
async def at(embedded_aws: RecordingAws, tmp_path: Path) -> AsyncIterator[Buckets]:
    async with (
        system(embedded_aws, SourceObjects="arn:aws:s3:::*") as running,
        get_session().create_client("s3", **embedded_aws.sdk()) as s3,
    ):
        allowed, private = (f"source-{uuid.uuid4()}" for _ in range(2))
        for bucket in (allowed, private):
            await s3.create_bucket(Bucket=bucket)
        for number, key in enumerate(KEYS):
            await s3.put_object(
                Bucket=allowed, Key=key, Body=numbered_png(number), ContentType="image/png"
            )
        await s3.put_object(Bucket=allowed, Key="secret/a.png", Body=numbered_png(9))
        await s3.put_object(Bucket=private, Key="photos/a.png", Body=numbered_png(9))
        file = tmp_path / "origins.toml"
        await asyncio.to_thread(
            file.write_text,
            f'[[buckets]]\nbucket = "{allowed}"\nprefixes = ["photos/"]\ncustomers = ["acme"]\n',
        )
        await running.start_server()
        await running.start_consumer(CREDENTIALS_FILE=str(file), MAX_BODY_BYTES="100000")
        yield Buckets(running, s3, allowed, private)


async def test_allowed_objects_are_published(at: Buckets) -> None:
    """Keys of every kind of character, with what S3 says about them."""
    ended = await asyncio.gather(*(at.outcome(f"s3://{at.allowed}/{key}") for key in KEYS))
    assert [each.state for each in ended] == [pb.STATE_COMPLETED] * len(KEYS)
    assert len({each.image.metadata.source_sha256 for each in ended}) == len(KEYS)
    for each in ended:
        origin = each.image.metadata.provenance
        assert origin.etag
        assert origin.last_modified
        assert origin.declared_media_type == "image/png"


async def test_objects_that_are_not_allowed_cannot_be_told_from_missing_ones(at: Buckets) -> None:
    """Of another bucket, prefix or customer: one code and one sentence, as for a bucket that nobody has."""
    ended = await asyncio.gather(
        at.outcome(f"s3://{at.private}/photos/a.png"),
        at.outcome(f"s3://{uuid.uuid4()}/photos/a.png"),
        at.outcome(f"s3://{at.allowed}/secret/a.png"),
        at.outcome(f"s3://{at.allowed}/secret/missing.png"),
        at.outcome(f"s3://{at.allowed}/photos/a.png", customer="globex"),
        at.outcome(f"s3://{at.running.stack.bucket}/images/a.png"),
    )
    (failure,) = {(e.failure.code, e.failure.message, e.failure.attempts) for e in ended}
    assert failure[0] == pb.FAILURE_CODE_ORIGIN_REFUSED


async def test_other_objects_fail_as_those_of_the_web(at: Buckets) -> None:
    for key, body in (("photos/page.png", b"<html>"), ("photos/large.png", bytes(100_001))):
        await at.s3.put_object(Bucket=at.allowed, Key=key, Body=body)
    keys = ("photos/missing.png", "photos/page.png", "photos/large.png")
    ended = [await at.outcome(f"s3://{at.allowed}/{key}") for key in keys]
    assert [each.failure.code for each in ended] == [
        pb.FAILURE_CODE_NOT_FOUND,
        pb.FAILURE_CODE_NOT_AN_IMAGE,
        pb.FAILURE_CODE_TOO_LARGE,
    ]


async def test_a_reused_object_is_read_again_only_if_it_has_changed(at: Buckets) -> None:
    url, second = f"s3://{at.allowed}/photos/a.png", Duration(seconds=1)
    first = await at.outcome(url, reuse_within=second)
    again = await at.outcome(url, reuse_within=second)
    assert again.image.public_url == first.image.public_url
    await at.s3.put_object(Bucket=at.allowed, Key="photos/a.png", Body=numbered_png(50))

    async def changed() -> pb.ImageRequest:
        while True:
            ended = await at.outcome(url, reuse_within=second)
            if ended.image.public_url != first.image.public_url:
                return ended

    assert (await changed()).state == pb.STATE_COMPLETED
