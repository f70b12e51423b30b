"""The URLs that locust users submit."""

import pytest

from loadtest.users.image_urls import BadTemplate, ImageNumbers, ImageUrls
from loadtest.users.load import target

ORIGIN = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("origin", "templates", "number", "url"),
    [
        (ORIGIN, (), 7, f"{ORIGIN}/generated/7.jpg"),
        (f"{ORIGIN}/", ("/a/{n}.png",), 7, f"{ORIGIN}/a/7.png"),
        (ORIGIN, ("/a/{n}.png", "/b/{n}.gif"), 6, f"{ORIGIN}/a/6.png"),
        (ORIGIN, ("/a/{n}.png", "/b/{n}.gif"), 7, f"{ORIGIN}/b/7.gif"),
        ("", ("https://images.example/{n}?a={n}",), 3, "https://images.example/3?a=3"),
        (ORIGIN, ("/the/same.jpg",), 3, f"{ORIGIN}/the/same.jpg"),
        (ORIGIN, ("/{other}/{n}",), 3, f"{ORIGIN}/{{other}}/3"),
    ],
)
def test_templates_become_urls(
    origin: str, templates: tuple[str, ...], number: int, url: str
) -> None:
    urls = ImageUrls.of(origin, templates)
    assert urls.of_number(number) == url
    assert not urls.unresolvable


@pytest.mark.parametrize("templates", [(), ("/a/{n}.png", "https://images.example/{n}")])
def test_without_an_origin_paths_have_an_unresolvable_host(templates: tuple[str, ...]) -> None:
    urls = ImageUrls.of("", templates)
    assert urls.unresolvable
    assert urls.of_number(0).startswith("http://origin.invalid/")


@pytest.mark.parametrize(
    ("origin", "templates"),
    [("ftp://a.example", ()), ("127.0.0.1:8000", ()), (ORIGIN, ("a/{n}.png",))],
)
def test_other_templates_are_rejected(origin: str, templates: tuple[str, ...]) -> None:
    with pytest.raises(BadTemplate):
        ImageUrls.of(origin, templates)


def test_no_two_processes_use_the_same_number() -> None:
    numbers = [ImageNumbers(index, 3) for index in range(3)]
    taken = [each.take() for _ in range(10) for each in numbers]
    assert sorted(taken) == list(range(30))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:50051", "http://127.0.0.1:50051", "grpc://127.0.0.1:50051/"]
)
def test_the_host_may_have_a_scheme(host: str) -> None:
    assert target(host) == "127.0.0.1:50051"
