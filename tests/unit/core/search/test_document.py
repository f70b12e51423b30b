"""The search document of an image."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.color import Color
from core.model.image import ImageRecord, Provenance
from core.model.request import FIRST_REVISION, ImageRequest, State, new_request
from core.search.document import SearchDocument, document_of
from harness.image_metadata import METADATA
from harness.outcomes import image_record
from harness.search_documents import document

ID = "7f3b7a52-9d1c-4d65-8f0b-2f6f0a1c9e11"


def completed(labels: Mapping[str, str] | None = None) -> ImageRequest:
    request = new_request(
        request_id=ID,
        customer_id="acme",
        url="https://Photos.Example:8443/a/b.jpg?size=1",
        labels={"order": "7", "place": "Zürich"} if labels is None else labels,
        now=1_000,
    )
    return replace(request, state=State.COMPLETED, revision=4)


def record(**metadata: object) -> ImageRecord:
    """Make the record of an image that was fetched through a redirect."""
    return replace(
        image_record(ID),
        created_at=1_700_000_000_123,
        metadata=replace(METADATA, **metadata),  # type: ignore[arg-type]
        provenance=Provenance(final_url="https://cdn.elsewhere.example/b.jpg", redirects=1),
    )


def test_a_document_combines_the_image_and_its_request() -> None:
    """The time is the image's. Revision, labels and host are the request's; the host is in lower case."""
    image = record(
        camera="Canon EOS 5D", dominant_color="#ff0000", perceptual_hash="c3a5f00d1234beef"
    )
    assert document_of(image, completed()) == SearchDocument(
        image_id=image.image_id,
        request_id=ID,
        customer_id="acme",
        revision=4,
        created_at=1_700_000_000_123,
        format="JPEG",
        width=640,
        height=480,
        bytes=12_345,
        camera="Canon EOS 5D",
        origin_host="photos.example",
        labels={"order": "7", "place": "Zürich"},
        color=Color.RED,
        perceptual_hash="c3a5f00d1234beef",
    )


def test_a_document_without_its_request() -> None:
    """If the row has expired, labels and host are unknown. The redirect's host is not used instead.

    The revision is lower than that of any event.
    """
    alone = document_of(record(), None)
    assert (alone.labels, alone.origin_host, alone.revision) == ({}, "", FIRST_REVISION)
    assert alone.revision < completed().revision


@pytest.mark.parametrize(
    ("url", "host", "found_by"),
    [
        ("http://BÜCHER.example/a", "xn--bcher-kva.example", "bucher"),
        (" http://my_shop.münchen.example/a b", "my_shop.xn--mnchen-3ya.example", "munchen"),
        ("http://schöne-\u2764.example/", "xn--schne--yxa1289e.example", "schone"),
        ("http://\uff45xample.com:8080/", "example.com", "example"),
        ("http://ex\u00adample.com/", "example.com", "example"),
        ("http://[::1]/a", "::1", "1"),
        ("http://refused by now/a", "", None),
    ],
)
def test_the_host_is_that_of_the_submitted_url(url: str, host: str, found_by: str | None) -> None:
    """In ASCII. People also find it by its Unicode form."""
    document = document_of(record(camera=""), replace(completed({}), origin_url=url))
    assert document.origin_host == host
    assert found_by is None or found_by in document.words


@given(st.from_regex(r"xn--[a-z0-9-]{1,59}", fullmatch=True))
def test_a_host_that_is_no_punycode_makes_no_invalid_word(label: str) -> None:
    """Punycode can encode a lone surrogate, which no engine takes."""
    request = replace(completed({}), origin_url=f"http://{label}.example/")
    " ".join(document_of(record(camera=""), request).words).encode()


def test_an_image_that_was_not_decoded_has_no_colour_and_no_hash() -> None:
    """Only its header was checked."""
    plain = document_of(record(dominant_color="", perceptual_hash=""), completed())
    assert (plain.color, plain.perceptual_hash) == (None, "")


def test_labels_are_copied() -> None:
    """A later change of the request's labels does not change the document."""
    labels = {"order": "7"}
    indexed = document_of(record(), completed(labels=labels))
    labels["order"] = "8"
    assert indexed.labels == {"order": "7"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ()),
        ({"camera": "Canon EOS"}, ("canon", "eos")),
        ({"origin_host": "cdn.example"}, ("cdn", "example")),
        ({"labels": {"Order": "7", "empty": ""}}, ("order", "empty", "7")),
        (
            {"camera": "Eos", "origin_host": "eos.example", "labels": {"eos": "example"}},
            ("eos", "example"),
        ),
        ({"camera": "a", "origin_host": "b", "labels": {"c": "d"}}, ("a", "b", "c", "d")),
    ],
)
def test_the_words_are_those_of_camera_host_and_labels(
    fields: dict[str, object], expected: tuple[str, ...]
) -> None:
    """Of keys and values, each word once. No word spans two texts."""
    assert document(**fields).words == expected
