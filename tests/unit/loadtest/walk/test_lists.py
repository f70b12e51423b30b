"""The submitted items of a walk, and the selected lists."""

from collections import Counter

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.million.items import EXTENSIONS
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import (
    EVERYTHING,
    LISTS,
    SEARCH_FORMAT,
    SELECTION_OF,
    Selection,
    list_queries,
)
from loadtest.walk.run import WalkSettings

ITEMS = WalkItems(1_000, 1_000, 5, ("http://127.0.0.1:1",), "0123456789abcdef01")
TIMES = list(range(9))


def kinds(at: int, selected: frozenset[Selection]) -> Counter[tuple[str, int]]:
    queries = list_queries(at, ITEMS.customer_at(at), TIMES, selected)
    return Counter((each.kind, each.page_size) for each in queries)


def test_all_lists_are_read_by_default() -> None:
    """The first customer also with small pages. The report has rows for exactly these lists."""
    assert set(kinds(0, EVERYTHING)) == set(LISTS)
    assert set(kinds(1, EVERYTHING)) < set(LISTS)
    assert {kind for kind, _ in kinds(1, EVERYTHING)} == set(SELECTION_OF)


@pytest.mark.parametrize("selection", Selection)
def test_only_selected_lists_are_read(selection: Selection) -> None:
    walked = kinds(0, frozenset({selection}))
    assert {SELECTION_OF[kind] for kind, _ in walked} == {selection}
    assert walked == Counter(
        {
            each: times
            for each, times in kinds(0, EVERYTHING).items()
            if SELECTION_OF[each[0]] == selection
        }
    )


def test_a_search_has_the_customer_the_format_and_the_largest_page_size() -> None:
    [request] = [
        each.first_page()
        for each in list_queries(3, "acme", TIMES, frozenset({Selection.SEARCH}))
        if each.kind == SEARCH_FORMAT
    ]
    assert request == pb.SearchImagesRequest(customer_id="acme", page_size=100, formats=["GIF"])


def test_each_customer_has_all_formats_failures_and_delayed_items() -> None:
    """So that none of its lists is empty. Delayed items are PENDING however fast the others end."""
    for at in range(ITEMS.customers):
        urls = [ITEMS.url(number) for number in range(at, ITEMS.total, ITEMS.customers)]
        of = {
            extension: sum(url.endswith(f".{extension}") for url in urls)
            for extension in EXTENSIONS
        }
        assert min(of.values()) >= len(urls) / 10
        assert sum("/status/404" in url for url in urls) == len(urls) / 10
        delayed = [url for url in urls if "/flaky?" in url]
        assert len(delayed) == len(set(delayed)) == len(urls) / 20


def test_the_report_names_the_selected_lists() -> None:
    """The default selection is not mentioned."""
    every = WalkSettings(1, 2, 1.0, 1, 1, 1.0, "")
    some = WalkSettings(1, 2, 1.0, 1, 1, 1.0, "", frozenset({Selection.SEARCH, Selection.PENDING}))
    assert some.for_report() == {**every.for_report(), "walked only": "pending, search"}
