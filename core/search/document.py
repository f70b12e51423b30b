"""What an index holds of an image. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import idna

from core.errors import MalformedRow
from core.model.image import ImageRecord
from core.model.origin_url import InvalidOriginUrl, parse_origin_url
from core.model.request import FIRST_REVISION, ImageRequest
from core.search.color import Color, color_of
from core.search.tokenizer import tokenize


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """A COMPLETED request's image, by what it is found by.

    `revision` is that of the COMPLETED state: of two documents of one image the higher one is right. `created_at` is
    when the image was recorded, in milliseconds since the epoch. Width and height are pixels. `origin_host` is the host
    of the address that was submitted, as it was asked: in lower case, an international name in its ASCII form. `color`
    is None and `perceptual_hash` empty where only the picture's header was looked at; otherwise the latter is 16
    hexadecimal digits.
    """

    image_id: str
    request_id: str
    customer_id: str
    revision: int
    created_at: int
    format: str
    width: int
    height: int
    bytes: int
    camera: str = ""
    origin_host: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    color: Color | None = None
    perceptual_hash: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What the document is found by as text: its camera, its labels, keys and values, and its origin's host."""
        hosts = (self.origin_host, _as_written(self.origin_host))
        texts = (self.camera, *hosts, *self.labels.keys(), *self.labels.values())
        return tokenize(" ".join(texts))


def document_of(record: ImageRecord, request: ImageRequest | None) -> SearchDocument:
    """`request` is None where its row has expired: then its labels and its host are not known any more.

    Raises MalformedRow.
    """
    picture = record.picture
    try:
        color = color_of(picture.dominant_color) if picture.dominant_color else None
    except ValueError as error:
        raise MalformedRow(record.image_id, repr(error)) from error
    return SearchDocument(
        image_id=record.image_id,
        request_id=record.request_id,
        customer_id=record.customer_id,
        revision=request.revision if request else FIRST_REVISION,
        created_at=record.created_at,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        bytes=picture.bytes,
        camera=picture.camera,
        origin_host=_host(request.origin_url) if request else "",
        labels=dict(request.labels) if request else {},
        color=color,
        perceptual_hash=picture.perceptual_hash,
    )


def _as_written(host: str) -> str:
    """An international name in its own letters, by which people look for it."""
    try:
        return idna.decode(host) if "xn--" in host else ""
    except idna.IDNAError:
        return ""


def _host(url: str) -> str:
    try:
        return parse_origin_url(url).host
    except InvalidOriginUrl:
        # Accepted by an earlier version, under other rules.
        return ""
