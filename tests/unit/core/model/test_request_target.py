"""Escaping and dot segments of paths and queries."""

import pytest

from core.model.request_target import escape, normalize


@pytest.mark.parametrize(
    ("target", "normal"),
    [
        ("", "/"),
        ("?", "/?"),
        ("?a=/../b", "/?a=/../b"),
        ("/", "/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/./a", "/a"),
        ("/../../a", "/a"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/./b", "/a/b"),
        ("/dots/../img.jpg", "/img.jpg"),
        ("/a/../../b", "/b"),
        ("/a/b/c/./../../g", "/a/g"),
        ("/mid/content=5/../6", "/mid/6"),
        ("/a//../b", "/a/b"),
        ("/a//b/", "/a//b/"),
        ("//a/../b", "//b"),
        ("/..//a", "//a"),
        ("/%2e/a", "/a"),
        ("/x/%2E%2e/a", "/a"),
        ("/x/.%2e/a", "/a"),
        ("/x/%2E./a", "/a"),
        ("/x/%2e%2e", "/"),
        ("/x/%2e%2e?y/..", "/?y/.."),
        ("/x/..%2fa", "/x/..%2fa"),
        ("/x/%252e%252e/a", "/x/%252e%252e/a"),
        ("/...", "/..."),
        ("/.a/..b/c..", "/.a/..b/c.."),
        ("/a/..;p/b", "/a/..;p/b"),
        ("/a%2Fb%c3%A9/../c%2f", "/c%2f"),
        ("/a%2Fb%c3%A9/%2e/c%2f", "/a%2Fb%c3%A9/c%2f"),
    ],
)
def test_dot_segments_are_removed_from_the_path_alone(target: str, normal: str) -> None:
    """RFC 3986, section 5.2.4, with its examples; other escapes stay as they are."""
    assert normalize(target) == normal
    assert normalize(normal) == normal


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("/a%2f%C3%a9%%zz?x=[1]&y='(*)'", "/a%2f%C3%a9%%zz?x=[1]&y='(*)'"),
        ("/a b", "/a%20b"),
        ("/\u202f\u00a0\u3000", "/%E2%80%AF%C2%A0%E3%80%80"),
        ('/"<>^`{|}\\', "/%22%3C%3E%5E%60%7B%7C%7D%5C"),
        ("/caf\udce9", "/caf%E9"),
        ("/\x00\x7f", "/%00%7F"),
    ],
)
def test_what_may_not_stand_in_a_target_is_escaped(text: str, escaped: str) -> None:
    """Existing escapes stay byte for byte, even if they are incomplete."""
    assert escape(text) == escaped
    assert escape(escaped) == escaped
