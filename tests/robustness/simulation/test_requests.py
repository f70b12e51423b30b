"""Submit, worker, retry-failed and reconcile keep every promise of a request, under faults at every call."""

from hypothesis import given

from robustness.simulation.plan import Plan, plans
from robustness.simulation.system import simulate
from robustness.simulation.plan import examples


@examples(60)
@given(plan=plans())
def test_every_request_keeps_its_promises(plan: Plan) -> None:
    """An acknowledged request ends; its terminal states last and are notified; it has one image at most."""
    simulate(plan)
