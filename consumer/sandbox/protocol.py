"""The messages between the worker and a decoder process: a header, a JSON object, and bytes.

The worker trusts no answer: each member has a type and a range, and the total is bounded. A decoder that was taken over
by an image can answer falsely about this image and about later images of the same process, of which there are at most
`decode_pool._IMAGES_PER_DECODER`. It can do no other harm.
"""

import re
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import orjson

from consumer.imaging.formats import format_named
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import (
    EDITS_MAX,
    RENDITIONS_BYTES_MAX,
    Edit,
    Examination,
    MadeRendition,
)
from consumer.sandbox.rendition_results import decode_results, encode_result
from core.answers import (
    MalformedAnswer,
    decode_answer,
    integer,
    member,
    optional_member,
    printable_text,
)
from core.errors import (
    CorruptImage,
    DecodeLimit,
    ImageFailure,
    LocationNotRemovable,
    NotAnImage,
    TooManyPixels,
    UnsupportedFormat,
)
from core.model.image import ANIMATION_DURATION_MAX_MS, ImageMetadata, RemovedPart

CHEAP_BYTES = 8 * 1024 * 1024
"""Memory that a cheap image may need, the body included."""
HEADER = struct.Struct("!II")
"""Bytes of the JSON object and bytes after it."""
_JSON_MAX = 1 << 20
_ADDED_MAX = 1 << 20
"""Bytes by which all replacements together may exceed the body."""
_SIDE_MAX = (1 << 31) - 1
_TEXT_MAX = 128
_DETAIL_MAX = 300
_PROTECTIONS_MAX = 20
WARNINGS_MAX = 4_096
"""Characters of what a decoder and its libraries wrote to standard error during one image."""

FAILURES: dict[str, type[ImageFailure]] = {
    failure.code: failure
    for failure in (
        NotAnImage,
        UnsupportedFormat,
        CorruptImage,
        TooManyPixels,
        LocationNotRemovable,
        DecodeLimit,
    )
}
"""The failures that a decoder may report."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """A body to examine.

    memory_bytes: what the decoder may use for it, the body included.
    cheap_only: answer Expensive instead of examining an image that is not cheap.
    renditions: names of presets of the policy.
    """

    body: bytes = field(repr=False)
    memory_bytes: int
    cheap_only: bool
    renditions: tuple[str, ...] = ()

    @property
    def expected(self) -> "Expected":
        return Expected(len(self.body), self.renditions)


@dataclass(frozen=True, slots=True)
class Expected:
    """The part of a request that its answer is checked against."""

    body_size: int
    renditions: tuple[str, ...] = ()

    @property
    def data_max(self) -> int:
        """The most bytes after the JSON object: replacements, then renditions."""
        renditions = RENDITIONS_BYTES_MAX if self.renditions else 0
        return self.body_size + _ADDED_MAX + renditions


@dataclass(frozen=True, slots=True)
class Ready:
    """The first message of a decoder.

    protections: the names of the restrictions that are active.
    data_bytes: its private writable memory, as RLIMIT_DATA counts it. 0 on systems that do not limit it.
    """

    protections: tuple[str, ...]
    data_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Expensive:
    """The image was not examined. charge: the memory in bytes that it needs, the body included."""

    charge: int


@dataclass(frozen=True, slots=True)
class Fault:
    """An unexpected error, which is our fault. error: the name of its class. The traceback is on standard error."""

    error: str


Answer = Examination | Expensive | ImageFailure | Fault


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and what was written to standard error meanwhile."""

    answer: Answer
    warnings: str


def encode_request(request: Request) -> list[bytes]:
    """Return the pieces of a request, for one `sendmsg`."""
    members = b"[%d,%d]" % (request.memory_bytes, request.cheap_only)
    if request.renditions:
        members = orjson.dumps([request.memory_bytes, request.cheap_only, *request.renditions])
    return [HEADER.pack(len(members), len(request.body)), members, request.body]


def receive_request(connection: socket.socket) -> Request | None:
    """Wait for a request. Returns None if the worker has closed its end."""
    header = _receive(connection, HEADER.size)
    if len(header) < HEADER.size:
        return None
    members_size, body_size = HEADER.unpack(header)
    memory_bytes, cheap_only, *renditions = orjson.loads(_receive(connection, members_size))
    body = _receive(connection, body_size)
    if len(body) < body_size:
        return None
    return Request(body, memory_bytes, bool(cheap_only), tuple(renditions))


def _receive(connection: socket.socket, size: int) -> bytes:
    """Receive `size` bytes, or fewer at the end of the stream."""
    data = connection.recv(size, socket.MSG_WAITALL)
    if len(data) == size or not data:
        return data
    # A signal, or a system that returns what is there.
    pieces = [data]
    missing = size - len(data)
    while missing and (data := connection.recv(missing)):
        pieces.append(data)
        missing -= len(data)
    return b"".join(pieces)


def encode_answer(answer: Answer | Ready, warnings: str = "") -> bytes:
    """Return a whole message."""
    members, data = _members(answer)
    if warnings:
        members["warnings"] = warnings[:WARNINGS_MAX]
    encoded = orjson.dumps(members)
    return HEADER.pack(len(encoded), len(data)) + encoded + data


def _members(answer: Answer | Ready) -> tuple[dict[str, Any], bytes]:
    match answer:
        case Examination(metadata, edits, end, renditions):
            members = {
                "metadata": metadata,
                "edits": [(start, stop, len(new)) for start, stop, new in edits],
                "end": end,
            }
            data = [new for _, _, new in edits]
            if renditions:
                members["renditions"] = [encode_result(each) for each in renditions]
                data += [each.body for each in renditions if isinstance(each, MadeRendition)]
            return members, b"".join(data)
        case ImageFailure():
            return {"failure": answer.code, "detail": answer.detail[:_DETAIL_MAX]}, b""
        case Expensive(charge):
            return {"charge": charge}, b""
        case Fault(error):
            return {"fault": error[:_TEXT_MAX]}, b""
        case Ready(protections, data_bytes):
            return {"protections": protections, "data_bytes": data_bytes}, b""


