"""A published image: its record, its metadata, and which request it belongs to. Pure."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from core.model.color import Color, color_of
from core.model.request import ImageRequest

MAX_CLOCK_SKEW_MS = 60_000
"""Only for records of earlier versions, which do not have the time of their request. A worker's clock may be behind a
server's by this much, so an image may seem older than its request. An image of an earlier request is much older: rows
expire at least a day after the request's end."""

ANIMATION_DURATION_MAX_MS = 31_622_400_000
"""A year. The tables of an AVIF sequence alone allow more than the contract's Duration can hold."""


class RemovedPart(StrEnum):
    """A part of the fetched body that the stored body does not have. The contract has the same names."""

    LOCATION = "LOCATION"
    METADATA = "METADATA"
    SECOND_IMAGE = "SECOND_IMAGE"
    VIDEO = "VIDEO"
    GAIN_MAP = "GAIN_MAP"
    TRAILER = "TRAILER"


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """Metadata of a published image. It never has coordinates.

    format: JPEG, PNG, GIF, WEBP, AVIF, HEIC, TIFF or BMP. width, height: pixels as displayed, with the EXIF orientation
    applied. mode: Pillow's name of the pixel format. bytes: size of the stored body. sha256: of the stored body;
    source_sha256: of the fetched body; both 64 hexadecimal digits. perceptual_hash: 16 hexadecimal digits;
    dominant_color: #rrggbb; both of the first frame, empty if only the header was read, or if they could not be
    computed. capture_time: ISO 8601, without a zone if EXIF has none, or empty. camera: maker and model, printable, at
    most 128 characters, or empty.
    had_location: whether the fetched body contained the location of the photo. animation_duration_ms: the sum of the
    frames' delays, 0 for a still image. removed: names of RemovedPart, or those of a later version. The last two are
    empty in rows of earlier versions.
    """

    format: str
    media_type: str
    width: int
    height: int
    mode: str
    frames: int
    bytes: int
    sha256: str
    source_sha256: str
    perceptual_hash: str
    dominant_color: str
    capture_time: str
    camera: str
    had_location: bool
    animation_duration_ms: int = 0
    removed: tuple[str, ...] = ()

    @property
    def color(self) -> Color | None:
        """The name of the dominant colour. None if there is none, or if it is no colour."""
        return color_of(self.dominant_color)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the body came from. A string is empty if the origin did not send the value."""

    final_url: str = ""
    redirects: int = 0
    etag: str = ""
    last_modified: str = ""
    declared_media_type: str = ""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A row of PROCESSEDIMAGES, written once and never changed.

    `s3_url` is `s3://<bucket>/<key>`; times are milliseconds since the epoch. `request_created_at` is the `created_at`
    of the request's row, 0 in records of earlier versions. With the request's id it identifies the request.
    """

    image_id: str
    request_id: str
    customer_id: str
    s3_url: str
    created_at: int
    metadata: ImageMetadata
    provenance: Provenance
    request_created_at: int = 0

    def belongs_to(self, customer_id: str, created_at: int) -> bool:
        """Return whether the image is of the request that this customer made at `created_at` (ms since the epoch).

        Otherwise it is of an earlier request, whose id was used again after its row had expired.
        """
        if self.customer_id != customer_id:
            return False
        if self.request_created_at:
            return self.request_created_at == created_at
        return self.created_at >= created_at - MAX_CLOCK_SKEW_MS

    @property
    def key(self) -> str:
        return object_key(self.s3_url)

    def public_url(self, base: str) -> str:
        """Return the image's public URL. `base` ends with a slash."""
        return base + self.key


def object_key(s3_url: str) -> str:
    """Return the key in an `s3://<bucket>/<key>` URL."""
    return s3_url.removeprefix("s3://").split("/", 1)[1]


def image_id_of(request_id: str) -> str:
    """Return the id of a request's image: a UUID of version 5 (RFC 9562) made from the request's id."""
    return _uuid5(request_id, b"image")


def reused_image_id(request_id: str, created_at: int) -> str:
    """Return the id of a request's image if an earlier request with the same id has an image already.

    `created_at` is the later request's, in milliseconds since the epoch.
    """
    return _uuid5(request_id, b"image" + created_at.to_bytes(8))


def _uuid5(namespace: str, name: bytes) -> str:
    # uuid.uuid5 takes text only, and the time is bytes.
    named = bytes.fromhex(namespace.replace("-", "")) + name
    digest = bytearray(hashlib.sha1(named, usedforsecurity=False).digest()[:16])
    # Version and variant (RFC 9562, sections 4.1 and 4.2). The objects of uuid take as long as the rest.
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_image_of(record: ImageRecord, request: ImageRequest) -> bool:
    """Return whether `record` is this request's image, and not that of an earlier request with the same id."""
    if request.image_id is None:
        return record.belongs_to(request.customer_id, request.created_at)
    return (record.image_id, record.customer_id) == (request.image_id, request.customer_id)


def is_published(record: ImageRecord, request: ImageRequest | None) -> bool:
    """Return whether callers may see an image. `request` is the row with the record's request id; None without a row.

    They may while the image's own request is COMPLETED with it. A worker inserts the record before it ends the request,
    so the record of a request that is PENDING or FAILED exists as well: another worker may have ended the request
    meanwhile.

    They also may after the row of the image's own request has expired: then there is no row, or that of a later request
    with the same id. Only rows of ended requests expire, and the row of a FAILED request with an image record is kept
    (see `keep_if_orphaned` in consumer/notify/finalize.py).
    """
    if request is None or not record.belongs_to(request.customer_id, request.created_at):
        return True
    return record.image_id == request.image_id
