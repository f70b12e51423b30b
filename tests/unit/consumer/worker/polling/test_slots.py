"""The slots of the lanes: parts, polls, shares, and no slot that is lost."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.worker.polling.slots import Placement, Poll, Slots
from core.model.message import Lane

INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK
RUN, WAIT, DEFER = Placement.RUN, Placement.WAIT, Placement.DEFER


def receive(slots: Slots, lane: Lane, *customers: str) -> list[Placement]:
    """Let a poll of a lane receive one message of each customer."""
    poll = slots.begin(lane) or slots.search(lane)
    assert poll is not None
    slots.end(poll, len(customers))
    return [
        slots.place(lane, customer, deferrable=True, has_slot=number < poll.slots)
        for number, customer in enumerate(customers)
    ]


def fill(slots: Slots, lane: Lane, customer: str) -> int:
    """Let a customer take slots until one is refused. Return their number."""
    count = 0
    while receive(slots, lane, customer) == [RUN]:
        count += 1
    return count


def after(lane: Lane, slots: Slots, *, busy: bool) -> Slots:
    """Return the slots after a poll of a lane that was empty, or not."""
    slots.end(Poll(lane, 1), int(busy))
    return slots


@pytest.mark.parametrize("places", [1, 2, 3, 4, 8, 64, 1_000])
def test_one_customer_alone_uses_all_slots_of_one_lane(places: int) -> None:
    assert fill(Slots(places, (INTERACTIVE,)), INTERACTIVE, "a") == places
    assert fill(Slots(places), INTERACTIVE, "a") == places


@pytest.mark.parametrize(("places", "bulk"), [(1, 1), (3, 3), (4, 3), (8, 6), (64, 48)])
def test_bulk_leaves_a_quarter_to_interactive(places: int, bulk: int) -> None:
    slots = Slots(places)
    assert fill(slots, BULK, "a") == bulk
    assert fill(slots, INTERACTIVE, "a") == places - bulk


def test_interactive_leaves_an_eighth_to_bulk_while_it_has_messages() -> None:
    slots = after(BULK, Slots(64), busy=True)
    assert fill(slots, INTERACTIVE, "a") == 56
    after(BULK, slots, busy=False)
    assert fill(slots, INTERACTIVE, "a") == 8
    after(BULK, slots, busy=True)
    assert slots.room(BULK) == 0
    for _ in range(9):
        slots.release(INTERACTIVE, "a")
    assert (slots.room(BULK), slots.room(INTERACTIVE)) == (9, 1)


def test_a_newcomer_runs_although_interactive_holds_the_part_of_bulk() -> None:
    """One customer took all slots while bulk was empty. Then bulk gets messages, and the lane's limit falls."""
    slots = after(BULK, Slots(64), busy=False)
    assert fill(slots, INTERACTIVE, "a") == 64
    after(BULK, slots, busy=True)
    assert receive(slots, INTERACTIVE, "a", "b") == [DEFER, RUN]


@pytest.mark.parametrize(
    ("lane", "busy", "running", "poll"),
    [
        (BULK, False, 0, Poll(BULK, 1)),  # holds no slot
        (BULK, False, 64, Poll(BULK, 1)),
        (BULK, True, 0, Poll(BULK, 10, 10)),
        (BULK, True, 45, Poll(BULK, 3, 3)),
        (BULK, True, 48, None),
        (INTERACTIVE, False, 0, Poll(INTERACTIVE, 10, 10)),
        (INTERACTIVE, True, 60, Poll(INTERACTIVE, 4, 4)),
        (INTERACTIVE, True, 64, None),
    ],
)
def test_a_poll_takes_its_slots_beforehand(
    lane: Lane, busy: bool, running: int, poll: Poll | None
) -> None:
    """`running` are interactive messages if they are 60 or more, else bulk ones."""
    slots = Slots(64)
    for _ in range(running):
        slots.place(INTERACTIVE if running >= 60 else BULK, "a", deferrable=True)
    assert after(lane, slots, busy=busy).begin(lane) == poll


def test_an_idle_poll_holds_only_slots_that_the_other_lane_may_not_take() -> None:
    slots = Slots(16)
    assert slots.begin(INTERACTIVE) == Poll(INTERACTIVE, 4, 4)
    assert slots.begin(BULK) == Poll(BULK, 1)
    assert fill(slots, BULK, "a") == 12


