"""A plan of a simulation: traffic, faults, operators' actions, and the seed of the schedule. Hypothesis draws it.

The plan is data, so a failing one shrinks, and its repr replays it. The seed decides what is left: the order of
callbacks, latencies, jitter, and which messages a receive returns.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from harness.distribution import LEVEL_LIMITS_S

T = TypeVar("T")

MAX_SKEW_S = 90

SERVICES = ("dynamodb", "sqs", "sns", "s3")


class Choice(StrEnum):
    """A member prints as it is written in code, so that a printed plan can be copied into a test."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class Effect(Choice):
    """The effect of a fault on one call."""

    ERROR = "500, nothing done"
    LOST = "done, connection reset"
    EMPTY = "done, 200 without members"
    LATE = "no answer in time, done later"
    ENTRIES_FAIL = "200, some entries not done"
    ENTRIES_LOST = "200, some entries done and reported as failed"
    DUPLICATE = "a receive leaves its messages visible, a delete does not last"
    KILL_BEFORE = "the caller is killed, nothing done"
    KILL_AFTER = "done, the caller is killed"
    PAUSE_BEFORE = "the caller is paused, nothing done before"
    PAUSE_AFTER = "done, the caller is paused"


@dataclass(frozen=True)
class Fault:
    """Hits the calls of `operation` with the numbers from `first`, `times` of them, counted over all processes.

    `seconds` is the duration of a pause or a delay; `mask` selects entries of a batch, one bit for each position.
    """

    operation: str
    first: int
    effect: Effect
    times: int = 1
    seconds: int = 0
    mask: int = 1


@dataclass(frozen=True)
class Outage:
    """All calls of a service fail from `begins` for `seconds`, without effect."""

    service: str
    begins: int
    seconds: int


class Origin(Choice):
    """The result of one fetch. Each fetch of a URL returns another image."""

    OK = "image"
    TRANSIENT = "transient failure"
    PERMANENT = "permanent failure"
    BUSY = "host is busy"
    SLOW = "image after 20 s"
    VERY_SLOW = "image after 300 s"
    POISON = "kills its process"
    PAUSED = "image, after its process was paused for longer than the visibility timeout"


@dataclass(frozen=True)
class Submit:
    """A request that is submitted at `at`, and `repeats` times more, `again_s` apart. `origin`: results of fetches in
    order; later fetches return the image. `bulk`: whether the caller asks for that lane, if there are two."""

    at: int
    origin: tuple[Origin, ...] = ()
    repeats: int = 0
    again_s: int = 0
    customer: str = "acme"
    bulk: bool = False


class Action(Choice):
    RETRY_QUEUE = "retry-failed"
    RETRY_CUSTOMER = "retry-failed --customer"
    RETRY_IDS = "retry-failed --request-id"
    RECONCILE = "reconcile"
    STOP_CONSUMER = "SIGTERM"


@dataclass(frozen=True)
class Operation:
    """An operator's action, `times` times from `at` on."""

    at: int
    action: Action
    times: int = 1
    every_s: int = 60


@dataclass(frozen=True)
class Plan:
    """Times are in seconds from the start. Faults end after `lasts` seconds, traffic and operators at least.

    skews: the errors of the clocks of the server and the consumers. two_lanes: whether there is a bulk queue.
    """

    seed: int
    submits: tuple[Submit, ...]
    faults: tuple[Fault, ...] = ()
    outages: tuple[Outage, ...] = ()
    operations: tuple[Operation, ...] = ()
    consumers: int = 1
    concurrency: int = 2
    max_receives: int = 5
    lasts: int = 60
    skews: tuple[int, ...] = ()
    two_lanes: bool = False
    strict_workers: bool = False
    """Whether nothing disturbs heartbeats and stops, so that they must be perfect."""


def _some(each: st.SearchStrategy[T], least: int, most: int) -> st.SearchStrategy[tuple[T, ...]]:
    """Draw a tuple whose length is uniform; lists of Hypothesis are mostly short."""
    return st.integers(least, most).flatmap(lambda count: st.tuples(*[each] * count))


