"""Generate docs/reference.md from the code, or check that it is up to date.

python docs/reference.py [--check]
"""

import sys
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from consumer.exporter.queue_exporter import QueueExporterSettings
from consumer.imaging.formats import FORMATS, Format
from consumer.imaging.limits import BYTES_PER_PIXEL, estimate_decode_bytes
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure import ImageStructure
from consumer.indexer.settings import IndexerSettings
from consumer.settings import ConsumerSettings
from core.errors import ImageFailure, PermanentFailure
from core.search.settings import SearchSettings
from core.settings import CoreSettings, former_variable
from generated_page import write_or_check
from server.errors import Reason
from server.settings import ServerSettings

_BODY_BYTES = 5_000_000
_FRAME_MAX = 89_478_485
PAGE = Path(__file__).with_name("reference.md")

HEAD = """# Reference

Generated from the code by `make reference`; `make check` fails when it is stale.

Settings are environment variables. Each program reads them once, at start. If some are invalid, it prints all of them
with their variable names and exits with status 2. Endpoints, region and credentials of AWS come from the SDK's own
variables (`AWS_ENDPOINT_URL`, `AWS_DEFAULT_REGION`, …). A deprecated name is accepted for one release: the process logs
a line about it at start, and the new name wins if both are set.
"""

FAILURES = """## Failure codes

A FAILED request has one of these codes. The names are those of the contract's `FailureCode` without its prefix.
A *permanent* failure ends the request at once. After a *transient* failure the download is tried again, up to
`MAX_ATTEMPTS` (3) attempts: the second within 0.2 s, the third after 20 to 40 s (`RETRY_DELAY_S`). An outage of an
origin of less than 20 s therefore fails no request.
A 429, and a 503 with `Retry-After`, are no attempts: they are statements about the host, and the request waits until
the host accepts requests again. So do requests to a host that is busy with our requests or does not answer.
`ORIGIN_PATIENCE_S` limits the wait.
`failure.attempts` has the number of attempts.
`BAD_RESPONSE` is permanent if the head of the response is at fault, and transient if its body is
([what is accepted](adr/0012-http-client-for-origins.md#what-is-accepted)).

| code | kind | message for the customer |
|---|---|---|
"""

FORMATS_HEAD = """## Formats

An image is recognised by its content. Every format that is not accepted is `UNSUPPORTED_FORMAT` if it is a known one,
else `NOT_AN_IMAGE`; the message names it. These variants are `UNSUPPORTED_FORMAT` too. Their pixels
cannot be decoded, so it is unknown whether they are damaged.

- JPEG: 12 bits per sample, lossless, hierarchical.
- TIFF: BigTIFF; camera raw (NEF, CR2, ARW, DNG and others); 2, 4, 10, 12, 14, 24, 32 and 64 bits per sample, except
  gray and palettes of 2 or 4 bits, and gray of 12 or 32; 16-bit gray with alpha; CMYK with alpha; LogLuv; compression
  by WebP, JPEG 2000, JPEG XL or LERC; other variants that Pillow (`TiffImagePlugin.OPEN_INFO`) or its libtiff lacks.
- HEIC: images that are not coded in HEVC, and sequences without a still image. Every HEIC if pi-heif is not installed.
- BMP: run-length encoding; 2 bits per pixel; unusual bit fields; an embedded JPEG or PNG; headers of OS/2 except those
  of 12 and 64 bytes; a palette of more than 256 colors.

"""