def message_size(header: bytes | bytearray, data_max: int) -> int:
    """Return the bytes of the message that begins with `header`. Raises MalformedAnswer if they are too many.

    data_max: see `Expected`.
    """
    members_size, data_size = HEADER.unpack_from(header)
    if members_size > _JSON_MAX or data_size > data_max:
        raise MalformedAnswer("the answer is too long")
    return HEADER.size + int(members_size) + int(data_size)


def decode_ready(message: bytes | bytearray) -> Ready:
    """Decode the first message of a decoder. Raises MalformedAnswer."""
    return decode_answer(_ready, message)


def decode_message(message: bytes | bytearray, expected: Expected, policy: ImagePolicy) -> Reply:
    """Decode and check the answer to a request. Raises MalformedAnswer."""
    return decode_answer(lambda it: _reply(it, expected, policy), message)


def _split(message: bytes | bytearray) -> tuple[Mapping[str, Any], memoryview]:
    members_size, _ = HEADER.unpack_from(message)
    end = HEADER.size + members_size
    view = memoryview(message)
    members = orjson.loads(view[HEADER.size : end])
    if type(members) is not dict:
        raise MalformedAnswer("not an object")
    return members, view[end:]


def _ready(message: bytes | bytearray) -> Ready:
    members, _ = _split(message)
    protections = member(members, "protections", list)[:_PROTECTIONS_MAX]
    return Ready(
        tuple(printable_text(each, _TEXT_MAX) for each in protections),
        integer(members["data_bytes"], 0, 1 << 62),
    )


def _reply(message: bytes | bytearray, expected: Expected, policy: ImagePolicy) -> Reply:
    members, data = _split(message)
    warnings = optional_member(members, "warnings", str, "")
    if len(warnings) > WARNINGS_MAX:
        raise MalformedAnswer("long warnings")
    return Reply(_answer(members, data, expected, policy), warnings)


def _answer(
    members: Mapping[str, Any], data: memoryview, expected: Expected, policy: ImagePolicy
) -> Answer:
    if "metadata" in members:
        return _examination(members, data, expected, policy)
    if len(data):
        raise MalformedAnswer("bytes without edits")
    if "failure" in members:
        detail = printable_text(members["detail"], _DETAIL_MAX)
        return FAILURES[member(members, "failure", str)](detail)
    if "charge" in members:
        return Expensive(integer(members["charge"], 1, 1 << 62))
    return Fault(printable_text(members["fault"], _TEXT_MAX))


def _examination(
    members: Mapping[str, Any], data: memoryview, expected: Expected, policy: ImagePolicy
) -> Examination:
    end = integer(members["end"], 1, expected.body_size)
    edits, rest = _edits(member(members, "edits", list), data, end)
    renditions = decode_results(
        members.get("renditions", []), rest, expected.renditions, policy.presets
    )
    metadata = _metadata(member(members, "metadata", dict))
    if metadata.frames > policy.max_frames:
        raise MalformedAnswer("frames")
    return Examination(metadata, edits, end, renditions)


def _edits(
    listed: Sequence[Any], data: memoryview, end: int
) -> tuple[tuple[Edit, ...], memoryview]:
    """Return the edits, and the bytes that follow theirs."""
    if len(listed) > EDITS_MAX:
        raise MalformedAnswer("too many edits")
    edits: list[Edit] = []
    at = used = 0
    for start, stop, size in listed:
        integer(start, at, end)
        at = integer(stop, start, end)
        taken = used + integer(size, 0, len(data) - used)
        # A view: a replacement may be as large as the body.
        edits.append((start, stop, data[used:taken]))
        used = taken
    return tuple(edits), data[used:]


def _matching(pattern: str) -> Callable[[Any], str]:
    matches = re.compile(pattern).fullmatch

    def check(value: Any) -> str:
        if type(value) is not str or not matches(value):
            raise MalformedAnswer(f"text that does not match {pattern}")
        return value

    return check


def _side(value: Any) -> int:
    return integer(value, 1, _SIDE_MAX)


def _list(value: Any, longest: int) -> list[Any]:
    if type(value) is not list or len(value) > longest:
        raise MalformedAnswer(f"not a list of {longest} at most")
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise MalformedAnswer("not a boolean")
    return value


_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "width": _side,
    "height": _side,
    "mode": _matching(r"[A-Za-z0-9;]{1,16}"),
    "frames": _side,
    "perceptual_hash": _matching(r"(?:[0-9a-f]{16})?"),
    "dominant_color": _matching(r"(?:#[0-9a-f]{6})?"),
    "capture_time": _matching(r"[0-9T:.+Z-]{0,40}"),
    "camera": partial(printable_text, longest=_TEXT_MAX),
    "had_location": _boolean,
    "animation_duration_ms": lambda value: integer(value, 0, ANIMATION_DURATION_MAX_MS),
    "removed": lambda value: tuple(RemovedPart(each) for each in _list(value, len(RemovedPart))),
}
"""The check of each member of ImageMetadata that a decoder reports as it is."""


def _metadata(members: Mapping[str, Any]) -> ImageMetadata:
    image_format = format_named(member(members, "format", str))
    checked = {name: check(members[name]) for name, check in _MEMBERS.items()}
    # The media type is a header of the published object. So it comes from our own table.
    return ImageMetadata(
        format=image_format.name,
        media_type=image_format.media_type,
        bytes=0,
        sha256="",
        source_sha256="",
        **checked,
    )
