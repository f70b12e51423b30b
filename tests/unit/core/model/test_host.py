"""Hosts of URLs. The vectors of addresses are in test_origin_url.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.host import InvalidHost, parse_host, to_unicode


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Trail-.Example", "trail-.example"),
        ("-lead.example", "-lead.example"),
        ("-both-.example", "-both-.example"),
        ("a.b-", "a.b-"),
        ("r3---sn-abc.example", "r3---sn-abc.example"),
        ("_dmarc.my_bucket.example.", "_dmarc.my_bucket.example."),
        ("my_shop.münchen.example", "my_shop.xn--mnchen-3ya.example"),
        ("my_münchen.example", "xn--my_mnchen-t9a.example"),
        ("trail-.münchen.example", "trail-.xn--mnchen-3ya.example"),
        ("ab--münchen.example", "xn--ab--mnchen-eeb.example"),
        ("-münchen-.example", "xn---mnchen--75a.example"),
        ("\U0001f4a9.la", "xn--ls8h.la"),
        ("i\u2764.ws", "xn--i-7iq.ws"),
        ("I\u2764\ufe0f.ws", "xn--i-7iq.ws"),
        ("xn--i-7iq.ws", "xn--i-7iq.ws"),
        ("\u2603.example", "xn--n3h.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("BÜCHER。example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com", "example.com"),
        ("exam\u00adple.com", "example.com"),
        ("ex\u200b\u200bample.com", "example.com"),
        ("שלום.example", "xn--9dbne9b.example"),
        ("क्\u200dष.example", "xn--11b2ezcw70k.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_host_that_browsers_open_is_accepted(host: str, name: str) -> None:
    """UTS 46 as browsers apply it (WHATWG URL, "domain to ASCII" that is not strict)."""
    assert parse_host(host) == name
    assert parse_host(name) == name


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        ".example",
        "a..example",
        "a.example..",
        "a b.example",
        "a!b.example",
        "a*b.example",
        "a~b.example",
        "a,b.example",
        "a" * 64 + ".example",
        "ü" * 60 + ".example",
        "a." * 127 + "example",
        "a\u00ad" * 600 + ".example",
        "xn--ü.example",
        "\u0301a.example",
        "a\u200db.example",
        "a\U00017000\u200db.example",
        "a\u200b.\u200b.example",
        "אa.example",
        "a\u2100b.example",
        "a\uff0fb.example",
        "a\uff20b.example",
        "a\uff1a80.example",
        "a\uff05b.example",
        "a\u00a0b.example",
        "a\u2028b.example",
        "a\u202eb.example",
        "\ud800.example",
    ],
)
def test_a_host_that_cannot_be_looked_up_is_rejected(host: str) -> None:
    """Empty or long labels, joiners out of context, letters that become a delimiter."""
    with pytest.raises(InvalidHost):
        parse_host(host)


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_any_host_is_accepted_or_rejected(host: str) -> None:
    """An accepted one is ASCII, in lower case, and its own name."""
    try:
        name = parse_host(host)
    except InvalidHost:
        return
    assert name.isascii()
    assert name == name.lower()
    assert parse_host(f"[{name}]" if ":" in name else name) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.example", "plain.example"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("my_shop.xn--mnchen-3ya.example", "my_shop.münchen.example"),
        ("xn--ls8h.la", "\U0001f4a9.la"),
        ("xn--.example", ".example"),
        ("xn--a b.example", "xn--a b.example"),
        ("xn--99999999.example", "xn--99999999.example"),
    ],
)
def test_a_name_is_converted_to_unicode(name: str, text: str) -> None:
    """Emoji and underscores too; what is no Punycode stays."""
    assert to_unicode(name) == text
