"""The batcher under random schedules: every item is answered once, with its own result, whatever its calls meet."""

from hypothesis import given

from robustness.simulation.batcher import BatcherPlan, batcher_plans, run_batcher
from robustness.simulation.plan import examples


@examples(100)
@given(plan=batcher_plans())
def test_every_item_is_answered_once(plan: BatcherPlan) -> None:
    """With its own result or an error of its call; within all limits; and a drain ends."""
    run_batcher(plan)
