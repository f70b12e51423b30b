"""Limits of the indexer's settings."""

import pytest
from pydantic import ValidationError

from consumer.indexer.settings import IndexerSettings

REQUIRED = {
    "QUEUE_URL": "http://localhost/queue",
    "REQUESTS_TABLE": "requests",
    "IMAGES_TABLE": "images",
    "PUBLIC_BASE_URL": "https://cdn.example/",
    "SEARCH_URL": "https://search.example",
    "SEARCH_QUEUE_URL": "http://localhost/search",
}


@pytest.mark.parametrize(
    ("wait", "taken"), [("0", False), ("1", True), ("20", True), ("21", False)]
)
def test_a_receive_waits_for_1_to_20_seconds(
    monkeypatch: pytest.MonkeyPatch, wait: str, taken: bool
) -> None:
    """Without a wait, an empty queue would be polled without a pause, and each call costs money."""
    for name, value in {**REQUIRED, "RECEIVE_WAIT_S": wait}.items():
        monkeypatch.setenv(name, value)
    if taken:
        assert IndexerSettings().receive_wait_s == int(wait)  # type: ignore[call-arg]
        return
    with pytest.raises(ValidationError, match="receive_wait_s"):
        IndexerSettings()  # type: ignore[call-arg]
