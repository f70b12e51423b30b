"""How the indexer reports whether the index is complete."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from consumer.indexer.app import report_index_completeness
from consumer.indexer.metrics import INCOMPLETE
from core.dynamodb.scan import images_exist
from core.errors import DependencyUnavailable, SearchUnavailable
from harness.virtual_time import run_virtually


def exported() -> float:
    """Return this metric alone: the whole registry reads files, which a test may not do on the loop."""
    (family,) = INCOMPLETE.collect()
    return family.samples[0].value


class Engine:
    """Returns each of `answers` in turn, then blocks. `seen` has the exported values before each answer."""

    def __init__(self, *answers: bool | None) -> None:
        self._answers = list(answers)
        self.seen: list[float] = []
        self.over = asyncio.Event()

    async def incomplete(self) -> bool:
        self.seen.append(exported())
        if not self._answers:
            self.over.set()
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if answer is None:
            raise SearchUnavailable("connection refused")
        return answer


def test_the_last_known_value_is_exported_in_an_outage() -> None:
    """Another process completes the index, so the engine is calls again and again."""

    async def reported() -> list[float]:
        INCOMPLETE.set(0)
        engine = Engine(None, True, None, True, False, None)
        reporting = asyncio.create_task(report_index_completeness(cast("Any", engine)))
        await engine.over.wait()
        reporting.cancel()
        return engine.seen

    assert run_virtually(reported()) == [0, 0, 1, 1, 1, 0, 0]


class Table:
    """Pages, each with its number of rows."""

    def __init__(self, *pages: int) -> None:
        self._pages = pages
        self.calls: list[dict[str, Any]] = []

    async def invoke(self, _operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append(dict(members))
        page = members.get("ExclusiveStartKey", {"page": 0})["page"]
        count = self._pages[page]
        answer = {"Items": [{}] * count, "Count": count, "ScannedCount": count}
        if page + 1 == len(self._pages):
            return answer
        return {**answer, "LastEvaluatedKey": {"page": page + 1}}


@pytest.mark.parametrize(
    ("pages", "exist", "read"), [((0,), False, 1), ((1, 1), True, 1), ((0, 0, 1, 1), True, 3)]
)
def test_one_row_proves_that_images_exist(pages: tuple[int, ...], exist: bool, read: int) -> None:
    """Only one row is read. A page without rows is not the end of the table."""
    table = Table(*pages)
    assert asyncio.run(images_exist(cast("Any", table), "images")) is exist
    assert len(table.calls) == read
    assert {(each["Limit"], each["ConsistentRead"]) for each in table.calls} == {(1, True)}


def failing(code: str) -> Callable[..., Any]:
    async def invoke(_operation: str, _members: Mapping[str, Any]) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "Scan")

    return invoke


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ValidationException"])
def test_an_error_of_the_table_is_an_outage(code: str) -> None:
    """An error of any kind is not the fault of a row."""
    table = Table(0)
    table.invoke = failing(code)  # type: ignore[method-assign]
    with pytest.raises(DependencyUnavailable, match=code):
        asyncio.run(images_exist(cast("Any", table), "images"))
