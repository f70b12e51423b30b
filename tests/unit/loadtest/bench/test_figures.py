"""The arithmetic behind published figures."""

import pytest

from core.dynamodb import schema
from core.model.image import ImageMetadata, ImageRecord, Provenance
from core.model.request import State, new_request
from loadtest.bench.benchmark import Figure, Spread, balanced_order, ratios, spread
from loadtest.bench.benchmarks import go, img2dataset, watch_load
from loadtest.bench.benchmarks.prices import (
    ONE_CALL_PER_STEP,
    Rows,
    item_bytes,
    per_million,
    write_units,
)
from loadtest.bench.benchmarks.race import check_same_bytes
from loadtest.bench.benchmarks.submit import Pace, pace
from loadtest.bench.images.collection import LARGE, SMALL
from loadtest.bench.load.generator import Load
from loadtest.bench.subjects.consumer import Lap, check_work
from loadtest.bench.system.process import BenchFailed
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
        (FULL_BATCHES, {"dynamodb": 2.5, "s3": 5.0, "sqs": 0.15, "sns": 0.05}),
        (ONE_CALL_PER_STEP, {"dynamodb": 2.5, "s3": 5.0, "sqs": 1.5, "sns": 0.5}),
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


def test_full_decoding_is_compared_with_decoding_and_encoding_minus_the_cost_of_encoding() -> None:
    measured = img2dataset.Measured(
        {
            "header": laps(1_000, 1_200),
            "full": laps(3_000, 3_300),
            "download": laps(2_000, 2_000),
            "decode and encode": laps(4_000, 4_200),
            "decode": laps(3_000, 3_000),
        },
        [1_000, 1_200],
    )
    figures = named(img2dataset.figures(SMALL, img2dataset.FREE, measured))
    full = figures[
        "CPU per image, full over img2dataset's decode and encode minus encoding, all cores", "x"
    ]
    assert full.values == pytest.approx((1.0, 1.1))
    assert str(full.threshold) == "at most 1.3"
    check = figures["CPU per image, full over img2dataset's decode, all cores", "x"]
    assert check.values == pytest.approx((1.0, 1.1))


def test_only_header_is_limited_on_one_core() -> None:
    """Downloads of img2dataset cost more with several cores, which would be an advantage of ours."""
    measured = img2dataset.Measured(
        {
            name: laps(1_000)
            for name in ("header", "full", "download", "decode and encode", "decode")
        },
        [500],
    )
    figures = img2dataset.figures(SMALL, img2dataset.ONE_CORE, measured)
    assert [figure.name for figure in figures if figure.threshold] == [
        "CPU per image, header over img2dataset's download, one core each"
    ]


def test_each_mode_is_compared_with_the_go_program_of_the_same_decoder() -> None:
    measured = {
        "full": laps(1_000),
        "draft": laps(600),
        "Go": laps(2_000),
        "Go turbo": laps(800),
        "Go turbo draft": laps(500),
    }
    limited = [figure for figure in go.figures(LARGE, measured) if figure.threshold]
    assert {figure.name: (figure.values, str(figure.threshold)) for figure in limited} == {
        "CPU per image, full over Go turbo": ((1.25,), "at most 1.1"),
        "CPU per image, draft over Go turbo draft": ((1.2,), "at most 1"),
        "CPU per image, full over Go": ((0.5,), "at most 0.4"),
    }


def items(**others: int) -> dict[str, int]:
    return {
        "s3:PutObject": 2,
        "dynamodb:BatchExecuteStatement": 4,
        "sns:PublishBatch": 2,
        "sqs:DeleteMessageBatch": 2,
        **others,
    }


def test_single_and_batched_calls_count_as_the_same_work() -> None:
    check_work(items(), 2)
    single = {
        "s3:PutObject": 2,
        "dynamodb:PutItem": 2,
        "dynamodb:UpdateItem": 2,
        "sns:Publish": 2,
        "sqs:DeleteMessage": 2,
    }
    check_work(single, 2)


@pytest.mark.parametrize(
    "different",
    [
        {"s3:PutObject": 1},
        {"dynamodb:BatchExecuteStatement": 3},
        {"sns:Publish": 1},
        {"sqs:SendMessageBatch": 1},
    ],
)
def test_a_lap_with_other_work_fails(different: dict[str, int]) -> None:
    with pytest.raises(BenchFailed, match="not every image was published once"):
        check_work(items() | different, 2)


def test_a_round_fails_if_the_programs_stored_different_bytes() -> None:
    """A program that stores nothing is not compared."""
    stored = {
        "full": Lap(1, 1.0, 1.0, 10),
        "download": Lap(1, 1.0, 1.0),
        "Go": Lap(1, 1.0, 1.0, 10),
    }
    check_same_bytes(stored)
    with pytest.raises(BenchFailed, match="different bytes"):
        check_same_bytes({**stored, "Go turbo": Lap(1, 1.0, 1.0, 11)})
