"""The million driver's pure parts: what it sends, when, and what it makes of the answers."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.million.aws_calls import calls_table
from loadtest.million.items import Items, TooFewCustomers
from loadtest.million.ledger import COMPLETED, Ledger
from loadtest.million.looking_up import chunks, found_of
from loadtest.million.proof import Found, Proof, RowCounts, StoredImage
from loadtest.million.published import FETCHED, is_fetched
from loadtest.million.steadiness import Steadiness, steadiness
from loadtest.million.tenths import Mark, Tenths
from loadtest.million.work import Work
from loadtest.run_report.processes import ProcessSample
from loadtest.run_report.schedule import Schedule

ORIGINS = ("http://127.0.0.1:1", "http://127.0.0.2:1", "http://127.0.0.3:1")
RUN = "0123456789abcdef01"
IMAGE = StoredImage("http://127.0.0.1/a.jpg", "5e")
STEADY = Steadiness(passed=True, sentences=())


def items(total: int = 1_000, bodies: int = 100, customers: int = 10) -> Items:
    return Items(total, bodies, customers, ORIGINS, RUN)


@pytest.mark.parametrize(
    ("total", "bodies", "customers"),
    [(1_000, 100, 10), (1_000, 100, 37), (995, 100, 100), (5, 5, 1)],
)
def test_no_customer_submits_a_body_twice(total: int, bodies: int, customers: int) -> None:
    """Else the second upload would only repeat the first."""
    some = items(total, bodies, customers)
    assert len({(some.url(n), some.customer(n)) for n in range(total)}) == total
    assert len({some.url(n) for n in range(total)}) == bodies


def test_all_formats_origins_and_customers_take_part() -> None:
    some = items()
    urls = [some.url(n) for n in range(some.total)]
    assert {url.rpartition(".")[2] for url in urls} == {"jpg", "png", "webp", "gif"}
    assert {url.partition("/generated")[0] for url in urls} == set(ORIGINS)
    by_customer = Counter(some.customer(n) for n in range(some.total))
    assert len(by_customer) == 10
    assert set(by_customer.values()) == {100}


def test_too_few_customers_are_refused() -> None:
    with pytest.raises(TooFewCustomers, match="10 submits of each body"):
        items(customers=9)


def test_an_id_is_a_uuid_that_tells_its_number() -> None:
    some = items()
    ids = [some.request_id(n) for n in range(some.total)]
    assert [str(uuid.UUID(one)) for one in ids] == ids
    assert {uuid.UUID(one).version for one in ids} == {4}
    assert [some.number(one) for one in ids] == list(range(some.total))


@pytest.mark.parametrize(
    "request_id",
    ["0f8fad5b-d9cb-469f-a165-70867728950e", items(total=2_000, bodies=200).request_id(1_000), ""],
)
def test_an_id_of_another_run_has_no_number(request_id: str) -> None:
    assert items().number(request_id) is None


async def out_of(work: Work) -> list[int | None]:
    """All that is handed out before a sender would have to wait."""
    taken: list[int | None] = []
    for _ in range(200):
        await asyncio.sleep(0)
        if work.waiting:
            taken.append(await work.take())
    return taken


async def test_no_more_than_the_window_is_unfinished() -> None:
    work = Work(Ledger(100), 100, window=5)
    feeding = asyncio.create_task(work.feed(None))
    assert await out_of(work) == [0, 1, 2, 3, 4]
    work.leave_window()
    work.leave_window()
    assert await out_of(work) == [5, 6]
    feeding.cancel()


async def test_an_open_loop_waits_for_nobody() -> None:
    """What is overdue is sent at once, with the moment at which it should have been sent."""
    ledger = Ledger(50)
    start = time.monotonic() - 10
    work = Work(ledger, 50, window=1)
    feeding = asyncio.create_task(work.feed(Schedule(start, rate=100.0)))
    assert await out_of(work) == list(range(50))
    assert ledger.begun(40) == pytest.approx(start + 0.4)
    await feeding


async def test_senders_are_let_go_once_all_is_settled() -> None:
    ledger = Ledger(2)
    work = Work(ledger, 2, window=2)
    await work.feed(None)
    assert await out_of(work) == [0, 1]
    senders = [asyncio.create_task(work.take()) for _ in range(3)]
    ledger.acknowledge(0)
    work.settled()
    work.again(1, 0)
    assert await asyncio.wait_for(_first(senders), 5) == 1
    ledger.refuse(1)
    work.settled()
    assert Counter(await asyncio.gather(*senders)) == {None: 2, 1: 1}
    assert await work.take() is None


async def _first(senders: list[asyncio.Task[int | None]]) -> int | None:
    done, _ = await asyncio.wait(senders, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


def _twice_acknowledged(ledger: Ledger) -> None:
    ledger.acknowledge(1)


def _told_again(ledger: Ledger) -> None:
    ledger.tell(1, 2, COMPLETED)


def _told_otherwise(ledger: Ledger) -> None:
    ledger.tell(1, 3, "NOT_FOUND")


def _nothing(ledger: Ledger) -> None:
    del ledger


GOOD = Found(COMPLETED, 2, image=IMAGE)
AS_IT_SHOULD = RowCounts(requests=3, images=3)


@pytest.mark.parametrize(
    ("happens", "found", "rows", "faults"),
    [
        (_nothing, GOOD, AS_IT_SHOULD, {}),
        (_nothing, GOOD, None, {}),
        (_told_again, GOOD, AS_IT_SHOULD, {}),
        (
            _nothing,
            Found("FAILED", 2, image=None),
            RowCounts(3, 2),
            {"failed": "FAILED", "doubled": "stored FAILED"},
        ),
        (_nothing, None, RowCounts(2, 2), {"lost": "absent", "rows": "2 request rows"}),
        (_nothing, Found("PENDING", 1, image=None), RowCounts(3, 2), {"lost": "pending"}),
        (_nothing, Found(COMPLETED, 4, image=IMAGE), None, {"doubled": "revision 4"}),
        (_nothing, Found(COMPLETED, 2, image=None), None, {"image": "has no image"}),
        (
            _nothing,
            Found("FAILED", 2, image=IMAGE),
            None,
            {"failed": "FAILED", "doubled": "stored FAILED", "image": "has an image"},
        ),
        (_nothing, GOOD, RowCounts(3, 4), {"rows": "4 image rows"}),
        (_twice_acknowledged, GOOD, None, {"doubled": "acknowledged twice"}),
        (_told_otherwise, GOOD, None, {"doubled": "two terminal revisions"}),
    ],
)
def test_the_proof_names_what_is_lost_or_doubled(
    happens: Callable[[Ledger], None],
    found: Found | None,
    rows: RowCounts | None,
    faults: dict[str, str],
) -> None:
    """Three items of which the middle one is looked at."""
    some, ledger = items(3, 3), Ledger(3)
    for number in range(3):
        ledger.acknowledge(number)
        ledger.tell(number, 2, COMPLETED)
    happens(ledger)
    proof = Proof(some, ledger)
    for number in range(3):
        proof.look_at(number, found if number == 1 else GOOD)
    proof.close(rows)
    assert set(proof.faults) == set(faults)
    for kind, words in faults.items():
        assert words in " ".join(proof.faults[kind])
        assert kind == "rows" or some.request_id(1) in proof.faults[kind][0]
    assert proof.verdict(STEADY).passed == (not faults)


def test_what_was_told_must_be_what_is_stored() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.tell(0, 2, "NOT_FOUND")
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert "told of FAILED at revision 2, stored COMPLETED" in proof.faults["doubled"][0]


def test_a_picture_that_is_not_published_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.tell(0, 2, COMPLETED)
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.fetch(0, "http://127.0.0.1/a.jpg answers 404")
    proof.close(None)
    assert list(proof.faults) == ["published"]


@pytest.mark.parametrize("origins", [1, 4, 16])
def test_the_pictures_that_are_fetched_are_of_every_kind(origins: int) -> None:
    """Evenly over bodies, hosts and formats, which are chosen by remainders of an item's number."""
    total = 1_000_000
    some = Items(total, total // 10, 10, tuple(f"http://o{n}" for n in range(origins)), RUN)
    fetched = [number for number in range(total) if is_fetched(number, total)]
    assert len(fetched) == pytest.approx(FETCHED, rel=0.01)
    urls = [some.url(number) for number in fetched]
    assert len(set(urls)) > 0.9 * FETCHED
    kinds = Counter((url.split("/")[2], url.rpartition(".")[2]) for url in urls)
    assert len(kinds) == 4 * origins
    assert max(kinds.values()) < 2 * min(kinds.values())


def test_every_picture_of_a_short_run_is_fetched() -> None:
    assert all(is_fetched(number, FETCHED) for number in range(FETCHED))


def test_what_was_not_looked_up_is_a_fault() -> None:
    ledger = Ledger(2)
    for number in range(2):
        ledger.acknowledge(number)
        ledger.tell(number, 2, COMPLETED)
    proof = Proof(items(2, 2), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert proof.faults == {"unread": ["1 acknowledged requests were not looked up"]}
    assert not proof.verdict(STEADY).passed


def test_a_message_that_comes_twice_is_no_second_notification() -> None:
    ledger = Ledger(1)
    for message in ("a", "a", "b"):
        ledger.tell(0, 2, COMPLETED, message)
    assert (ledger.redelivered, ledger.repeats) == (1, 1)


def test_what_nobody_was_told_of_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert list(proof.faults) == ["untold"]


def test_a_run_that_did_not_get_everything_in_has_not_passed() -> None:
    ledger = Ledger(2)
    ledger.acknowledge(0)
    ledger.tell(0, 2, COMPLETED)
    ledger.refuse(1)
    proof = Proof(items(2, 2), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert not proof.verdict(STEADY).passed
    assert "1 were not acknowledged." in proof.verdict(STEADY).sentences


def test_a_long_list_of_faults_is_cut_in_the_verdict_alone() -> None:
    ledger = Ledger(50)
    proof = Proof(items(50, 50), ledger)
    for number in range(50):
        ledger.acknowledge(number)
        ledger.tell(number, 2, COMPLETED)
        proof.look_at(number, None)
    proof.close(None)
    assert len(proof.faults["lost"]) == 50
    assert "and 30 more" in " ".join(proof.verdict(STEADY).sentences)


def test_an_item_is_finished_when_acknowledged_and_told_in_either_order() -> None:
    ledger = Ledger(3)
    assert ledger.tell(0, 2, COMPLETED)
    assert not ledger.finished(0)
    assert ledger.acknowledge(0)
    assert ledger.finished(0)
    ledger.refuse(1)
    assert ledger.finished(1)
    assert not ledger.finished(2)
    assert not ledger.tell(0, 2, COMPLETED)
    assert (ledger.repeats, ledger.told_otherwise) == (1, [])


def mark(ended: int, seconds: float, cpu: float) -> Mark:
    server = ProcessSample(cpu, 80.0)
    return Mark(ended, seconds, {"server": server, "driver": ProcessSample(cpu * 5, 50.0)})


def test_tenths_are_cut_by_what_has_ended() -> None:
    """Samples do not hit the tenths; each first one in a new tenth counts. The driver is none of ours."""
    tenths = Tenths(total=1_000)
    for ended in range(0, 1_001, 40):
        tenths.see(mark(ended, ended / 10, cpu=ended / 500))
    assert [one.items for one in tenths.marks] == [
        *(0, 120, 200, 320, 400, 520, 600, 720, 800, 920, 1_000)
    ]
    rows = tenths.table().rows
    assert {row[2] for row in rows} == {2.0}
    assert tenths.growth() == pytest.approx(1.0)


def test_growth_compares_the_last_tenth_with_the_first() -> None:
    tenths = Tenths(total=10)
    for ended in range(11):
        tenths.see(mark(ended, ended, cpu=ended + (0.5 if ended == 10 else 0)))
    assert tenths.growth() == pytest.approx(1.5)


def test_a_run_without_ten_tenths_tells_no_growth() -> None:
    tenths = Tenths(total=10)
    tenths.see(mark(0, 0, 0))
    tenths.see(mark(10, 1, 1))
    assert tenths.growth() is None


def long_run(*, cpu: float = 0.0, memory: float = 100.0) -> Tenths:
    """Of 100,000 items, whose last tenth spends `cpu` seconds more and ends with `memory` MiB."""
    tenths = Tenths(total=100_000)
    for tenth in range(11):
        spent = tenth + (cpu if tenth == 10 else 0)
        sample = ProcessSample(spent, memory if tenth == 10 else 100.0)
        tenths.see(Mark(tenth * 10_000, tenth, {"server": sample, "consumer 1": sample}))
    return tenths


@pytest.mark.parametrize(
    ("tenths", "passed"),
    [
        (long_run(), True),
        (long_run(cpu=0.09, memory=115), True),
        (long_run(cpu=0.2), False),
        (long_run(memory=130), False),
        (Tenths(total=100_000), False),
        (Tenths(total=10_000), True),
    ],
)
def test_a_long_run_must_be_measured_and_steady(tenths: Tenths, *, passed: bool) -> None:
    assert steadiness(tenths).passed == passed


def test_a_run_that_was_not_steady_has_not_passed() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.tell(0, 2, COMPLETED)
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    verdict = proof.verdict(Steadiness(passed=False, sentences=("It grew.",)))
    assert not verdict.passed
    assert verdict.sentences[-1] == "It grew."


def test_aws_calls_are_those_made_meanwhile() -> None:
    before = {"s3:PutObject": 5.0, "sqs:ReceiveMessage": 3.0}
    after = {"s3:PutObject": 105.0, "sqs:ReceiveMessage": 3.0, "sns:PublishBatch": 10.0}
    assert calls_table(before, after, 100).rows == (
        ("all", 110, 1.1),
        ("s3:PutObject", 100, 1.0),
        ("sns:PublishBatch", 10, 0.1),
    )


STORED = pb.Image(public_url=IMAGE.public_url, metadata=pb.ImageMetadata(sha256=IMAGE.sha256))


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (pb.ImageRequest(state=pb.STATE_PENDING, revision=1), Found("PENDING", 1, image=None)),
        (
            pb.ImageRequest(state=pb.STATE_COMPLETED, revision=2, image=STORED),
            Found(COMPLETED, 2, image=IMAGE),
        ),
        (pb.ImageRequest(state=pb.STATE_FAILED, revision=2), Found("FAILED", 2, image=None)),
    ],
)
def test_the_public_contract_serves_the_proof_as_well(
    request_: pb.ImageRequest, found: Found
) -> None:
    assert found_of(request_) == found


def test_chunks_hold_everything_once() -> None:
    assert list(chunks(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
