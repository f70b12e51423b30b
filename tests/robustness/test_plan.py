"""The plan of the traffic."""

import random

from robustness.traffic.plan import calls, healthy, image_sha256, plan


def test_a_seed_fixes_the_plan() -> None:
    first, second, other = (
        plan(random.Random(seed), 200, rate=10.0, customers=5) for seed in (1, 1, 2)
    )
    assert first == second != other


def test_a_third_is_repeated_and_some_repeats_have_other_content() -> None:
    requests = plan(random.Random(1), 3_000, rate=10.0, customers=5)
    repeated = [request for request in requests if len(request.submits) > 1]
    repeats = [submit for request in repeated for submit in request.submits[1:]]
    assert 0.28 < len(repeated) / len(requests) < 0.38
    assert 0.25 < sum(submit.content > 0 for submit in repeats) / len(repeats) < 0.35


def test_the_contents_of_an_id_differ() -> None:
    for request in plan(random.Random(1), 500, rate=10.0, customers=5):
        distinct = {(each.customer, each.path, each.labels) for each in request.contents}
        assert len(distinct) == len(request.contents)


def test_calls_are_in_the_order_of_their_times() -> None:
    requests = plan(random.Random(1), 300, rate=10.0, customers=5)
    times = [submit.at for submit in calls(requests)]
    assert times == sorted(times)
    assert len(times) == sum(len(request.submits) for request in requests)


def test_a_later_use_of_an_id_has_another_customer_and_image() -> None:
    for request in healthy(random.Random(1), 20, customers=5):
        first, second = request.contents
        assert first.customer != second.customer
        assert image_sha256(first.image) != image_sha256(second.image)
