"""Customer buckets: they stand for customers in metrics."""

from collections import Counter

from consumer.metrics import CUSTOMER_BUCKETS, customer_bucket


def test_a_customer_stays_in_its_bucket() -> None:
    """Rates over pods of two releases add up only if both use the same bucket."""
    assert [customer_bucket(name) for name in ("acme", "globex", "a" * 128)] == ["14", "10", "12"]


def test_customers_are_spread_evenly() -> None:
    """No bucket holds twice its share of similar ids, because a bucket stands for a few customers."""
    counts = Counter(customer_bucket(f"customer-{number}") for number in range(1_600))
    assert set(counts) == set(CUSTOMER_BUCKETS)
    assert max(counts.values()) < 200
