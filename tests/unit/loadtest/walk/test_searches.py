"""How long a search is repeated, and what each search must find. The index is scripted, and time is virtual."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import grpc
import pytest

from harness.scripted_service import Refusal, ScriptedService, cancelled, serve
from harness.virtual_time import run_virtually
from imageservice.v1 import image_service_pb2 as pb
from loadtest.driver.preparation import connection
from loadtest.walk.lists import SEARCH, ListQuery
from loadtest.walk.pages import Walk
from loadtest.walk.searches import REPEAT_S, Searches, has_search
from loadtest.walk.snapshot import Entry, Snapshot

if TYPE_CHECKING:
    from imageservice.v1 import image_service_pb2_grpc as pb_grpc

QUERY = ListQuery(SEARCH, "acme", 100)
PROGRESS_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Index:
    """The results by walk; the last result repeats. A page has two images."""

    found: Sequence[str]
    """One letter per image."""
    walks: int = 0
    _left: list[str] = field(default_factory=list)

    async def SearchImages(  # noqa: N802  the contract names it
        self, request: pb.SearchImagesRequest, **_options: float
    ) -> pb.SearchImagesResponse:
        if not request.page_token:
            self._left = list(self.found[min(self.walks, len(self.found) - 1)])
            self.walks += 1
        page, self._left = self._left[:2], self._left[2:]
        return pb.SearchImagesResponse(
            images=[pb.Image(request_id=each, customer_id="acme") for each in page],
            next_page_token="more" if self._left else "",
        )


def snapshot(ids: Iterable[str]) -> Snapshot:
    return Snapshot({each: Entry(each, "acme", pb.STATE_COMPLETED, 0, 0) for each in ids})


def walks(index: Index, *rounds: str) -> list[list[tuple[Walk, set[str]]]]:
    """Search once per round for the ids of its snapshot, and return the walks of each round."""

    async def search_all() -> list[list[tuple[Walk, set[str]]]]:
        searches = Searches(cast("pb_grpc.ImageServiceAsyncStub", index), PROGRESS_TIMEOUT_S)
        return [[each async for each in searches.walks(QUERY, snapshot(ids))] for ids in rounds]

    return run_virtually(search_all())


def ids(walk: Walk) -> str:
    return "".join(entry.request_id for entry in walk.entries)


def test_one_walk_suffices_if_it_finds_everything() -> None:
    """Further results are allowed."""
    [[(walk, required)]] = walks(Index(["abcd"]), "abc")
    assert (ids(walk), walk.calls, walk.first_token) == ("abcd", 2, "more")
    assert required == set("abc")


def test_walks_are_repeated_until_they_find_the_whole_snapshot() -> None:
    """Each must contain earlier results; the last must contain the whole snapshot."""
    [made] = walks(Index(["", "a", "ab", "abc"]), "abc")
    assert [(ids(walk), required) for walk, required in made] == [
        ("", set()),
        ("a", set()),
        ("ab", {"a"}),
        ("abc", set("abc")),
    ]


def test_a_walk_must_contain_earlier_results_outside_the_snapshot() -> None:
    """Also those of an earlier query."""
    first, second = walks(Index(["ax", "a"]), "a", "a")
    assert [required for _, required in first] == [{"a"}]
    assert [(ids(walk), required) for walk, required in second] == [("a", {"a", "x"})]


def test_the_last_walk_without_progress_must_contain_the_whole_snapshot() -> None:
    """An image that is never found is missing from it."""
    index = Index(["a"])
    [made] = walks(index, "ab")
    *earlier, (walk, required) = made
    assert all(required <= {"a"} for _, required in earlier)
    assert required - set(ids(walk)) == {"b"}
    assert index.walks == len(made) == pytest.approx(PROGRESS_TIMEOUT_S / REPEAT_S, abs=3)


def test_progress_restarts_the_timeout() -> None:
    """The search waits for a slow index that makes progress."""
    late = round(0.8 * PROGRESS_TIMEOUT_S / REPEAT_S)
    [made] = walks(Index([*["a"] * late, *["ab"] * late, *["abc"] * late, "abcd"]), "abcd")
    assert len(made) == 3 * late + 1
    walk, required = made[-1]
    assert set(ids(walk)) == required == set("abcd")


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        (pb.SearchImagesResponse(), True),
        (Refusal(grpc.StatusCode.UNIMPLEMENTED, "No search."), False),
    ],
)
async def test_a_server_without_search_is_detected(
    answer: pb.SearchImagesResponse | Refusal, there: bool
) -> None:
    async with serve(ScriptedService(found=[answer])) as address, connection(address) as stub:
        assert await has_search(stub, "acme", 1) is there


async def test_a_failing_engine_is_an_error() -> None:
    """Transient errors are retried; another error is raised."""
    down = Refusal(grpc.StatusCode.INTERNAL, "Broken.")
    busy = Refusal(grpc.StatusCode.UNAVAILABLE, "Down.")
    service = ScriptedService(found=[busy, cancelled(), down])
    async with serve(service) as address, connection(address) as stub:
        with pytest.raises(grpc.aio.AioRpcError, match="Broken"):
            await has_search(stub, "acme", 30)
    assert len(service.searched) == 3
