"""What a redrive may be asked for."""

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
    """People write it as they like."""
    assert parse("--failure-code", "dns_failed").failure_code is FailureCode.DNS_FAILED


def test_an_unknown_failure_code_lists_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A word that is none must not read as `nothing failed`."""
    with pytest.raises(SystemExit) as ended:
        parse("--failure-code", "TIME_OUT")
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "TIME_OUT is no failure code" in told
    assert all(code in told for code in FailureCode)


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
def test_what_cannot_be_meant_is_a_usage_error(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with the value in question, before anything is asked."""
    with pytest.raises(SystemExit) as ended:
        parse(*arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_ids_may_be_repeated_or_joined() -> None:
    """As the command line joins them, and as people repeat them; in lower case, as the service writes them."""
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
    """In milliseconds since the epoch, as rows have it."""
    assert parse("--customer", "acme", "--since", text).since == milliseconds


def test_since_needs_a_customer() -> None:
    """Only the index knows when a request failed."""
    assert (
        retry_failed.option_conflict(parse("--since", "1970-01-02"))
        == "--since goes with --customer"
    )
    assert (
        retry_failed.option_conflict(parse("--customer", "acme", "--since", "1970-01-02")) is None
    )
