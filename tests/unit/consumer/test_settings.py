"""Settings of the consumer, and how invalid ones are reported."""

import ipaddress

import pytest

from consumer.settings import ConsumerSettings
from core.settings import load

VALID = {
    "REQUESTS_TABLE": "requests",
    "IMAGES_TABLE": "images",
    "QUEUE_URL": "http://127.0.0.1/0/queue",
    "FAILED_REQUESTS_QUEUE_URL": "http://127.0.0.1/0/failed-requests",
    "DLQ_URL": "http://127.0.0.1/0/dlq",
    "BUCKET": "bucket",
    "TOPIC_ARN": "arn:aws:sns:us-east-1:0:topic",
    "PUBLIC_BASE_URL": "https://cdn.example/",
    "CUSTOMER_TAG_KEY": "0123456789abcdef",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in VALID.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_networks_are_read_as_a_comma_separated_list(environment: pytest.MonkeyPatch) -> None:
    """Each private network is allowed explicitly."""
    environment.setenv("ALLOWED_NETWORKS", "127.0.0.1/32, fd00::/8")
    assert load(ConsumerSettings).allowed_networks == (
        ipaddress.ip_network("127.0.0.1/32"),
        ipaddress.ip_network("fd00::/8"),
    )


def test_no_private_network_is_allowed_by_default(environment: pytest.MonkeyPatch) -> None:
    """The default is safe."""
    assert load(ConsumerSettings).allowed_networks == ()


def test_all_faults_are_reported_at_once(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line starts with the name of the variable."""
    environment.delenv("BUCKET")
    environment.setenv("CONCURRENCY", "none")
    environment.setenv("PUBLIC_BASE_URL", "cdn.example")
    with pytest.raises(SystemExit) as exit_:
        load(ConsumerSettings)
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["PUBLIC_BASE_URL", "BUCKET", "CONCURRENCY"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUEUE_URL", "foo"),
        ("FAILED_REQUESTS_QUEUE_URL", "https:///0/failed-requests"),
        ("DLQ_URL", "sqs://127.0.0.1/0/dlq"),
        ("TOPIC_ARN", "topic"),
    ],
)
def test_an_invalid_resource_name_is_refused(
    name: str, value: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported at start, not at the first message."""
    environment.setenv(name, value)
    with pytest.raises(SystemExit):
        load(ConsumerSettings)
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [name]


def test_a_budget_smaller_than_a_body_is_refused(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise the fetch of a large body could never start."""
    environment.setenv("BODY_BUDGET_BYTES", "1000")
    with pytest.raises(SystemExit):
        load(ConsumerSettings)
    assert "BODY_BUDGET_BYTES" in capsys.readouterr().err


def test_a_user_agent_is_one_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is sent as a header, and a second line would be another header."""
    environment.setenv("USER_AGENT", "images/1\r\nX-Other: 1")
    with pytest.raises(SystemExit):
        load(ConsumerSettings)
    assert "USER_AGENT" in capsys.readouterr().err


def test_the_secret_is_not_printed(environment: pytest.MonkeyPatch) -> None:
    """Settings may be logged, but not the key."""
    assert VALID["CUSTOMER_TAG_KEY"] not in repr(load(ConsumerSettings))


def test_the_respected_opt_outs_are_a_list(environment: pytest.MonkeyPatch) -> None:
    """Separated by commas; only the known directives."""
    environment.setenv("RESPECT_X_ROBOTS_TAG", "noai, noimageai,")
    assert load(ConsumerSettings).respect_x_robots_tag == ("noai", "noimageai")
    environment.setenv("RESPECT_X_ROBOTS_TAG", "noarchive")
    with pytest.raises(SystemExit):
        load(ConsumerSettings)
