"""The benchmarks' own arithmetic: what a figure is, what AWS charges, what the table says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from core import schema
from core.image import ImageRecord, PictureMetadata, Provenance
from core.request import new_request
from loadtest.bench import outcome as outcomes
from loadtest.bench import table
from loadtest.bench.benchmark import Figure
from loadtest.bench.outcome import Outcome
from loadtest.bench.prices import (
    ONE_CALL_PER_STEP,
    Rows,
    item_bytes,
    per_million,
    write_units,
)
from loadtest.bench.spread import Spread, ratios, spread

ROOT = Path(__file__).parents[2]
FULL_BATCHES = {
    "dynamodb:BatchExecuteStatement": 3 / 25,
    "sqs:SendMessageBatch": 0.1,
    "sqs:ReceiveMessage": 0.1,
    "sqs:DeleteMessageBatch": 0.1,
    "s3:PutObject": 1.0,
    "sns:PublishBatch": 0.1,
}
OUTCOME = Outcome(
    benchmark="unary",
    title="Unary",
    backend="null",
    quick=False,
    date="2026-11-22T12:00:00+00:00",
    machine="2 cores",
    versions={"python": "3.11"},
    load=0.5,
    figures=(Figure("CPU", "x", (1.5, 1.4, 1.9), "at most 2.0"), Figure("calls", "", (8.0,))),
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((3.0,), Spread(3.0, 3.0, 3.0)),
        ((5.0, 1.0, 2.0), Spread(2.0, 1.0, 5.0)),
        ((4.0, 1.0, 2.0, 3.0), Spread(2.5, 1.0, 4.0)),
    ],
)
def test_a_spread_is_median_and_range(values: tuple[float, ...], expected: Spread) -> None:
    assert spread(values) == expected


def test_no_round_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no round"):
        spread(())


def test_a_ratio_is_taken_within_its_round() -> None:
    """Not of the medians: the rounds' moods would mix."""
    assert ratios((2.0, 30.0), (1.0, 10.0)) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"ab": {"S": "é"}}, 2 + 2),
        ({"n": {"N": "1795380635377"}}, 1 + 7 + 1),
        ({"n": {"N": "-100"}}, 1 + 1 + 1),
        ({"n": {"N": "0"}}, 1 + 0 + 1),
        ({"b": {"BOOL": True}}, 1 + 1),
        ({"m": {"M": {}}}, 1 + 3),
        ({"m": {"M": {"k": {"S": "vw"}}}}, 1 + 3 + 1 + 1 + 2),
    ],
)
def test_an_item_is_as_large_as_dynamodb_says(
    item: dict[str, dict[str, object]], size: int
) -> None:
    assert item_bytes(item) == size


@pytest.mark.parametrize(("size", "units"), [(1, 1), (1_024, 1), (1_025, 2), (2_048, 2)])
def test_a_write_unit_is_a_kilobyte(size: int, units: int) -> None:
    assert write_units(size) == units


def test_typical_rows_are_one_unit_each() -> None:
    """With full digests, a camera, a capture time and a long address."""
    request = new_request(
        request_id="00000000-0000-4000-8000-000000000000",
        customer_id="a-customer",
        url="https://images.example/" + "x" * 200,
        labels={"album": "summer"},
        now=1_795_380_635_377,
    )
    picture = PictureMetadata(
        format="JPEG",
        media_type="image/jpeg",
        width=4_032,
        height=3_024,
        mode="RGB",
        frames=1,
        bytes=158_000,
        sha256="0" * 64,
        source_sha256="1" * 64,
        perceptual_hash="0" * 16,
        dominant_color="#102030",
        capture_time="2026-11-22T12:00:00",
        camera="Maker Model",
        had_location=True,
    )
    record = ImageRecord(
        image_id=request.request_id,
        request_id=request.request_id,
        customer_id=request.customer_id,
        s3_url="s3://bucket/images/00/" + "0" * 90,
        created_at=request.created_at,
        picture=picture,
        provenance=Provenance(etag='"0123456789"', declared_media_type="image/jpeg"),
    )
    assert write_units(item_bytes(schema.new_request_item(request, shards=8))) == 1
    assert write_units(item_bytes(schema.image_item(record))) == 1


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (FULL_BATCHES, {"dynamodb": 2.5, "s3": 5.0, "sqs": 0.12, "sns": 0.05}),
        (ONE_CALL_PER_STEP, {"dynamodb": 2.5, "s3": 5.0, "sqs": 1.2, "sns": 0.5}),
    ],
)
def test_a_million_images_cost_what_the_lists_say(
    calls: dict[str, float], expected: dict[str, float]
) -> None:
    """Four write units an image, however its statements are batched; the other services charge by the call."""
    assert per_million(calls, Rows(request=1, record=1)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (123.4, "123"), (1_234_567.0, "1,234,567")],
)
def test_numbers_are_as_long_as_they_are_true(value: float, text: str) -> None:
    assert table.number(value) == text


def test_a_row_tells_median_range_and_goal() -> None:
    bound, other = OUTCOME.figures
    assert table.row(OUTCOME, bound) == ("| **CPU** | null | 1.50 x | 1.40 to 1.90 | at most 2.0 |")
    assert table.row(OUTCOME, other) == "| calls | null | 8.00 |  |  |"


def test_backends_of_a_benchmark_share_a_table() -> None:
    rendered = table.render([OUTCOME, replace(OUTCOME, backend="embedded")])
    assert rendered.count("### Unary") == 1
    assert "| null |" in rendered
    assert "| embedded |" in rendered
    assert "2026-11-22, 3 rounds, 2 cores" in rendered


def test_only_the_generated_part_of_a_page_is_replaced() -> None:
    page = f"before {table.BEGIN} old {table.END} after"
    assert table.replaced(page, "new") == (f"before {table.BEGIN}\n\nnew\n\n{table.END} after")
    with pytest.raises(ValueError, match="no generated part"):
        table.replaced("nothing", "new")


def test_a_result_survives_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "FOLDER", tmp_path / "reports")
    path = outcomes.write(OUTCOME)
    assert path.name == "unary-null.json"
    assert outcomes.read_all(path.parent) == [OUTCOME]


def test_the_page_shows_the_results_that_are_committed() -> None:
    """`python -m loadtest.bench table` was run after the last benchmark."""
    page = (ROOT / table.PAGE).read_text(encoding="utf-8")
    for result in outcomes.read_all(ROOT / outcomes.FOLDER):
        for figure in result.figures:
            assert re.search(re.escape(table.row(result, figure)), page), result.path.name
