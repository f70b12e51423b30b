"""OpenSearch dies, hangs, or refuses: callers hear it soon, and what it had taken is there when it is back."""

import asyncio
from dataclasses import dataclass

import pytest

from core.errors import SearchUnavailable
from core.resilience.backoff import Backoff
from core.resilience.circuit_breaker import CircuitBreaker
from core.search.engine import SearchReader, WriteStatus, open_reader, open_writer
from core.search.metrics import SEARCH_ENGINE_CALLS
from core.search.query import SearchQuery, SearchResult
from core.search.settings import SearchSettings
from harness.opensearch import OpenSearchServer, raw
from harness.search_documents import ACME, document
from harness.search_engines import Engine

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_S = 0.3
PATIENCE_S = 120.0
EVERYTHING = SearchQuery(ACME)


def hurried(settings: SearchSettings) -> SearchSettings:
    return settings.model_copy(update={"search_timeout_s": SOON_S})


async def ask(reader: SearchReader) -> SearchResult:
    return await reader.search(EVERYTHING, limit=10)


async def answered(reader: SearchReader) -> SearchResult:
    """What it says as soon as it says anything."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await ask(reader)
            except SearchUnavailable:
                await asyncio.sleep(0.05)


@dataclass
class Calls:
    """Searches since this was made that went to the engine, and those that were spared."""

    made: float = 0
    spared: float = 0

    def __post_init__(self) -> None:
        self.made, self.spared = self._counted()

    def since(self) -> tuple[float, float]:
        made, spared = self._counted()
        return made - self.made, spared - self.spared

    @staticmethod
    def _counted() -> tuple[float, float]:
        (family,) = SEARCH_ENGINE_CALLS.collect()
        totals = {True: 0.0, False: 0.0}
        for sample in family.samples:
            if sample.name.endswith("_total") and sample.labels["operation"] == "search":
                totals[sample.labels["outcome"] == "refused"] += sample.value
        return totals[False], totals[True]


async def test_a_dead_engine_costs_nobody_anything(server: OpenSearchServer, index: Engine) -> None:
    """One call finds out, a thousand others are spared; what was acknowledged before kill -9 is found afterwards."""
    image = document()
    await index.put(image)
    reader = open_reader(index.settings)
    breaker = vars(reader)["_breaker"]
    assert isinstance(breaker, CircuitBreaker)
    await server.kill()
    opened, breaker._open_time = breaker._open_time, Backoff.between(60, 60)
    with pytest.raises(SearchUnavailable):
        await ask(reader)
    calls = Calls()
    for _ in range(1_000):
        with pytest.raises(SearchUnavailable, match="known to be down"):
            await ask(reader)
    assert calls.since() == (0, 1_000)
    await server.start()
    breaker._open_time = opened
    await breaker.close()
    breaker._trial_at = 0.0
    breaker.start_probe()
    assert [hit.image_id for hit in (await answered(reader)).hits] == [image.image_id]
    await reader.close()


async def test_a_hanging_engine_costs_few_callers_their_time(
    server: OpenSearchServer, index: Engine
) -> None:
    """Those who were there already wait for the time-out; of those who come then, one in a while."""
    await index.put(document())
    reader = open_reader(hurried(index.settings))
    await answered(reader)
    server.hang()
    first = await asyncio.gather(*(ask(reader) for _ in range(10)), return_exceptions=True)
    assert {type(each) for each in first} == {SearchUnavailable}
    calls = Calls()
    loop = asyncio.get_running_loop()
    end = loop.time() + 5
    while loop.time() < end:
        with pytest.raises(SearchUnavailable):
            await ask(reader)
        await asyncio.sleep(0.01)
    made, spared = calls.since()
    # Pauses double: a quarter of a second, a half, one, two.
    assert made <= 6
    assert spared > 50
    server.go_on()
    assert (await answered(reader)).total == 1
    await reader.close()


async def test_a_hanging_engine_takes_no_writes(server: OpenSearchServer, index: Engine) -> None:
    """A writer hears it in time, and may write the same again; nothing is there twice."""
    writer = open_writer(hurried(index.settings))
    await index.put(document())
    image = document()
    server.hang()
    with pytest.raises(SearchUnavailable):
        await writer.write([image])
    for attempt in (writer.prepare(), writer.incomplete()):
        with pytest.raises(SearchUnavailable):
            await attempt
    server.go_on()
    await index.put(image)
    assert len(await index.ids()) == 2
    await writer.close()


async def test_a_dead_engine_takes_no_writes(server: OpenSearchServer, index: Engine) -> None:
    """Whatever is asked of it; and a writer that is there from before can write to the next one."""
    await index.writer.prepare()
    await server.kill()
    for attempt in (
        index.writer.write([document()]),
        index.writer.incomplete(),
        index.writer.refresh(),
        index.writer.prepare(),
    ):
        with pytest.raises(SearchUnavailable):
            await attempt
    with pytest.raises(SearchUnavailable):
        async with index.writer.rebuild():
            pytest.fail("there is nothing to build on")
    await server.start()
    image = document()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                (written,) = await index.writer.write([image])
            except SearchUnavailable:
                await asyncio.sleep(0.05)
            else:
                if written.status is WriteStatus.INDEXED:
                    break
    await index.writer.refresh()
    assert await index.ids() == [image.image_id]


async def test_one_question_that_is_refused_keeps_no_other_from_it(index: Engine) -> None:
    """It is no outage when the engine says no."""
    image = document()
    await index.put(image)
    for _ in range(3):
        with pytest.raises(SearchUnavailable, match=r"400 .*Result window is too large"):
            await index.ask(EVERYTHING, limit=100_000)
        assert await index.ids() == [image.image_id]


async def test_an_index_that_is_not_there_is_no_outage(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """A server may start before the first indexer has made it; it is found when it is there."""
    reader, writer = open_reader(settings), open_writer(settings)
    for _ in range(3):
        with pytest.raises(SearchUnavailable, match=f"no such index .{settings.search_index}"):
            await ask(reader)
    with pytest.raises(SearchUnavailable, match="no such index"):
        await writer.incomplete()
    await writer.prepare()
    assert (await ask(reader)).total == 0
    await reader.close()
    await writer.close()


async def test_an_index_that_has_vanished_is_not_made_by_writing(
    server: OpenSearchServer, index: Engine
) -> None:
    """It would have no mapping: documents wait until somebody has prepared it."""
    alias = index.settings.search_index
    async with raw(server.url) as client:
        await client.indices.delete(index=f"{alias}_*")
        (written,) = await index.writer.write([document()])
        assert written.status is WriteStatus.UNAVAILABLE
        assert "no such index" in written.reason
        assert not await client.indices.exists(index=alias)
    await index.writer.prepare()
    await index.put(document())


async def test_an_index_that_is_read_only_rejects_nothing(
    server: OpenSearchServer, index: Engine
) -> None:
    """A disk that is full makes it so: the documents are not at fault, and wait."""
    alias = index.settings.search_index
    async with raw(server.url) as client:
        for block in ("write", "read_only_allow_delete"):
            await client.indices.put_settings(
                index=alias, body={"index": {"blocks": {block: True}}}
            )
            (written,) = await index.writer.write([document()])
            assert written.status is WriteStatus.UNAVAILABLE, block
            await client.indices.put_settings(
                index=alias, body={"index": {"blocks": {block: None}}}
            )
    await index.put(document())
