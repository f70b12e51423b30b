"""OpenSearch dies, hangs or refuses calls: callers get an error soon, and no acknowledged write is lost."""

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

SHORT_TIMEOUT_S = 0.3
RECOVERY_TIMEOUT_S = 120.0
EVERYTHING = SearchQuery(ACME)


def with_short_timeout(settings: SearchSettings) -> SearchSettings:
    return settings.model_copy(update={"search_timeout_s": SHORT_TIMEOUT_S})


async def search(reader: SearchReader) -> SearchResult:
    return await reader.search(EVERYTHING, limit=10)


async def search_retrying(reader: SearchReader) -> SearchResult:
    """Search, again until the engine responds."""
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while True:
            try:
                return await search(reader)
            except SearchUnavailable:
                await asyncio.sleep(0.05)


@dataclass
class Calls:
    """Counts searches that reach the engine, and searches that the circuit breaker refuses."""

    sent: float = 0
    refused: float = 0

    def __post_init__(self) -> None:
        self.sent, self.refused = self._totals()

    def since(self) -> tuple[float, float]:
        sent, refused = self._totals()
        return sent - self.sent, refused - self.refused

    @staticmethod
    def _totals() -> tuple[float, float]:
        (family,) = SEARCH_ENGINE_CALLS.collect()
        totals = {True: 0.0, False: 0.0}
        for sample in family.samples:
            if sample.name.endswith("_total") and sample.labels["operation"] == "search":
                totals[sample.labels["outcome"] == "refused"] += sample.value
        return totals[False], totals[True]


async def test_the_circuit_breaker_opens_after_one_call_to_a_dead_engine(
    server: OpenSearchServer, index: Engine
) -> None:
    """It refuses the next thousand calls. A write that was acknowledged before kill -9 is found afterwards."""
    image = document()
    await index.put(image)
    reader = open_reader(index.settings)
    breaker = vars(reader)["_breaker"]
    assert isinstance(breaker, CircuitBreaker)
    await server.kill()
    opened, breaker._open_time = breaker._open_time, Backoff.between(60, 60)
    with pytest.raises(SearchUnavailable):
        await search(reader)
    calls = Calls()
    for _ in range(1_000):
        with pytest.raises(SearchUnavailable, match="known to be down"):
            await search(reader)
    assert calls.since() == (0, 1_000)
    await server.start()
    breaker._open_time = opened
    await breaker.close()
    breaker._trial_at = 0.0
    breaker.start_probe()
    assert [hit.image_id for hit in (await search_retrying(reader)).hits] == [image.image_id]
    await reader.close()


async def test_a_hanging_engine_delays_few_callers(server: OpenSearchServer, index: Engine) -> None:
    """Calls that are in flight wait for the timeout. Later only trial calls do."""
    await index.put(document())
    reader = open_reader(with_short_timeout(index.settings))
    await search_retrying(reader)
    server.hang()
    first = await asyncio.gather(*(search(reader) for _ in range(10)), return_exceptions=True)
    assert {type(each) for each in first} == {SearchUnavailable}
    calls = Calls()
    loop = asyncio.get_running_loop()
    end = loop.time() + 5
    while loop.time() < end:
        with pytest.raises(SearchUnavailable):
            await search(reader)
        await asyncio.sleep(0.01)
    sent, refused = calls.since()
    # The open time doubles: 0.25 s, 0.5 s, 1 s, 2 s.
    assert sent <= 6
    assert refused > 50
    server.resume()
    assert (await search_retrying(reader)).total == 1
    await reader.close()


async def test_a_write_to_a_hanging_engine_times_out(
    server: OpenSearchServer, index: Engine
) -> None:
    """The same document can be written again and is stored once."""
    writer = open_writer(with_short_timeout(index.settings))
    await index.put(document())
    image = document()
    server.hang()
    with pytest.raises(SearchUnavailable):
        await writer.write([image])
    for attempt in (writer.prepare(), writer.incomplete()):
        with pytest.raises(SearchUnavailable):
            await attempt
    server.resume()
    await index.put(image)
    assert len(await index.ids()) == 2
    await writer.close()


async def test_every_call_of_a_writer_to_a_dead_engine_fails(
    server: OpenSearchServer, index: Engine
) -> None:
    """The same writer can write again after the restart."""
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
            pytest.fail("the engine is dead")
    await server.start()
    image = document()
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
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


async def test_a_refused_query_does_not_open_the_circuit_breaker(index: Engine) -> None:
    """A client error is not an outage."""
    image = document()
    await index.put(image)
    for _ in range(3):
        with pytest.raises(SearchUnavailable, match=r"400 .*Result window is too large"):
            await index.search(EVERYTHING, limit=100_000)
        assert await index.ids() == [image.image_id]


async def test_a_missing_index_is_not_an_outage(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """A server may start before the first indexer creates the index. Searches work as soon as it exists."""
    reader, writer = open_reader(settings), open_writer(settings)
    for _ in range(3):
        with pytest.raises(SearchUnavailable, match=f"no such index .{settings.search_index}"):
            await search(reader)
    with pytest.raises(SearchUnavailable, match="no such index"):
        await writer.incomplete()
    await writer.prepare()
    assert (await search(reader)).total == 0
    await reader.close()
    await writer.close()


async def test_a_write_does_not_create_a_deleted_index(
    server: OpenSearchServer, index: Engine
) -> None:
    """It would have no mapping. Writes are UNAVAILABLE until `prepare` creates the index."""
    alias = index.settings.search_index
    async with raw(server.url) as client:
        await client.indices.delete(index=f"{alias}_*")
        (written,) = await index.writer.write([document()])
        assert written.status is WriteStatus.UNAVAILABLE
        assert "no such index" in written.reason
        assert not await client.indices.exists(index=alias)
    await index.writer.prepare()
    await index.put(document())


async def test_a_write_to_a_read_only_index_is_unavailable(
    server: OpenSearchServer, index: Engine
) -> None:
    """A full disk makes an index read-only. The documents are valid, so they are not rejected."""
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
