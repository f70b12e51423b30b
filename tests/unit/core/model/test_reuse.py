"""The record of a fetched URL."""

import pytest

from core.model.reuse import FetchRecord, fetch_record_id, is_fetch_record_id


def test_each_customer_and_url_has_a_key_of_its_own() -> None:
    """And no image has one: the id of an image has no #."""
    keys = {
        fetch_record_id(*pair)
        for pair in (("acme", "u"), ("acme", "u?"), ("acm", "eu"), ("globex", "u"), ("acme", "é"))
    }
    assert len(keys) == 5
    assert all(is_fetch_record_id(key) for key in keys)
    assert not is_fetch_record_id("0f4c9a1e-5a83-5b0e-9d8c-1b2a3c4d5e6f")


@pytest.mark.parametrize(
    ("now", "fresh"), [(1_000, True), (1_500, True), (1_501, False), (999, True)]
)
def test_a_fetch_is_fresh_for_the_time_that_the_caller_allows(now: int, fresh: bool) -> None:
    """A consumer whose clock is behind finds a fetch of the future, which is fresh."""
    assert FetchRecord("i", 1_000, "").is_fresh(500, now) is fresh
