"""The arithmetic behind published figures."""

import pytest

from core.dynamodb import schema
from core.model.image import ImageMetadata, ImageRecord, Provenance
from core.model.request import State, new_request
from loadtest.bench.benchmark import Figure, Spread, balanced_order, ratios, spread
from loadtest.bench.benchmarks import img2dataset, watch_load
from loadtest.bench.benchmarks.prices import (
    ONE_CALL_PER_STEP,
    Rows,
    item_bytes,
    per_million,
    write_units,
)
from loadtest.bench.benchmarks.submit import Pace, pace
from loadtest.bench.load.generator import Load
from loadtest.bench.subjects.consumer import Lap
from server.watch.schedule import PollIntervals

FULL_BATCHES = {
    "dynamodb:BatchExecuteStatement": 3 / 25,
    "sqs:SendMessageBatch": 0.1,
    "sqs:ReceiveMessage": 0.1,
    "sqs:DeleteMessageBatch": 0.1,
    "s3:PutObject": 1.0,
    "sns:PublishBatch": 0.1,
}


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


def test_a_ratio_is_taken_within_its_round() -> None:
    """Not from the medians, which may come from different rounds."""
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
def test_the_size_of_an_item_follows_the_rules_of_dynamodb(
    item: dict[str, dict[str, object]], size: int
) -> None:
    assert item_bytes(item) == size


@pytest.mark.parametrize(("size", "units"), [(1, 1), (1_024, 1), (1_025, 2), (2_048, 2)])
def test_a_write_unit_is_a_kilobyte(size: int, units: int) -> None:
    assert write_units(size) == units


def test_typical_rows_are_one_unit_each() -> None:
    """With digests, a camera, a capture time and a long URL."""
    request = new_request(
        request_id="00000000-0000-4000-8000-000000000000",
        customer_id="a-customer",
        url="https://images.example/" + "x" * 200,
        labels={"album": "summer"},
        now=1_795_380_635_377,
    )
    metadata = ImageMetadata(
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
        metadata=metadata,
        provenance=Provenance(etag='"0123456789"', declared_media_type="image/jpeg"),
        request_created_at=request.created_at,
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
def test_the_price_of_a_million_images(calls: dict[str, float], expected: dict[str, float]) -> None:
    """DynamoDB charges four write units per image, batched or not. The other services charge per call."""
    assert per_million(calls, Rows(request=1, record=1)) == pytest.approx(expected)


def test_an_even_drift_within_a_round_affects_all_subjects_alike() -> None:
    order = balanced_order(("ours", "other", "third"))
    assert order == ("ours", "other", "third", "third", "other", "ours")
    drifting = list(zip(order, range(100, 106), strict=True))
    costs = {name: sum(cost for each, cost in drifting if each == name) for name in order}
    assert len(set(costs.values())) == 1


def test_the_pace_of_a_round_combines_its_turns() -> None:
    """Weighted by the images of each turn."""
    turns = [
        Load(images=100, seconds=1.0, server_cpu=0.1, own_cpu=0.01),
        Load(images=300, seconds=1.0, server_cpu=0.1, own_cpu=0.01),
    ]
    assert pace(turns) == Pace(cpu=500.0, rate=200.0, load_cpu=50.0)


def test_the_poll_interval_of_the_server_follows_the_age_share() -> None:
    schedule = PollIntervals(shortest=0.25, longest=30)
    interval = schedule.interval(State.PENDING, watch_load.OLD_S)
    assert interval == pytest.approx(watch_load.OLD_S * watch_load.AGE_SHARE)
    assert schedule.interval(State.PENDING, watch_load.NEW_S) == 0.25


def laps(*microseconds: float) -> tuple[Lap, ...]:
    return tuple(Lap(images=100, cpu_s=each / 10_000, seconds=1) for each in microseconds)


def named(figures: list[Figure]) -> dict[tuple[str, str], Figure]:
    return {(figure.name, figure.unit): figure for figure in figures}


def test_header_is_compared_with_the_cheapest_download_that_keeps_images() -> None:
    measured = {
        "ours": laps(1_000, 1_200),
        "parquet": laps(2_000, 2_000),
        "webdataset": laps(4_000, 4_000),
        "dummy": laps(500, 600),
    }
    figures = named(img2dataset.download_figures(measured))
    limited = figures["CPU per image, header against img2dataset's download to parquet", "x"]
    assert limited.values == pytest.approx((0.5, 0.6))
    assert str(limited.threshold) == "at most 1.1"
    nothing = figures["CPU per image, the same, keeping nothing", "x"]
    assert nothing.values == pytest.approx((2.0, 2.0))
    assert not nothing.threshold
    rate = figures["header, ours", "images/CPU-s"]
    assert rate.values == pytest.approx((1_000, 833.33), rel=1e-3)


def test_the_cost_of_encoding_is_subtracted_before_full_decoding_is_compared() -> None:
    figures = named(
        img2dataset.decode_figures(
            {
                "ours": laps(3_000, 3_300),
                "encodes": laps(4_000, 4_200),
                "decodes": laps(3_000, 3_000),
            },
            [1_000, 1_200],
        )
    )
    limited = figures[
        "CPU per image, full decode against img2dataset's decode and encode minus encoding", "x"
    ]
    assert limited.values == pytest.approx((1.0, 1.1))
    assert str(limited.threshold) == "at most 1.1"
    check = figures["CPU per image, the same, against its decoding of JPEG alone", "x"]
    assert check.values == pytest.approx((1.0, 1.1))
