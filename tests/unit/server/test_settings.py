"""Invalid settings of the server are rejected at start-up."""

import pytest

from core.settings import load
from server.settings import ServerSettings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {
        "REQUESTS_TABLE": "requests",
        "IMAGES_TABLE": "images",
        "QUEUE_URL": "http://127.0.0.1/0/queue",
        "PUBLIC_BASE_URL": "https://cdn.example/",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:50051", "localhost:65535"])
def test_an_address_has_a_port(address: str, environment: pytest.MonkeyPatch) -> None:
    """With any host; port 0 selects a free one."""
    environment.setenv("GRPC_ADDRESS", address)
    assert load(ServerSettings).grpc_address == address


@pytest.mark.parametrize(
    "address", ["127.0.0.1:99999", "127.0.0.1", ":50051", "host:", "host:-1", "host:٣"]
)
def test_an_invalid_address_is_rejected(
    address: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """gRPC would use port 34463 for 99999."""
    environment.setenv("GRPC_ADDRESS", address)
    with pytest.raises(SystemExit):
        load(ServerSettings)
    assert capsys.readouterr().err.startswith("GRPC_ADDRESS: ")
