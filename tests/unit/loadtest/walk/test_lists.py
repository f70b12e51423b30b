"""What is submitted to be walked, and which lists of it are. Pure."""

from collections import Counter

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.million.items import EXTENSIONS
from loadtest.walk.choice import EVERYTHING, Choice
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import CHOICES, LISTS, SEARCH_FORMAT, questions
from loadtest.walk.settings import WalkSettings

ITEMS = WalkItems(1_000, 1_000, 5, ("http://127.0.0.1:1",), "0123456789abcdef01")
TIMES = list(range(9))


def kinds(at: int, chosen: frozenset[Choice]) -> Counter[tuple[str, int]]:
    asked = questions(at, ITEMS.customer_at(at), TIMES, chosen)
    return Counter((each.kind, each.page_size) for each in asked)


def test_everything_is_walked_unless_something_is_chosen() -> None:
    """The first customer's lists by small pages too; what the report has rows for is what is walked."""
    assert set(kinds(0, EVERYTHING)) == set(LISTS)
    assert set(kinds(1, EVERYTHING)) < set(LISTS)
    assert {kind for kind, _ in kinds(1, EVERYTHING)} == set(CHOICES)


@pytest.mark.parametrize("choice", Choice)
def test_what_is_chosen_is_walked_and_nothing_else(choice: Choice) -> None:
    walked = kinds(0, frozenset({choice}))
    assert {CHOICES[kind] for kind, _ in walked} == {choice}
    assert walked == Counter(
        {each: times for each, times in kinds(0, EVERYTHING).items() if CHOICES[each[0]] == choice}
    )


def test_a_search_names_the_customer_the_format_and_no_more_than_its_largest_page() -> None:
    [asked] = [
        each.message()
        for each in questions(3, "acme", TIMES, frozenset({Choice.SEARCH}))
        if each.kind == SEARCH_FORMAT
    ]
    assert asked == pb.SearchImagesRequest(customer_id="acme", page_size=100, formats=["GIF"])


def test_each_customer_has_all_formats_failures_and_some_that_come_late() -> None:
    """So that no list of it is empty: late ones are PENDING however fast the others end."""
    for at in range(ITEMS.customers):
        urls = [ITEMS.url(number) for number in range(at, ITEMS.total, ITEMS.customers)]
        of = {
            extension: sum(url.endswith(f".{extension}") for url in urls)
            for extension in EXTENSIONS
        }
        assert min(of.values()) >= len(urls) / 10
        assert sum("/status/404" in url for url in urls) == len(urls) / 10
        late = [url for url in urls if "/retry-after/" in url]
        assert len(late) == len(set(late)) == len(urls) / 20


def test_the_report_says_what_was_chosen() -> None:
    """Nothing is said of what is done by default."""
    every = WalkSettings(1, 2, 1.0, 1, 1, 1.0, "")
    some = WalkSettings(1, 2, 1.0, 1, 1, 1.0, "", frozenset({Choice.SEARCH, Choice.PENDING}))
    assert some.for_report() == {**every.for_report(), "walked only": "pending, search"}
