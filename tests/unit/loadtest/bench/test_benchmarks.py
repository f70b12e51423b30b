"""The benchmarks' own arithmetic: what a figure is, and what AWS charges."""

import pytest

from core.dynamodb import schema
from core.model.image import ImageMetadata, ImageRecord, Provenance
from core.model.request import State, new_request
from loadtest.bench import goals
from loadtest.bench.benchmarks import growth, watching
from loadtest.bench.benchmarks.prices import (
    ONE_CALL_PER_STEP,
    Rows,
    item_bytes,
    per_million,
    write_units,
)
from loadtest.bench.benchmarks.submitting import Pace, pace
from loadtest.bench.benchmarks.turns import there_and_back
from loadtest.bench.load.generator import Load
from loadtest.bench.results.spread import Spread, ratios, spread
from server.watch.schedule import WatchSchedule

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
    picture = ImageMetadata(
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


def test_what_drifts_evenly_through_a_round_weighs_on_all_alike() -> None:
    order = there_and_back(("ours", "other", "third"))
    assert order == ("ours", "other", "third", "third", "other", "ours")
    drifting = list(zip(order, range(100, 106), strict=True))
    costs = {name: sum(cost for each, cost in drifting if each == name) for name in order}
    assert len(set(costs.values())) == 1


def test_a_rounds_pace_is_that_of_its_turns_together() -> None:
    """Weighed by their images, as a turn's own ratio would not be."""
    turns = [
        Load(images=100, seconds=1.0, server_cpu=0.1, own_cpu=0.01),
        Load(images=300, seconds=1.0, server_cpu=0.1, own_cpu=0.01),
    ]
    assert pace(turns) == Pace(cpu=500.0, rate=200.0, load_cpu=50.0)


def test_a_size_is_reached_when_half_of_its_rounds_are_done() -> None:
    """What is measured adds rows itself: a warm-up and its rounds, of 500 each."""
    at_first = growth.missing(2_000, 0, rounds=4)
    assert at_first + 500 + 2 * 500 == 2_000
    rows = at_first + 5 * 500
    assert rows + growth.missing(20_000, rows, rounds=4) + 500 + 2 * 500 == 20_000


def test_growth_is_told_by_the_rows_that_there_were_and_held_against_flat() -> None:
    def size(rows: int, *cpu: float) -> growth.Size:
        costs = (dict.fromkeys(("server", "consumer", "load generator"), each) for each in cpu)
        return growth.Size(rows, tuple(growth.Cost(each) for each in costs))

    figures = growth.figures([size(2_000, 100, 200), size(20_000, 110, 250)])
    told = {figure.name: figure for figure in figures}
    grown = told["server CPU per image, 20,000 rows over 2,000"]
    assert grown.values == pytest.approx((1.1, 1.25))
    assert str(grown.goal) == "at most 1.1"
    assert told["load generator CPU per image at 20,000 rows"].values == (110, 250)
    assert told["consumer CPU per image at 2,000 rows"].note == "its 2 rounds add 1,000 rows"


def test_old_requests_are_told_beside_new_ones() -> None:
    """Only the news of new ones have a goal."""
    news = watching.News(tuple(number / 100 for number in range(101)), 1.0, 0.5, 0.25)
    new = watching.figures("new", [news], goals.WATCH_P99)
    old = watching.figures("old", [news])
    assert [figure.goal for figure in (new[0], old[0])] == [goals.WATCH_P99, None]
    assert new[0].values == old[0].values == pytest.approx((990.0,))


def test_the_age_of_old_requests_decides_when_they_are_read() -> None:
    schedule = WatchSchedule(shortest=0.25, longest=30)
    interval = schedule.interval(State.PENDING, watching.OLD_S)
    assert interval == pytest.approx(watching.OLD_S * watching.AGE_SHARE)
    assert schedule.interval(State.PENDING, watching.NEW_S) == 0.25
