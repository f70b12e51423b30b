"""Validation of the options of locust users."""

from argparse import ArgumentParser, Namespace

import pytest

from loadtest.users.options import BadOption, Options, add_options


def given(*arguments: str) -> Namespace:
    parser = ArgumentParser()
    add_options(parser)
    return parser.parse_args(list(arguments))


def test_the_default_is_a_closed_loop_without_limit() -> None:
    options = Options.of(given())
    assert (options.rate, options.requests, options.report) == (0, 0, "")
    assert options.urls.unresolvable


def test_several_templates_are_separated_by_blanks() -> None:
    options = Options.of(given("--origin", "http://a.example", "--image-url", "/a/{n} /b/{n}"))
    assert options.urls.templates == ("http://a.example/a/{n}", "http://a.example/b/{n}")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--customers", "0"), "--customers 0: at least 1"),
        (("--rate", "-1"), "--rate -1.0: at least 0"),
        (("--rate", "nan"), "--rate nan: at least 0"),
        (("--requests", "-1"), "--requests -1: at least 0"),
        (("--bulk-window", "0"), "--bulk-window 0: at least 1"),
        (("--call-timeout", "0"), "--call-timeout 0.0: at least 0.001"),
        (("--watch-ids", "101"), "--watch-ids 101: one watch has at most 100"),
        (("--origin", "ftp://a"), "--origin ftp://a: not an http or https URL"),
    ],
)
def test_an_invalid_option_is_reported_in_one_line(arguments: tuple[str, ...], fault: str) -> None:
    with pytest.raises(BadOption) as raised:
        Options.of(given(*arguments))
    assert str(raised.value) == fault
