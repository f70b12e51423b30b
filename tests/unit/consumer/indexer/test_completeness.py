"""How an indexer comes to know, and tells, whether the index is whole."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from consumer.indexer.app import report_index_completeness
from consumer.indexer.metrics import INCOMPLETE
from core.dynamodb.image_scan import images_exist
from core.errors import DependencyUnavailable, SearchUnavailable
from harness.virtual_time import run_virtually


def told() -> float:
    """Of this metric alone: the whole registry reads files, which a test may not do on the loop."""
    (family,) = INCOMPLETE.collect()
    return family.samples[0].value


class Engine:
    """It answers each of `answers` in turn, and then is asked no more. `seen` is what was told after each answer."""

    def __init__(self, *answers: bool | None) -> None:
        self._answers = list(answers)
        self.seen: list[float] = []
        self.over = asyncio.Event()

    async def incomplete(self) -> bool:
        self.seen.append(told())
        if not self._answers:
            self.over.set()
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if answer is None:
            raise SearchUnavailable("nobody listens")
        return answer


def test_what_was_known_holds_until_the_engine_says_otherwise() -> None:
    """Another process makes the index whole; an engine that does not answer says nothing about it."""

    async def watched() -> list[float]:
        INCOMPLETE.set(0)
        engine = Engine(None, True, None, True, False, None)
        reporting = asyncio.create_task(report_index_completeness(cast("Any", engine)))
        await engine.over.wait()
        reporting.cancel()
        return engine.seen

    assert run_virtually(watched()) == [0, 0, 1, 1, 1, 0, 0]


class Table:
    """Pages, each with its number of rows."""

    def __init__(self, *pages: int) -> None:
        self._pages = pages
        self.asked: list[dict[str, Any]] = []

    async def scan(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        page = arguments.get("ExclusiveStartKey", 0)
        answer: dict[str, Any] = {"Items": [{}] * self._pages[page]}
        return answer if page + 1 == len(self._pages) else {**answer, "LastEvaluatedKey": page + 1}


@pytest.mark.parametrize(
    ("pages", "exist", "read"), [((0,), False, 1), ((1, 1), True, 1), ((0, 0, 1, 1), True, 3)]
)
def test_one_row_is_enough(pages: tuple[int, ...], exist: bool, read: int) -> None:
    """It is the only one that is read; a page without rows is not the end of the table."""
    table = Table(*pages)
    assert asyncio.run(images_exist(cast("Any", table), "images")) is exist
    assert len(table.asked) == read
    assert {(each["Limit"], each["ConsistentRead"]) for each in table.asked} == {(1, True)}


def failing(code: str) -> Callable[..., Any]:
    async def scan(**_arguments: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "Scan")

    return scan


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ValidationException"])
def test_a_table_that_does_not_say_is_waited_for(code: str) -> None:
    """Whatever the reason is, it is the table's."""
    table = Table(0)
    table.scan = failing(code)  # type: ignore[method-assign]
    with pytest.raises(DependencyUnavailable, match=code):
        asyncio.run(images_exist(cast("Any", table), "images"))
