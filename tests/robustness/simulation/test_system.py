"""Server, consumers and operators' jobs keep every promise of a request, under faults at every call."""

from hypothesis import given

from robustness.simulation.history import MAX_DEATHS
from robustness.simulation.plan import (
    Action,
    Effect,
    Fault,
    Operation,
    Origin,
    Outage,
    Plan,
    Submit,
    examples,
    plans,
    repeat_plans,
    worker_plans,
)
from robustness.simulation.system import SETTINGS, simulate


@examples(200)
@given(plan=plans())
def test_every_request_keeps_its_promises(plan: Plan) -> None:
    """An acknowledged request ends; its terminal states last and are notified; it has one image at most."""
    simulate(plan)


@examples(60)
@given(plan=worker_plans())
def test_a_worker_holds_what_it_can_and_keeps_it_invisible(plan: Plan) -> None:
    """Up to its capacity; in an outage one message. It ends each one, and stops in time."""
    simulate(plan)


@examples(100)
@given(plan=repeat_plans())
def test_repeated_submits_do_no_work_twice(plan: Plan) -> None:
    """Without faults there are as many notifications as requests, and no fetch beyond the attempts of one message."""
    history = simulate(plan)
    assert len(history.notifications) == len(plan.submits)
    assert len(history.failures_sent) == sum(
        rows[-1].failure is not None for rows in history.rows.values()
    )
    assert max(history.fetches.values()) <= SETTINGS.max_attempts
    for rows in history.rows.values():
        if rows[-1].failure is not None:
            assert history.fetches[rows[-1].origin_url] == rows[-1].failure.attempts


def test_an_image_that_kills_its_process_again_and_again_is_crashed() -> None:
    """The first death beside other images is not counted. The others complete."""
    history = simulate(Plan(0, (Submit(0, (Origin.POISON,) * 9), Submit(0)), concurrency=4))
    ends = sorted(
        rows[-1].failure.code if rows[-1].failure else "" for rows in history.rows.values()
    )
    assert ends == ["", "CRASHED"]
    assert sum("killed" in line for line in history.lines) == 1 + MAX_DEATHS


def test_a_plan_replays_exactly() -> None:
    """The history of two runs is the same to the last line, with faults, kills and pauses."""
    plan = Plan(
        seed=7,
        submits=(Submit(0, (Origin.POISON, Origin.PERMANENT), repeats=1), Submit(1, repeats=2)),
        faults=(
            Fault("BatchExecuteStatement", 2, Effect.LOST, times=3),
            Fault("PublishBatch", 1, Effect.PAUSE_BEFORE, seconds=130),
        ),
        outages=(Outage("sqs", 10, 40),),
        operations=(Operation(30, Action.RETRY_QUEUE, times=3),),
        consumers=2,
    )
    assert simulate(plan).lines == simulate(plan).lines
