"""The header X-Robots-Tag."""

import pytest

from consumer.fetching.http.robots import DIRECTIVES, find_opt_out, product_of


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], None),
        ([""], None),
        (["all"], None),
        (["noai"], "noai"),
        (["NoImageAI"], "noimageai"),
        (["nofollow, noindex"], "noindex"),
        (["nofollow noindex"], "noindex"),
        (["none"], "noindex"),
        (["nofollow", "noimageindex"], "noimageindex"),
        ([",, ,noai,"], "noai"),
        (["noaix, xnoai, no ai"], None),
        (["googlebot: noindex"], None),
        (["googlebot: nofollow, noindex"], None),
        (["googlebot: noindex", "noai"], "noai"),
        (["imageservice: noindex"], "noindex"),
        (["ImageService : noindex"], "noindex"),
        (["imageservice:noindex"], "noindex"),
        (["imageservice2: noindex"], None),
        (["googlebot: noindex, imageservice: nofollow, noai"], "noai"),
        (["imageservice: nofollow, googlebot: noai"], None),
        (["*: noai"], "noai"),
        (["noai, googlebot: noindex"], "noai"),
        (["max-snippet: 50, noai"], "noai"),
        (["max-image-preview:none"], None),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 UTC, noai"], "noai"),
        (["googlebot: unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], None),
        (["a:b:noai"], None),
        (["\xa0noai"], "noai"),
        ([":" * 1_000], None),
    ],
)
def test_which_fields_concern_us(fields: list[str], expected: str | None) -> None:
    """Those without an agent, and those with ours; fields and directives may be repeated."""
    assert find_opt_out(fields, DIRECTIVES, product="imageservice") == expected


def test_only_the_configured_directives_are_respected() -> None:
    """Search directives do not concern an installation that only respects those about AI."""
    assert find_opt_out(["noindex, noai"], {"noai"}, product="imageservice") == "noai"
    assert find_opt_out(["noindex, none"], {"noai"}, product="imageservice") is None


@pytest.mark.parametrize(
    ("user_agent", "product"),
    [
        ("imageservice/1 (image fetcher)", "imageservice"),
        ("AcmeBot", "acmebot"),
        (" Acme Bot/2", "acme"),
        ("", ""),
    ],
)
def test_our_agent_is_the_product_of_the_user_agent(user_agent: str, product: str) -> None:
    """Without version and comment."""
    assert product_of(user_agent) == product
