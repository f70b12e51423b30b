"""Values of the options of retry-failed."""

import argparse

import pytest

from consumer.jobs import retry_failed
from core.errors import FailureCode

ID = "2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11"


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="retry-failed")
    retry_failed.add_arguments(parser)
    return parser.parse_args(arguments)


def test_a_failure_code_in_any_case() -> None:
    """The code may be given in lower case."""
    assert parse("--failure-code", "dns_failed").failure_code is FailureCode.DNS_FAILED


def test_an_unknown_failure_code_lists_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Otherwise a typing error would look like a run without failures."""
    with pytest.raises(SystemExit) as ended:
        parse("--failure-code", "TIME_OUT")
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "TIME_OUT is not a failure code" in message
    assert all(code in message for code in FailureCode)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--customer", "a#b"), "a#b is not 1 to 128 of letters"),
        (("--request-id", "xx"), "xx is not a request id"),
        (("--request-id", f"{ID},"), " is not a request id"),
        (("--request-id", ID.replace("-", "")), "is not a request id"),
        (("--since", "noon"), "noon is not a time"),
        (("--since", "9999-01-01"), "9999-01-01 is not in the past"),
        (("--rate", "0"), "0 is not above 0"),
        (("--rate", "nan"), "nan is not above 0"),
        (("--rate", "fast"), "could not convert"),
        (("--customer", "acme", "--request-id", ID), "not allowed with argument --customer"),
    ],
)
def test_an_invalid_value_is_a_usage_error(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 2, and the message has the value."""
    with pytest.raises(SystemExit) as ended:
        parse(*arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_ids_may_be_repeated_or_joined() -> None:
    """They are returned in lower case, as the service writes them."""
    other = ID.replace("2", "3")
    given = parse("--request-id", f"{ID},{other}", "--request-id", ID.upper())
    assert given.request_id == [ID, other, ID]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01.5Z", 1_500),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-01-01", 0),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str, milliseconds: int) -> None:
    """The value is in milliseconds since the epoch, as in rows."""
    assert parse("--customer", "acme", "--since", text).since == milliseconds


def test_since_needs_a_customer() -> None:
    """Only the index has the time of a failure."""
    assert (
        retry_failed.option_conflict(parse("--since", "1970-01-02"))
        == "--since goes with --customer"
    )
    assert (
        retry_failed.option_conflict(parse("--customer", "acme", "--since", "1970-01-02")) is None
    )
