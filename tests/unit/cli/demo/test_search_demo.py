"""The searches of the demo, and the check of their results."""

import io

import pytest
from rich.console import Console
from rich.status import Status

from cli.demo import search_demo
from cli.demo.items import BEHAVIOUR_LABELS, GOOD_LABELS, Item
from cli.demo.run import Result
from cli.demo.search_demo import searches
from cli.output.outcome import RequestView
from harness.scripted_service import ScriptedService, completed, serve
from imageservice.v1 import image_service_pb2 as pb


def published(
    request_id: str, format_: str, perceptual_hash: str, labels: dict[str, str] | None = None
) -> Result:
    request = completed(f"http://origin/{request_id}", request_id)
    request.image.metadata.format = format_
    request.image.metadata.perceptual_hash = perceptual_hash
    item = Item(request_id, request.url, "COMPLETED", GOOD_LABELS if labels is None else labels)
    return Result(item, RequestView.of(request), 0.1)


RESULTS = [
    published("like", "PNG", "0000000000000000"),
    published("near", "JPEG", "000000000000003f"),
    published("far", "WEBP", "000000000000007f"),
    published("header only", "GIF", ""),
    published("odd", "PNG", "0000000000000001", BEHAVIOUR_LABELS),
]
LABELLED = ("like", "far")
NEAR = ("like", "near", "odd")


def answer(*request_ids: str) -> pb.SearchImagesResponse:
    images = [pb.Image(request_id=each) for each in request_ids]
    return pb.SearchImagesResponse(images=images, total=len(images))


async def run_searches(service: ScriptedService) -> tuple[list[str], str]:
    console = Console(file=io.StringIO(), width=100)
    async with serve(service) as address:
        faults = await search_demo.find_mismatches(
            console, Status("", console=console), address, RESULTS
        )
    assert isinstance(console.file, io.StringIO)
    return faults, console.file.getvalue()


def test_expected_results_follow_from_the_published_metadata() -> None:
    """By label and format, and by the distance of the hashes. An image without a hash matches nothing."""
    labelled, near = searches(RESULTS)
    assert (labelled.expected, near.expected) == (frozenset(LABELLED), frozenset(NEAR))
    assert (
        labelled.words == "--customer demo --label set=images --format png --format webp --facets"
    )
    assert near.words == "--customer demo --similar-to 0000000000000000"


async def test_the_index_is_waited_for() -> None:
    """Until it has all images. Then each search is printed as a command, with the names of the images."""
    service = ScriptedService(
        found=[answer(), answer("a"), answer(*"abcde"), answer(*LABELLED), answer(*NEAR)]
    )
    faults, out = await run_searches(service)
    assert not faults
    for text in ("waiting until", "$ imageservice search --customer demo --similar-to", "near"):
        assert text in out


@pytest.mark.parametrize("found", [LABELLED[:1], (*LABELLED, "near"), ()])
async def test_an_unexpected_result_is_a_mismatch(found: tuple[str, ...]) -> None:
    """Too few and too many images are mismatches. The other search is still run."""
    service = ScriptedService(found=[answer(*"abcde"), answer(*found), answer(*NEAR)])
    faults, out = await run_searches(service)
    (fault,) = faults
    assert f"found {len(found)} of {len(found)}, expected 2" in fault
    assert "--similar-to" in out


async def test_a_wrong_total_is_a_mismatch() -> None:
    """The total must be the number of images."""
    odd = answer(*LABELLED)
    odd.total = 3
    faults, _ = await run_searches(ScriptedService(found=[answer(*"abcde"), odd, answer(*NEAR)]))
    assert len(faults) == 1


async def test_an_incomplete_index_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time limit the demo ends and prints how many images are searchable."""
    monkeypatch.setattr(search_demo, "TIMEOUT_S", 0.0)
    faults, _ = await run_searches(ScriptedService(found=[answer("a"), answer("a")]))
    assert faults == ["1 of 5 images are searchable after 0 s"]