def test_a_message_of_a_full_lane_runs_only_below_its_customers_share() -> None:
    """The reserve is an eighth: 8 of 64."""
    slots = Slots(64, (INTERACTIVE,))
    fill(slots, INTERACTIVE, "a")
    assert receive(slots, INTERACTIVE, "a", "b", "a") == [DEFER, RUN, DEFER]
    assert receive(slots, INTERACTIVE, *"bbbbbbbb") == [RUN] * 7 + [WAIT]
    assert slots.search(INTERACTIVE) is None
    slots.release(INTERACTIVE, "a")
    assert receive(slots, INTERACTIVE, "a", "c", "d") == [DEFER, RUN, WAIT]


def test_freed_slots_go_to_customers_below_their_share_first() -> None:
    slots = Slots(8, (INTERACTIVE,))
    fill(slots, INTERACTIVE, "a")
    for _ in range(4):
        receive(slots, INTERACTIVE, "b")
        slots.release(INTERACTIVE, "a")
        assert receive(slots, INTERACTIVE, "a") == [DEFER]


def test_a_message_that_was_deferred_too_often_waits_for_a_slot() -> None:
    slots = Slots(4, (INTERACTIVE,))
    fill(slots, INTERACTIVE, "a")
    assert slots.place(INTERACTIVE, "a", deferrable=False) is WAIT
    slots.release(INTERACTIVE, "a")
    assert slots.place(INTERACTIVE, "a", deferrable=False) is RUN


def test_bulk_uses_half_of_the_reserve_at_most() -> None:
    """Then interactive messages still have their part, and the rest of the reserve."""
    slots = Slots(64)
    fill(slots, BULK, "a")
    assert receive(slots, BULK, *"bcdef") == [RUN] * 4 + [WAIT]
    assert slots.search(BULK) is None
    assert fill(slots, INTERACTIVE, "a") == 16
    assert receive(slots, INTERACTIVE, *"ghijk") == [RUN] * 4 + [WAIT]
    assert slots.search(INTERACTIVE) is None


def test_slots_taken_before_bulk_had_messages_do_not_end_the_search() -> None:
    """All slots are interactive when bulk gets its first message; the limit of the lane is then lower."""
    slots = Slots(64)
    fill(slots, INTERACTIVE, "a")
    after(BULK, slots, busy=True)
    assert receive(slots, INTERACTIVE, "b", "a") == [RUN, DEFER]
    assert slots.search(INTERACTIVE) == Poll(INTERACTIVE, 10)


@dataclass(slots=True)
class Lanes:
    """What runs and polls, beside the slots."""

    slots: Slots = field(default_factory=lambda: Slots(8))
    running: list[tuple[Lane, str]] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "search", "end", "release"]),
            st.sampled_from(list(Lane)),
            st.lists(st.sampled_from("abc"), max_size=10),
            st.integers(0, 20),
        ),
        max_size=100,
    )
)
def test_slots_are_bounded_and_none_is_lost(
    steps: list[tuple[str, Lane, list[str], int]],
) -> None:
    """At most the places and the reserve run; when all has ended, everything is free again."""
    lanes = Lanes()
    slots = lanes.slots
    for step, lane, customers, index in steps:
        if step in ("begin", "search"):
            if any(poll.lane is lane for poll in lanes.polls):
                continue
            if poll := slots.begin(lane) if step == "begin" else slots.search(lane):
                lanes.polls.append(poll)
        elif step == "end" and lanes.polls:
            poll = lanes.polls.pop(index % len(lanes.polls))
            received = customers[: poll.count]
            slots.end(poll, len(received))
            placed = [
                slots.place(poll.lane, each, deferrable=True, has_slot=number < poll.slots)
                for number, each in enumerate(received)
            ]
            # Every slot that was taken beforehand is used.
            assert [each is RUN for each in placed[: poll.slots]].count(False) == 0
            runs = zip(received, placed, strict=True)
            lanes.running += [(poll.lane, each) for each, placement in runs if placement is RUN]
        elif step == "release" and lanes.running:
            slots.release(*lanes.running.pop(index % len(lanes.running)))
        assert len(lanes.running) <= 8 + 2
    for poll in lanes.polls:
        slots.end(poll, 0)
    for each in lanes.running:
        slots.release(*each)
    for lane in Lane:
        after(lane, slots, busy=False)
    assert (slots.room(INTERACTIVE), slots.room(BULK)) == (8, 6)
