"""How the indexer detects, without a receive, that tables and engine work again."""

import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest

from consumer.indexer.health_check import EngineHealthCheck
from core.dynamodb.schema import image_item
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, SearchUnavailable
from core.model.image import image_id_of
from core.search.document import SearchDocument
from core.search.engine import Rebuild, WriteResult, WriteStatus
from harness.outcomes import image_record

ONE, OTHER, GONE = (str(uuid.uuid4()) for _ in range(3))
IMAGES = {image_id_of(each): image_item(image_record(each)) for each in (ONE, OTHER)}


@dataclass(slots=True)
class Engine:
    """Accepts every document that is not in `answers`."""

    answers: dict[str, WriteStatus] = field(default_factory=dict)
    ready: bool = True
    offered: list[str] = field(default_factory=list)

    async def prepare(self) -> None:
        if not self.ready:
            raise SearchUnavailable("connection refused")

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        self.offered += [each.request_id for each in documents]
        return tuple(
            WriteResult(self.answers.get(each.request_id, WriteStatus.INDEXED), "why")
            for each in documents
        )

    async def refresh(self) -> None: ...

    async def incomplete(self) -> bool:
        raise NotImplementedError

    def rebuild(self) -> AbstractAsyncContextManager[Rebuild]:
        raise NotImplementedError

    async def close(self) -> None: ...


async def there(parameters: dict[str, Any]) -> dict[str, Any]:
    lists: dict[str, list[Any]] = {table: [] for table in parameters["RequestItems"]}
    keys = parameters["RequestItems"].get("images", {"Keys": []})["Keys"]
    for key in keys:
        if key["imageId"]["S"] in IMAGES:
            lists["images"].append(IMAGES[key["imageId"]["S"]])
    return {"Responses": lists}


async def away(_parameters: dict[str, Any]) -> dict[str, Any]:
    raise OSError


def health_check(
    engine: Engine, answer: Callable[[dict[str, Any]], Any] = there
) -> EngineHealthCheck:
    class Service:
        async def invoke(self, _operation: str, parameters: dict[str, Any]) -> Any:
            return await answer(parameters)

    service: Any = Service()
    return EngineHealthCheck(Tables(service, Statements("requests", "images")), engine)


async def test_one_accepted_document_is_enough() -> None:
    """Requests without an image and rejected documents are skipped."""
    engine = Engine({ONE: WriteStatus.REJECTED})
    await health_check(engine).check([GONE, ONE, OTHER, ONE])
    assert engine.offered == [ONE, OTHER]


async def test_an_unavailable_engine_fails_the_check() -> None:
    """The engine is prepared, but accepts no document."""
    engine = Engine({ONE: WriteStatus.UNAVAILABLE})
    with pytest.raises(SearchUnavailable, match="why"):
        await health_check(engine).check([GONE, ONE, OTHER])


async def test_one_unavailable_document_does_not_fail_the_check() -> None:
    """If the engine accepts the known document, this one must not keep the others from the index."""
    engine = Engine({ONE: WriteStatus.UNAVAILABLE})
    check = health_check(engine)
    check.remember_indexed(OTHER)
    await check.check([ONE])


async def test_without_a_document_the_known_one_decides() -> None:
    """Otherwise an engine that accepts nothing would cost the next events a receive."""
    engine = Engine({OTHER: WriteStatus.UNAVAILABLE})
    check = health_check(engine)
    await check.check([GONE])
    check.remember_indexed(OTHER)
    with pytest.raises(SearchUnavailable):
        await check.check([GONE])


async def test_without_any_document_reads_and_a_prepared_engine_are_enough() -> None:
    """The events need no write, but an outage of the tables or of the engine fails the check."""
    await health_check(Engine()).check([GONE])
    with pytest.raises(DependencyUnavailable, match="OSError"):
        await health_check(Engine(), away).check([GONE])
    with pytest.raises(SearchUnavailable, match="connection refused"):
        await health_check(Engine(ready=False)).check([GONE])
