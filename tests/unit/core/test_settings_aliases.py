"""Renamed settings: the former variable is accepted for one release."""

from dataclasses import dataclass

import pytest

from consumer.exporter.queue_exporter import QueueExporterSettings
from consumer.settings import ConsumerSettings
from core.settings import ProcessSettings, former_variable, load
from server.settings import ServerSettings

REQUIRED = {
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


@dataclass(frozen=True, slots=True)
class Renamed:
    """A renamed variable of a program, with a valid value for each of its names."""

    program: type[ProcessSettings]
    current: str
    former: str
    former_value: str = "http://127.0.0.1/0/former"
    current_value: str = "http://127.0.0.1/0/current"


RENAMED = [
    Renamed(ConsumerSettings, "FAILED_REQUESTS_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"),
    Renamed(ConsumerSettings, "DLQ_URL", "UNDELIVERED_QUEUE_URL"),
    Renamed(ConsumerSettings, "MAX_ISOLATED_RUNS", "MAX_RUNS_ALONE", "4", "5"),
    Renamed(ConsumerSettings, "DECODERS", "DECODE_THREADS", "4", "5"),
    Renamed(ConsumerSettings, "BATCH_LINGER_S", "COMMIT_LINGER_S", "0.25", "0.5"),
    Renamed(ServerSettings, "BATCH_MAX_ITEMS", "COMMIT_MAX_BATCH", "7", "8"),
    Renamed(ServerSettings, "MAX_WATCHED_REQUESTS", "MAX_WATCHED", "77", "88"),
    Renamed(QueueExporterSettings, "FAILED_REQUESTS_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"),
    Renamed(QueueExporterSettings, "DLQ_URL", "UNDELIVERED_QUEUE_URL"),
    Renamed(QueueExporterSettings, "SEARCH_DLQ_URL", "SEARCH_DEAD_LETTER_QUEUE_URL"),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("each", RENAMED)
def test_the_former_variable_is_read(
    each: Renamed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The setting has the value of the former variable, and one line says which variable to set."""
    monkeypatch.delenv(each.current, raising=False)
    monkeypatch.setenv(each.former, each.former_value)
    settings = load(each.program)
    assert str(getattr(settings, each.current.lower())) == each.former_value
    line = f"{each.former} is deprecated: set {each.current} instead\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("each", RENAMED)
def test_the_current_variable_wins(each: Renamed, monkeypatch: pytest.MonkeyPatch) -> None:
    """If both variables are set, the former one is ignored."""
    monkeypatch.setenv(each.former, each.former_value)
    monkeypatch.setenv(each.current, each.current_value)
    assert str(getattr(load(each.program), each.current.lower())) == each.current_value


def test_the_current_variable_alone_writes_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a deprecated variable is reported."""
    load(ConsumerSettings)
    assert capsys.readouterr().err == ""


def test_a_worker_process_writes_no_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The supervisor of the server's workers reports a deprecated variable once for all of them."""
    monkeypatch.setenv("MAX_WATCHED", "77")
    assert load(ServerSettings, report_deprecated=False).max_watched_requests == 77
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("former", [None, "sqs://127.0.0.1/0/queue"])
def test_an_error_names_the_current_variable(
    former: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing setting and a faulty value under the former name are both reported under the current name."""
    monkeypatch.delenv("DLQ_URL")
    if former is not None:
        monkeypatch.setenv("UNDELIVERED_QUEUE_URL", former)
    with pytest.raises(SystemExit):
        load(ConsumerSettings)
    assert capsys.readouterr().err.splitlines()[-1].startswith("DLQ_URL: ")


def test_every_renamed_setting_is_tested() -> None:
    """A setting that is renamed later belongs in the table above."""
    programs = (ConsumerSettings, ServerSettings, QueueExporterSettings)
    renamed = {
        (name.upper(), former)
        for program in programs
        for name, field in program.model_fields.items()
        if (former := former_variable(field)) is not None
    }
    assert renamed == {(each.current, each.former) for each in RENAMED}
