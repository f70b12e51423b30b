"""The plan of a run's traffic: which ids are submitted, when, and with what content. Pure: a seed fixes it.

A third of the ids is submitted again, by other calls. 30 % of these repeats have another customer, URL or label, which
the service must refuse.
"""

import hashlib
import random
import uuid
from dataclasses import dataclass, replace
from enum import StrEnum

from loadtest.origin.generated_images import image_body

IMAGES = 200
"""Distinct images at the origin. Requests with the same image share an object."""
_FORMATS = ("png", "jpg", "webp", "gif")
_REPEATED_SHARE = 1 / 3
_OTHER_CONTENT_SHARE = 0.3
_AT_ONCE_SHARE = 0.3
_STREAM_SHARE = 0.5
_LATEST_REPEAT_S = 4.0


class Behaviour(StrEnum):
    """The behaviour of the origin for a URL. The value is the first part of the path."""

    OK = "ok"
    SLOW = "slow"
    """It answers after 1 to 3 s."""
    MISSING = "missing"
    FLAKY = "flaky"
    """It refuses the first request with 503, and answers the next."""
    BROKEN_ONCE = "broken-once"
    """It resets the first connection, and answers the next request."""
    TRUNCATED = "truncated"
    """The image ends after two thirds."""
    CUT = "cut"
    """The connection is closed in the middle of each body."""


VERDICTS: dict[str, frozenset[str]] = {
    Behaviour.OK: frozenset({"COMPLETED"}),
    Behaviour.SLOW: frozenset({"COMPLETED"}),
    Behaviour.FLAKY: frozenset({"COMPLETED"}),
    Behaviour.BROKEN_ONCE: frozenset({"COMPLETED"}),
    Behaviour.MISSING: frozenset({"NOT_FOUND"}),
    Behaviour.TRUNCATED: frozenset({"CORRUPT_IMAGE", "NOT_AN_IMAGE"}),
    Behaviour.CUT: frozenset({"BAD_RESPONSE", "CONNECT_FAILED"}),
}
"""The right ends of a request: COMPLETED, or a failure code."""
_WEIGHTS = {
    Behaviour.OK: 80,
    Behaviour.SLOW: 4,
    Behaviour.MISSING: 4,
    Behaviour.FLAKY: 3,
    Behaviour.BROKEN_ONCE: 3,
    Behaviour.TRUNCATED: 4,
    Behaviour.CUT: 2,
}


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a submit."""

    customer: str
    behaviour: Behaviour
    image: int
    key: str
    """Makes the URL unique, and lets the origin count its requests."""
    labels: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        return f"/{self.behaviour}/{self.image}/{self.key}"


@dataclass(frozen=True, slots=True)
class PlannedSubmit:
    """One call: `at` is in seconds from the start, `content` the index of the content."""

    at: float
    id: str
    content: int
    streamed: bool


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    id: str
    contents: tuple[Content, ...]
    submits: tuple[PlannedSubmit, ...]


def image(number: int) -> tuple[bytes, str]:
    """Return the bytes of an image of the origin, and the extension of its format."""
    extension = _FORMATS[number % len(_FORMATS)]
    return image_body(number, extension), extension


def image_sha256(number: int) -> str:
    return hashlib.sha256(image(number)[0]).hexdigest()


def plan(rng: random.Random, count: int, *, rate: float, customers: int) -> list[PlannedRequest]:
    """Plan `count` ids, `rate` first submits per second. Some customers have many more than others."""
    return [_request(rng, number, number / rate, customers) for number in range(count)]


def healthy(rng: random.Random, count: int, *, customers: int) -> list[PlannedRequest]:
    """Plan ids of healthy images with two contents. They are submitted by steps of the run, not by the plan."""
    planned = []
    for _ in range(count):
        request_id, number = _id(rng), rng.randrange(IMAGES)
        first = Content(customer(rng, customers), Behaviour.OK, number, request_id, ())
        second = replace(
            first,
            customer=f"{first.customer}-later",
            image=IMAGES - 1 - number,
            key=f"{request_id}-later",
        )
        planned.append(PlannedRequest(request_id, (first, second), ()))
    return planned


def calls(requests: list[PlannedRequest]) -> list[PlannedSubmit]:
    """Return the calls of all requests in the order of their times."""
    submits = (submit for request in requests for submit in request.submits)
    return sorted(submits, key=lambda submit: submit.at)


def customer(rng: random.Random, customers: int) -> str:
    return f"c{int(rng.random() ** 2 * customers):02d}"


def _id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _request(rng: random.Random, number: int, at: float, customers: int) -> PlannedRequest:
    request_id = _id(rng)
    (behaviour,) = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    image_number = rng.randrange(IMAGES)
    labels = (("number", str(number)),)
    contents = [Content(customer(rng, customers), behaviour, image_number, request_id, labels)]
    submits = [PlannedSubmit(at, request_id, 0, rng.random() < _STREAM_SHARE)]
    if rng.random() < _REPEATED_SHARE:
        for _ in range(rng.randint(1, 3)):
            index = 0
            if rng.random() < _OTHER_CONTENT_SHARE:
                contents.append(_other(rng, contents[0], len(contents)))
                index = len(contents) - 1
            delay = 0.0 if rng.random() < _AT_ONCE_SHARE else rng.uniform(0, _LATEST_REPEAT_S)
            streamed = rng.random() < _STREAM_SHARE
            submits.append(PlannedSubmit(at + delay, request_id, index, streamed))
    return PlannedRequest(request_id, tuple(contents), tuple(submits))


def _other(rng: random.Random, content: Content, index: int) -> Content:
    """Return the content with one difference. `index` makes it differ from other repeats."""
    match rng.randrange(3):
        case 0:
            return replace(content, customer=f"c{int(content.customer[1:]) + index:02d}")
        case 1:
            number = (content.image + index) % IMAGES
            return replace(
                content, behaviour=Behaviour.OK, image=number, key=f"{content.key}-{index}"
            )
        case _:
            return replace(content, labels=(*content.labels, ("other", str(index))))
