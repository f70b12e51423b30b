"""Renditions, as facts for people and as JSON for programs."""

from collections.abc import Iterable
from typing import Any

from imageservice.v1 import image_service_pb2 as pb


def rendition_facts(renditions: Iterable[pb.Rendition]) -> list[tuple[str, str]]:
    """Return a name and a text for each rendition: preset, pixels, bytes and URL, or the failure."""
    return [("rendition", f"{each.preset}: {_describe(each)}") for each in renditions]


def _describe(rendition: pb.Rendition) -> str:
    if rendition.HasField("failure"):
        return f"{_code(rendition)}: {rendition.failure.message}"
    size = f"{rendition.width}x{rendition.height}, {rendition.bytes:,} bytes"
    return f"{size} → {rendition.public_url}"


def renditions_as_json(renditions: Iterable[pb.Rendition]) -> list[dict[str, Any]]:
    return [_as_object(each) for each in renditions]


def _as_object(rendition: pb.Rendition) -> dict[str, Any]:
    if rendition.HasField("failure"):
        failure = {"code": _code(rendition), "message": rendition.failure.message}
        return {"preset": rendition.preset, "failure": failure}
    return {
        "preset": rendition.preset,
        "public_url": rendition.public_url,
        "media_type": rendition.media_type,
        "width": rendition.width,
        "height": rendition.height,
        "bytes": rendition.bytes,
        "sha256": rendition.sha256,
    }


def _code(rendition: pb.Rendition) -> str:
    return pb.FailureCode.Name(rendition.failure.code).removeprefix("FAILURE_CODE_")