UNDETECTED = """## What is not detected

With `VERIFICATION=header` no pixel is decoded. Otherwise every frame is decoded, and every error that a decoder reports
is `CORRUPT_IMAGE`. For a JPEG, also inside a TIFF, so is every warning of libjpeg-turbo, except about its header; for
deflated pixels, a wrong checksum.
A decoder does not notice damage after which the data is still a valid image. Of 700 photographs with a scan that is cut
and ended by a new end marker, all were refused; with 1,000 bytes of a scan set to zero, 695; with 700 bytes of a scan
left out, 699 ([ADR 14](adr/0014-libjpeg-turbo-with-warnings-as-errors.md)). Damage inside the scans of a JPEG with rare
chroma subsampling (4:1:0, or chrominance finer than luminance) is not detected: Pillow decodes it, because the
interface of libjpeg-turbo does not have it.
Other codings show less, because their data has no checksum and any bytes decode to pixels. One photograph in each of
them, 100 times with 500 bytes set to zero at a random place (`docs/adr/measurements/undetected_damage.py`):

| coding | refused |
|---|---|
| PNG, GIF, TIFF with JPEG, deflate or LZW | 100 |
| JPEG | 84 |
| TIFF with PackBits | 30 |
| WebP, lossless | 29 |
| HEIC | 2 |
| WebP, lossy; AVIF; TIFF with CCITT group 3 or 4, or uncompressed; BMP | 0 |

In a GIF or an LZW-coded TIFF, wrong colors that are valid codes are not noticed. JPEG of the old kind in a TIFF
(compression 6) is judged by libtiff alone. libtiff goes on after some errors, such as a bad code word of CCITT, and
only reports them: they are in the log (`decoder warned`), as are the warnings of Python. The warnings of libtiff are
not, because Pillow turns them off in each call that opens a TIFF.
A PNG is judged by its critical chunks, its pixels and its transparency. A damaged ancillary chunk is published
unchanged, after a search for a location; damaged transparency is ignored, as libpng does. A PNG whose deflated pixels
lack only their own checksum completes.
Of a HEIC only the primary image is decoded. A file that is cut short is refused.
A location is removed from EXIF, XMP, IPTC, GeoTIFF, content credentials (C2PA) and PNG texts, in every format and
under any label. In XMP it is a property whose name tells a place, or a value `geo:52.5,13.4`. A color profile with a
location is dropped. It is not found in free text (comments, captions, keywords, the creator's address), in thumbnails
inside XMP, and in the maker notes of a camera except for the place names of Panasonic, Leica, Samsung and Nikon. The
city of a camera's clock (Pentax, Casio, Canon) is removed beside GPS data only. `METADATA_POLICY=strip-all` removes all
of these too. In bytes of a TIFF or BMP that no header or directory refers to, between its parts, only XMP is found,
whatever the policy. What follows the last part is cut off, except for zero bytes.
A deflated PNG text of more than 1 MiB is searched for XMP only; text beyond 16 MiB of all texts of a file is dropped,
and reported as other metadata. Content credentials without a location stay; their signature does not cover an image
from which something else was removed.
With `VERIFICATION=draft` a JPEG is decoded at down to an eighth of its width and height, by averaging. The dominant
color of a fine pattern, such as a checkerboard, is then a mixture that does not occur in the image. With `full` it is
one of its colors.
Of several EXIF chunks in a PNG or WebP the first is published. The others are dropped, and reported as other metadata.
So are chunks of a WebP that neither RFC 9649 nor C2PA defines: some tools write the location in formats of their own.
An image with a structure that no camera or editor writes (hundreds of ICC segments, a BMP with run-length encoding) is
rejected.
"""

SIZES = """## The largest image

An image is refused before it is decoded, as `TOO_MANY_PIXELS`, if decoding it would take more memory than
`DECODE_BUDGET_BYTES`. No frame has more than 89.4 megapixels, and all frames together have at most `MAX_PIXELS`. The
table has the largest frame in megapixels for the default budget and a body of 5 MB, and the memory that is charged for
each pixel (measured by `tests/unit/consumer/imaging/test_decode_memory.py`). Photographs of 48 megapixels pass in every
format. Larger than the budget are AVIF with alpha and 4:4:4 or more than 8 bits, and HEIC with more than 8 bits and
more chroma than 4:2:0, or alpha: they pass up to the sizes of the table.

More is charged for some images. A JPEG of several scans, also as the strip or tile of a TIFF: 2 bytes for each sample,
that is 3 bytes per pixel with 4:2:0 and 6 with 4:4:4. A TIFF: its largest strip or tile, decoded, and a second image if
it is turned. AVIF: the planes of a tile, and in a sequence those of up to 8 further frames. HEIC with more than 8 bits:
a second set of planes if it is turned.

Renditions of up to 2,048 pixels on the longest side make none of these sizes smaller. Larger ones can. The charge is
that of decoding, or, if it is more, about 4 bytes for each pixel of the image and those of the largest rendition: 10
(JPEG), 20 (WebP) or 40 (AVIF) for each of its pixels, and 18 (JPEG) or 44 if it may be transparent (measured by
`tests/unit/consumer/imaging/test_rendition_memory.py`). Above the budget the renditions fail, and the image completes.

| format | pixels | bytes per pixel | megapixels |
|---|---|---|---|
"""

REASONS = """## Reasons of RPC errors

A refused RPC carries `google.rpc.ErrorInfo` with the domain `imageservice` and one of these reasons.
`INVALID_REQUEST` also carries `BadRequest` with a violation for each field; errors for which a retry is useful carry
`RetryInfo`.

| reason | status | meaning |
|---|---|---|
"""


