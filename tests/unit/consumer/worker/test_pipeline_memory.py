"""The memory of bodies: an error that ends a run does not keep them while the customer is notified."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consumer.byte_budget import ByteBudget
from consumer.fetching.fetcher import FetchResult
from consumer.run import Run
from consumer.worker.pipeline import Pipeline
from consumer.worker.renditions import RenditionPublisher
from consumer.worker.retry_policy import RetryPolicy
from core.errors import BrokenResponse, CorruptImage, ImageServiceError
from core.model.image import Provenance
from core.model.message import ImageMessage

NOTHING: Any = None
"""Replaces the steps that are not reached."""
BODY = bytes(1_000)


class Failing:
    """A fetcher and a decoder, of which one fails."""

    def __init__(self, *, fetch: Callable[[bytes], None], inspect: Callable[[bytes], None]) -> None:
        self._fetch = fetch
        self._inspect = inspect

    async def fetch(self, _url: str, _customer_id: str, _validator: object) -> FetchResult:
        self._fetch(BODY)
        return FetchResult(BODY, Provenance())

    async def inspect(self, body: bytes, *_: object, **__: object) -> None:
        self._inspect(body)


def _succeed(_body: bytes) -> None:
    pass


def _damage(body: bytes) -> None:
    raise CorruptImage(str(len(body)))


def _break(body: bytes) -> None:
    """The frames of the error and of its cause hold the body."""
    try:
        _lose(body)
    except OSError as cause:
        raise BrokenResponse from cause


def _lose(body: bytes) -> None:
    raise OSError(len(body))


async def _error_of(run: Awaitable[object]) -> ImageServiceError:
    try:
        await run
    except ImageServiceError as error:
        return error
    raise AssertionError("the run succeeded")


@pytest.mark.parametrize(
    "failing",
    [Failing(fetch=_succeed, inspect=_damage), Failing(fetch=_break, inspect=_succeed)],
    ids=["decoder", "origin"],
)
def test_an_error_does_not_keep_the_body(failing: Any) -> None:
    pipeline = Pipeline(
        fetcher=failing,
        decoder=failing,
        storage=NOTHING,
        renditions=RenditionPublisher(
            presets={},
            decoder=NOTHING,
            storage=NOTHING,
            tables=NOTHING,
            budget=ByteBudget(1),
            reserve_body=NOTHING,
        ),
        reuse=NOTHING,
        tables=NOTHING,
        retry_policy=RetryPolicy(1, 0),
    )
    message = ImageMessage("id", "acme", "http://a.example/", 1)
    references = sys.getrefcount(BODY)
    error = asyncio.run(_error_of(pipeline.run(message, Run.of(message))))
    assert sys.getrefcount(BODY) == references
    assert str(error)