_WRITES = ("BatchExecuteStatement", "SendMessageBatch", "PublishBatch")
_BATCHES = (*_WRITES, "DeleteMessageBatch")
_CALLS = (*_BATCHES, "BatchExecuteStatement", "BatchGetItem", "ReceiveMessage", "PutObject")
_OPERATIONS = {
    Effect.ERROR: (*_CALLS, "UpdateItem", "ChangeMessageVisibilityBatch", "GetQueueAttributes"),
    Effect.LOST: (*_CALLS, "UpdateItem"),
    Effect.EMPTY: (*_BATCHES, "BatchGetItem", "PutObject", "GetQueueAttributes"),
    Effect.LATE: (*_CALLS, "UpdateItem", "ChangeMessageVisibilityBatch"),
    Effect.ENTRIES_FAIL: (*_BATCHES, "BatchGetItem", "BatchGetItem"),
    Effect.ENTRIES_LOST: _WRITES,
    Effect.DUPLICATE: ("ReceiveMessage", "DeleteMessageBatch"),
    Effect.KILL_BEFORE: (*_CALLS, "UpdateItem"),
    Effect.KILL_AFTER: (*_CALLS, "UpdateItem"),
    Effect.PAUSE_BEFORE: (*_CALLS, "UpdateItem"),
    Effect.PAUSE_AFTER: (*_CALLS, "UpdateItem"),
}
"""The calls that an effect can hit; those named twice are hit more often. Outages cover scans."""

_customers = st.sampled_from(["acme", "acme", "globex"])
_hits = st.sampled_from(Effect).flatmap(
    lambda effect: st.tuples(st.just(effect), st.sampled_from(_OPERATIONS[effect]))
)
_faults = st.builds(
    lambda hit, first, times, seconds, mask: Fault(hit[1], first, hit[0], times, seconds, mask),
    hit=_hits,
    first=st.one_of(st.integers(0, 2), st.integers(0, 8)),
    times=st.sampled_from([1, 3, 6]),
    seconds=st.sampled_from([300, 130, 10]),
    mask=st.sampled_from([1, 3, 6]),
)
_outages = st.builds(
    Outage,
    service=st.sampled_from(SERVICES),
    begins=st.integers(0, 60),
    seconds=st.sampled_from([3, 40, 300]),
)
_origins = _some(st.sampled_from([Origin.PERMANENT, Origin.SLOW, Origin.PAUSED, *Origin]), 0, 3)
_submits = st.builds(
    Submit,
    at=st.integers(0, 20),
    origin=_origins,
    repeats=st.integers(0, 2),
    again_s=st.sampled_from([0, 5, 40]),
    customer=_customers,
    bulk=st.booleans(),
)
_operations = st.builds(
    Operation,
    at=st.integers(0, 60),
    action=st.sampled_from([Action.RETRY_QUEUE, *Action]),
    times=st.sampled_from([1, 8]),
    every_s=st.sampled_from([40, 5, 300]),
)


_LATE = st.sampled_from([Origin.SLOW, Origin.VERY_SLOW, Origin.PAUSED])
_NEXT = st.sampled_from([Origin.PERMANENT, Origin.PERMANENT, Origin.OK, Origin.SLOW])
_contended_submits = st.builds(
    Submit,
    at=st.just(0),
    origin=st.tuples(_LATE, _NEXT, st.one_of(_NEXT, _LATE)),
    repeats=st.integers(1, 2),
    again_s=st.sampled_from([0, 5]),
)
_retries = st.builds(
    Operation,
    at=st.integers(1, 60),
    action=st.sampled_from([Action.RETRY_QUEUE, Action.RETRY_CUSTOMER, Action.RETRY_IDS]),
    times=st.sampled_from([8, 2]),
    every_s=st.sampled_from([5, 40, 1_000]),
)


def plans() -> st.SearchStrategy[Plan]:
    """Draw plans of two kinds: any traffic under many faults; and copies of messages under late workers and retries."""
    return st.one_of(
        _plans(_some(_submits, 1, 3), _some(_faults, 0, 8), _some(_operations, 0, 2)),
        _plans(_some(_contended_submits, 1, 2), _some(_faults, 0, 2), _some(_retries, 1, 2)),
    )