WORKERS = """`python -m server --workers N` runs N processes on one port (Linux, SO_REUSEPORT; 1 by default).
Limits apply to each worker. The kernel distributes connections, not calls: one connection uses one worker.
`/metrics` has the sums of all workers; `process_*` has a label `worker`, where 0 is the parent. `TMPDIR` must be
writable.
"""


EXPORTER = """
`python -m consumer queue-exporter` also reads `QUEUE_URL`, `BULK_QUEUE_URL`, `FAILED_REQUESTS_QUEUE_URL`, `DLQ_URL`,
and the settings of metrics and logs.
"""


INDEXER = """
`python -m consumer indexer` also reads the search settings (`SEARCH_URL` is *required*), `REQUESTS_TABLE`,
`IMAGES_TABLE`, and the settings of metrics and logs. `python -m consumer reindex` reads the same settings except those
of this table.
"""


def page() -> str:
    own_exporter = {
        name: QueueExporterSettings.model_fields[name]
        for name in QueueExporterSettings.__annotations__
    }
    parts = [
        HEAD,
        _settings("Settings of server and consumer", CoreSettings.model_fields),
        _settings("Settings of search, for server and indexer", SearchSettings.model_fields),
        _settings("Settings of the server", _own(ServerSettings)),
        WORKERS,
        _settings("Settings of the consumer", _own(ConsumerSettings)),
        _settings("Settings of the indexer", _own(IndexerSettings)) + INDEXER,
        _settings("Settings of the queue exporter", own_exporter) + EXPORTER,
        FAILURES + "".join(_failures()),
        FORMATS_HEAD + _accepted(),
        UNDETECTED,
        SIZES + "".join(_largest_images()),
        REASONS + "".join(_reasons()),
    ]
    return "\n".join(parts)


def _accepted() -> str:
    rows = "".join(f"| {each.name} | `{each.media_type}` |\n" for each in FORMATS)
    return f"| accepted format | media type |\n|---|---|\n{rows}"


def _own(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Return the settings that only this class has."""
    shared = {*CoreSettings.model_fields, *SearchSettings.model_fields}
    return {name: field for name, field in settings.model_fields.items() if name not in shared}


def _settings(title: str, fields: dict[str, FieldInfo]) -> str:
    rows = "".join(
        f"| `{name.upper()}` | {_default(field)} | {_description(field)} |\n"
        for name, field in fields.items()
    )
    return f"## {title}\n\n| variable | default | what it does |\n|---|---|---|\n{rows}"


def _description(field: FieldInfo) -> str:
    former = former_variable(field)
    suffix = "" if former is None else f" Deprecated name: `{former}`."
    return f"{field.description}{suffix}"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "*required*"
    return f"`{field.default}`" if field.default not in ((), None, "") else "*none*"


def _failures() -> Iterator[str]:
    for failure in sorted(_leaves(ImageFailure), key=lambda each: each.code):
        kind = "permanent" if issubclass(failure, PermanentFailure) else "transient"
        yield f"| `{failure.code}` | {kind} | {failure.summary} |\n"


def _largest_images() -> Iterator[str]:
    budget = ConsumerSettings.model_fields["decode_budget_bytes"].default
    for image_format, layouts in BYTES_PER_PIXEL.items():
        for layout, size in layouts.items():
            pixels = bisect_right(
                range(_FRAME_MAX),
                budget,
                key=partial(_charge, image_format, layout),
            )
            yield f"| {image_format.name} | {layout} | {size:.4g} | {pixels / 1e6:.1f} |\n"


def _charge(image_format: Format, layout: str, pixels: int) -> int:
    structure = ImageStructure(
        pixels, 1, 1, pixels, pixels, _BODY_BYTES, layout=layout, coded_bytes=_BODY_BYTES
    )
    policy = ImagePolicy(verification="full")
    return estimate_decode_bytes(image_format, structure, _BODY_BYTES, policy)


def _leaves(kind: type[ImageFailure]) -> Iterator[type[ImageFailure]]:
    for each in kind.__subclasses__():
        if hasattr(each, "code"):
            yield each
        else:
            yield from _leaves(each)


def _reasons() -> Iterator[str]:
    for reason in Reason:
        yield f"| `{reason.name}` | `{reason.code.name}` | {reason.description} |\n"


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page(), "reference"))
