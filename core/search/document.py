"""The document of an image in a search index. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.model.color import Color
from core.model.host import to_unicode
from core.model.image import ImageRecord
from core.model.origin_url import InvalidOriginUrl, parse_origin_url
from core.model.request import FIRST_REVISION, ImageRequest
from core.search.tokenizer import tokenize


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """The searchable metadata of a COMPLETED request's image.

    `revision` is that of the COMPLETED state; of two documents of one image, the one with the higher revision wins.
    `created_at` is when the image was recorded, in milliseconds since the epoch. `width` and `height` are in pixels.
    `origin_host` is the host of the submitted URL, in lower case and ASCII (IDNA). `perceptual_hash` has 16 hexadecimal
    digits. If only the image's header was checked, `color` is None and `perceptual_hash` is empty.
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
        """The words of the camera, of the origin host, and of the labels' keys and values."""
        hosts = (self.origin_host, to_unicode(self.origin_host))
        texts = (self.camera, *hosts, *self.labels.keys(), *self.labels.values())
        return tokenize(" ".join(texts))


def document_of(record: ImageRecord, request: ImageRequest | None) -> SearchDocument:
    """Make the document. `request` is None if its row has expired; then labels and host are unknown."""
    metadata = record.metadata
    return SearchDocument(
        image_id=record.image_id,
        request_id=record.request_id,
        customer_id=record.customer_id,
        revision=request.revision if request else FIRST_REVISION,
        created_at=record.created_at,
        format=metadata.format,
        width=metadata.width,
        height=metadata.height,
        bytes=metadata.bytes,
        camera=metadata.camera,
        origin_host=_host(request.origin_url) if request else "",
        labels=dict(request.labels) if request else {},
        color=metadata.color,
        perceptual_hash=metadata.perceptual_hash,
    )


def _host(url: str) -> str:
    try:
        return parse_origin_url(url).host
    except InvalidOriginUrl:
        # An earlier version with other rules accepted it.
        return ""