def _plans(
    submits: st.SearchStrategy[tuple[Submit, ...]],
    faults: st.SearchStrategy[tuple[Fault, ...]],
    operations: st.SearchStrategy[tuple[Operation, ...]],
) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        seed=st.integers(0, 2**16),
        submits=submits,
        faults=faults,
        outages=_some(_outages, 0, 1),
        operations=operations,
        consumers=st.sampled_from([2, 2, 1]),
        concurrency=st.sampled_from([2, 1, 4]),
        max_receives=st.sampled_from([5, 2]),
        lasts=st.sampled_from([60, 300]),
        skews=_some(st.integers(-MAX_SKEW_S, MAX_SKEW_S), 0, 3),
        two_lanes=st.booleans(),
    )


def repeat_plans() -> st.SearchStrategy[Plan]:
    """Draw plans without faults, of submits that are repeated and end before the delay of a copy."""
    origins = st.sampled_from([Origin.OK, Origin.TRANSIENT, Origin.PERMANENT, Origin.SLOW])
    submits = st.builds(
        Submit,
        at=st.integers(0, 3),
        origin=_some(origins, 0, 2),
        repeats=st.integers(0, 6),
        again_s=st.sampled_from([0, 1, 30]),
        customer=_customers,
        bulk=st.booleans(),
    )
    return st.builds(
        Plan,
        seed=st.integers(0, 2**16),
        submits=_some(submits, 1, 3),
        consumers=st.sampled_from([1, 2]),
        concurrency=st.just(8),
        lasts=st.just(400),
        two_lanes=st.booleans(),
    )


def worker_plans() -> st.SearchStrategy[Plan]:
    """Draw plans with a full queue, runs longer than the visibility timeout, outages but of SQS, kills and stops."""
    origins = st.sampled_from(
        [Origin.OK, Origin.SLOW, Origin.VERY_SLOW, Origin.TRANSIENT, Origin.PERMANENT, Origin.BUSY]
    )
    submits = st.builds(
        Submit,
        at=st.integers(0, 3),
        origin=_some(origins, 0, 2),
        customer=_customers,
        bulk=st.booleans(),
    )
    outages = st.builds(
        Outage,
        service=st.sampled_from(["dynamodb", "sns", "s3"]),
        begins=st.integers(0, 60),
        seconds=st.sampled_from([3, 40, 300]),
    )
    kills = st.builds(
        Fault,
        operation=st.sampled_from(["PutObject", "PublishBatch"]),
        first=st.integers(0, 5),
        effect=st.sampled_from([Effect.KILL_BEFORE, Effect.KILL_AFTER]),
    )
    stops = st.builds(
        Operation,
        at=st.integers(0, 60),
        action=st.just(Action.STOP_CONSUMER),
        times=st.sampled_from([1, 3]),
        every_s=st.sampled_from([5, 40]),
    )
    return st.builds(
        Plan,
        seed=st.integers(0, 2**16),
        submits=_some(submits, 2, 12),
        faults=_some(kills, 0, 1),
        outages=_some(outages, 0, 2),
        operations=_some(stops, 0, 2),
        consumers=st.sampled_from([1, 2]),
        concurrency=st.sampled_from([4, 1, 12]),
        two_lanes=st.booleans(),
        strict_workers=st.just(True),
    )


_EXAMPLES = os.environ.get("SIMULATION_EXAMPLES")


def examples(count: int) -> Callable[[T], T]:
    """Run `count` examples, or SIMULATION_EXAMPLES without a time limit.

    A failure prints the plan, and a blob for @reproduce_failure.
    """
    decorate: Any = settings(
        max_examples=count if _EXAMPLES is None else int(_EXAMPLES),
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    mark: Any = pytest.mark.timeout(LEVEL_LIMITS_S["robustness"] if _EXAMPLES is None else 0)
    return lambda test: mark(decorate(test))
