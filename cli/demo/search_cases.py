"""The searches of the demo and their expected results. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cli.demo.items import GOOD_LABELS
from cli.demo.run import CUSTOMER, Result
from core.search.similarity import distance
from imageservice.v1 import image_service_pb2 as pb

FORMATS = ("PNG", "WEBP")
DISTANCE = 6
PAGE = 100
"""More than the demo publishes."""


@dataclass(frozen=True, slots=True)
class Search:
    """`words` are the arguments of `imageservice search`, `expected` the request ids."""

    words: str
    query: pb.SearchImagesRequest
    expected: frozenset[str]


def searches(published: Sequence[Result]) -> Iterator[Search]:
    """Return the searches. `published` are all images of this customer, at least one."""
    yield _by_label(published)
    yield _by_similarity(published, like=str(_metadata(published[0], "perceptual_hash")))


def _by_label(published: Sequence[Result]) -> Search:
    """A set of images, in two formats."""
    labels = " ".join(f"--label {key}={value}" for key, value in GOOD_LABELS.items())
    formats = " ".join(f"--format {name.lower()}" for name in FORMATS)
    return Search(
        f"--customer {CUSTOMER} {labels} {formats} --facets",
        pb.SearchImagesRequest(
            customer_id=CUSTOMER, labels=GOOD_LABELS, formats=FORMATS, facets=True, page_size=PAGE
        ),
        _ids(
            result
            for result in published
            if result.item.labels == GOOD_LABELS and _metadata(result, "format") in FORMATS
        ),
    )


def _by_similarity(published: Sequence[Result], like: str) -> Search:
    """Near-duplicates of an image, which include the image itself."""
    return Search(
        f"--customer {CUSTOMER} --similar-to {like}",
        pb.SearchImagesRequest(
            customer_id=CUSTOMER, similar_to=like, max_distance=DISTANCE, page_size=PAGE
        ),
        _ids(
            result
            for result in published
            if (hash_ := str(_metadata(result, "perceptual_hash")))
            and distance(like, hash_) <= DISTANCE
        ),
    )


def _ids(results: Iterator[Result]) -> frozenset[str]:
    return frozenset(result.outcome.request_id or "" for result in results)


def _metadata(result: Result, name: str) -> object:
    return (result.outcome.metadata or {}).get(name, "")
