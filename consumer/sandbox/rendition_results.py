"""The part of a decoder's answer about renditions: a JSON list, and the bytes of all that were made.

The worker trusts none of it, as in protocol.py: there is one result for each requested preset, in order; its size fits
into the preset's box, and its bytes begin as the preset's format does.
"""

from collections.abc import Sequence
from typing import Any

from consumer.imaging.formats import sniff
from consumer.imaging.result import FailedRendition, MadeRendition, RenditionResult
from core.answers import MalformedAnswer, integer, printable_text
from core.errors import FailureCode, ImageFailure
from core.model.rendition import Presets, RenditionPreset

_MESSAGE_MAX = 500


def encode_result(result: RenditionResult) -> Sequence[int | str]:
    """Return width, height and size of a rendition, or code and message of a failure."""
    match result:
        case MadeRendition(_, body, width, height):
            return width, height, len(body)
        case FailedRendition(_, code, message):
            return code, message[:_MESSAGE_MAX]


def decode_results(
    listed: Any, data: memoryview, names: Sequence[str], presets: Presets
) -> tuple[RenditionResult, ...]:
    """Check the results for the requested presets. Raises MalformedAnswer. `data` must be used up."""
    if type(listed) is not list or len(listed) != len(names):
        raise MalformedAnswer("not one result for each rendition")
    results: list[RenditionResult] = []
    at = 0
    for name, members in zip(names, listed, strict=True):
        if len(members) == 2:  # noqa: PLR2004  a code and a message
            code = FailureCode(members[0]).value
            results.append(FailedRendition(name, code, printable_text(members[1], _MESSAGE_MAX)))
            continue
        width, height, size = members
        end = at + integer(size, 1, len(data) - at)
        results.append(_made(name, presets[name], width, height, bytes(data[at:end])))
        at = end
    if at != len(data):
        raise MalformedAnswer("bytes that belong to nothing")
    return tuple(results)


def _made(
    name: str, preset: RenditionPreset, width: Any, height: Any, body: bytes
) -> MadeRendition:
    try:
        found = sniff(body).name
    except ImageFailure as failure:
        raise MalformedAnswer("a rendition that is no image") from failure
    if found != preset.format:
        raise MalformedAnswer("a rendition in another format")
    return MadeRendition(
        name, body, integer(width, 1, preset.width), integer(height, 1, preset.height)
    )
