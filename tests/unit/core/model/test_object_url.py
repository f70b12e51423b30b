"""s3:// URLs."""

import pytest

from core.model.object_url import ObjectUrl, is_object_url, parse_object_url
from core.model.origin_url import InvalidOriginUrl


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://uploads/a.png", "uploads", "a.png"),
        ("s3://a.b-c.d1/x/y/z", "a.b-c.d1", "x/y/z"),
        ("s3://123/" + "k" * 1_024, "123", "k" * 1_024),
        ("s3://uploads/a b%20c?d#e&f", "uploads", "a b%20c?d#e&f"),
        ("s3://uploads//a", "uploads", "/a"),
        ("s3://uploads/é/\U0001f41f", "uploads", "é/\U0001f41f"),
        ("s3://uploads/..a/.b/c..", "uploads", "..a/.b/c.."),
        ("s3://" + "b" * 63 + "/a", "b" * 63, "a"),
    ],
)
def test_bucket_and_key_are_taken_literally(text: str, bucket: str, key: str) -> None:
    assert is_object_url(text)
    assert parse_object_url(text) == ObjectUrl(bucket, key)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "s3://",
            "s3:///a",
            "s3://uploads",
            "s3://uploads/",
            "s3://up/a",
            "s3://" + "b" * 64 + "/a",
        ),
        *("s3://Uploads/a", "s3://up_loads/a", "s3://-uploads/a", "s3://uploads-/a", "s3://a..b/c"),
        *(
            "s3://10.0.0.1/a",
            "s3://user@uploads/a",
            "s3://uploads:80/a",
            "s3://uploads.s3.example:1/a",
        ),
        *("s3://uploads/" + "k" * 1_025, "s3://uploads/" + "é" * 513, "s3://uploads/a\nb"),
        *("s3://uploads/a\x00", "s3://uploads/\ufffe", "s3://uploads/\ud800"),
        *(
            "s3://uploads/../other/a",
            "s3://uploads/a/../b",
            "s3://uploads/./a",
            "s3://uploads/a/..",
        ),
    ],
)
def test_a_url_that_aws_or_sqs_would_refuse_is_invalid(text: str) -> None:
    """And one whose dot segments a proxy could resolve to another object."""
    with pytest.raises(InvalidOriginUrl):
        parse_object_url(text)


@pytest.mark.parametrize(
    "text", ["S3://uploads/a", "s3:/uploads/a", " s3://uploads/a", "http://s3/"]
)
def test_other_texts_are_no_object_urls(text: str) -> None:
    """They are judged as URLs of the web, and refused if their scheme is another one."""
    assert not is_object_url(text)
