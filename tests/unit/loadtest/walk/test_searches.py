"""How long a customer is searched, and what each search must find. The index is scripted, and time is virtual."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import grpc
import pytest

from harness.scripted_service import Refusal, ScriptedService, serving
from harness.virtual_time import run_virtually
from imageservice.v1 import image_service_pb2 as pb
from loadtest.driver.preparation import connection
from loadtest.walk.entry import Entry
from loadtest.walk.lists import SEARCH, Question
from loadtest.walk.pages import Walked
from loadtest.walk.proof import Known
from loadtest.walk.searches import PAUSE_SECONDS, Searches, searchable

if TYPE_CHECKING:
    from imageservice.v1 import image_service_pb2_grpc as pb_grpc

QUESTION = Question(SEARCH, "acme", 100)
PATIENCE = 10.0


@dataclass(slots=True)
class Index:
    """What can be found, by walk; the last one for ever. A page holds two."""

    found: Sequence[str]
    """A letter for each image."""
    walks: int = 0
    _left: list[str] = field(default_factory=list)

    async def SearchImages(  # noqa: N802  the contract names it
        self, asked: pb.SearchImagesRequest, **_options: float
    ) -> pb.SearchImagesResponse:
        if not asked.page_token:
            self._left = list(self.found[min(self.walks, len(self.found) - 1)])
            self.walks += 1
        page, self._left = self._left[:2], self._left[2:]
        return pb.SearchImagesResponse(
            images=[pb.Image(request_id=each, customer_id="acme") for each in page],
            next_page_token="more" if self._left else "",
        )


def known(ids: Iterable[str]) -> Known:
    return Known({each: Entry(each, "acme", pb.STATE_COMPLETED, 0, 0) for each in ids})


def walks(index: Index, *rounds: str) -> list[list[tuple[Walked, set[str]]]]:
    """Of one customer: what is known before each question, and the walks that it took."""

    async def searched() -> list[list[tuple[Walked, set[str]]]]:
        searches = Searches(cast("pb_grpc.ImageServiceAsyncStub", index), PATIENCE)
        return [[each async for each in searches.walks(QUESTION, known(ids))] for ids in rounds]

    return run_virtually(searched())


def ids(walked: Walked) -> str:
    return "".join(entry.request_id for entry in walked.entries)


def test_one_walk_is_enough_where_all_is_found() -> None:
    """More than is known is welcome."""
    [[(walked, must)]] = walks(Index(["abcd"]), "abc")
    assert (ids(walked), walked.calls, walked.first_token) == ("abcd", 2, "more")
    assert must == set("abc")


def test_walks_are_repeated_until_all_that_is_known_is_found() -> None:
    """Each is held to what those before it have found, the last one to all that is known."""
    [made] = walks(Index(["", "a", "ab", "abc"]), "abc")
    assert [(ids(walked), must) for walked, must in made] == [
        ("", set()),
        ("a", set()),
        ("ab", {"a"}),
        ("abc", set("abc")),
    ]


def test_a_walk_must_find_again_what_was_found_though_nobody_knew_of_it() -> None:
    """Also when the next question is asked."""
    first, second = walks(Index(["ax", "a"]), "a", "a")
    assert [must for _, must in first] == [{"a"}]
    assert [(ids(walked), must) for walked, must in second] == [("a", {"a", "x"})]


def test_patience_ends_and_the_last_walk_is_held_to_all() -> None:
    """What is never found is missing from it."""
    index = Index(["a"])
    [made] = walks(index, "ab")
    *earlier, (walked, must) = made
    assert all(must <= {"a"} for _, must in earlier)
    assert must - set(ids(walked)) == {"b"}
    assert index.walks == len(made) == pytest.approx(PATIENCE / PAUSE_SECONDS, abs=3)


def test_patience_begins_anew_with_whatever_is_found() -> None:
    """A slow index that gets on is waited for."""
    late = round(0.8 * PATIENCE / PAUSE_SECONDS)
    [made] = walks(Index([*["a"] * late, *["ab"] * late, *["abc"] * late, "abcd"]), "abcd")
    assert len(made) == 3 * late + 1
    walked, must = made[-1]
    assert set(ids(walked)) == must == set("abcd")


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        (pb.SearchImagesResponse(), True),
        (Refusal(grpc.StatusCode.UNIMPLEMENTED, "No search."), False),
    ],
)
async def test_a_server_without_search_is_known(
    answer: pb.SearchImagesResponse | Refusal, there: bool
) -> None:
    async with serving(ScriptedService(found=[answer])) as address, connection(address) as stub:
        assert await searchable(stub, "acme", 1) is there


async def test_an_engine_that_is_down_is_not_taken_for_none() -> None:
    """It is asked again, and what it cannot answer is an error."""
    down = Refusal(grpc.StatusCode.INTERNAL, "Broken.")
    busy = Refusal(grpc.StatusCode.UNAVAILABLE, "Down.")
    service = ScriptedService(found=[busy, down])
    async with serving(service) as address, connection(address) as stub:
        with pytest.raises(grpc.aio.AioRpcError, match="Broken"):
            await searchable(stub, "acme", 30)
    assert len(service.searched) == 2
