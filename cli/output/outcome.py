"""The state of one submitted URL, as a line for people or a JSON line for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from google.protobuf.json_format import MessageToDict

from cli.output.renditions import renditions_as_json
from cli.output.text import (
    INDENT,
    MIN_WIDTH,
    display_width,
    is_quoted,
    quote_url,
    safe_json,
    truncate,
    wrap,
)
from cli.rpc_error import RpcError
from imageservice.v1 import image_service_pb2 as pb

PENDING = "PENDING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
REFUSED = "REFUSED"
UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class RequestView:
    """`state` is the last known state: PENDING, COMPLETED or FAILED. None means that the service did not acknowledge.

    `error` says why there was no acknowledgement, or why the final state is not known.
    """

    request_id: str | None
    url: str
    state: str | None = None
    public_url: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    attempts: int | None = None
    """The number of download attempts; None unless FAILED."""
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)
    renditions: Sequence[Mapping[str, Any]] | None = field(default=None, hash=False)
    error: RpcError | None = None
    record: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further fields of the request, if the service was asked for them."""

    @classmethod
    def of(cls, request: pb.ImageRequest) -> Self:
        completed = request.state == pb.STATE_COMPLETED
        failed = request.state == pb.STATE_FAILED
        code = pb.FailureCode.Name(request.failure.code).removeprefix("FAILURE_CODE_")
        return cls(
            request_id=request.request_id,
            url=request.url,
            state=state_name(request.state),
            public_url=request.image.public_url if completed else None,
            failure_code=code if failed else None,
            failure_message=request.failure.message if failed else None,
            attempts=request.failure.attempts if failed else None,
            metadata=metadata_of(request.image) if completed else None,
            renditions=renditions_as_json(request.image.renditions) if completed else None,
        )

    @classmethod
    def with_details(cls, request: pb.ImageRequest) -> Self:
        return replace(
            cls.of(request),
            record={
                "customer_id": request.customer_id,
                "image_id": request.image.image_id or None,
                "labels": dict(request.labels),
                "create_time": request.create_time.ToJsonString(),
                "update_time": request.update_time.ToJsonString(),
            },
        )

    @property
    def label(self) -> str:
        """The state. Without an acknowledgement REFUSED, or UNKNOWN if the service may have accepted it."""
        if self.state is not None or self.error is None:
            return self.state or "?"
        return UNKNOWN if self.error.maybe_applied else REFUSED

    @property
    def is_error(self) -> bool:
        return self.error is not None or self.state == FAILED

    def to_json(self) -> str:
        """Return one JSON object. `error` is present only if the call failed or the watch was interrupted."""
        reported: dict[str, Any] = {
            "request_id": self.request_id,
            "url": self.url,
            "state": self.state,
            "public_url": self.public_url,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "attempts": self.attempts,
            "metadata": self.metadata,
            "renditions": self.renditions,
            **self.record,
        }
        if self.error is not None:
            reported["error"] = _error(self.error)
        return safe_json(reported)

    def to_text(self) -> str:
        """Return one line: state, id, URL, then the details. The URL is foreign text and may be quoted."""
        return f"{self._beginning()}  {quote_url(self.url)}{self._ending()}"

    def render(self, width: int) -> str:
        """Return the text for a terminal of `width` columns: wrapped between words; a quoted URL is truncated."""
        line, url = self.to_text(), quote_url(self.url)
        if not is_quoted(url):
            return wrap(line, width)
        if display_width(line) <= width:
            return line
        within = max(width, MIN_WIDTH) - len(INDENT)
        below = [truncate(url, within), *wrap(self._ending().strip(), within).splitlines()]
        return "\n".join([wrap(self._beginning(), width), *(INDENT + each for each in below)])

    def _beginning(self) -> str:
        """A refused request has no id that could be looked up."""
        named = [] if self.label == REFUSED else [self.request_id or "?"]
        return escape_control("  ".join([f"{self.label:<9}", *named]))

    def _ending(self) -> str:
        """Text of the service, without control characters."""
        if self.error is not None:
            lost = "" if self.state is None else "watch interrupted: "
            return escape_control(f"  {lost}{self.error.sentence()}")
        if self.state == FAILED:
            return escape_control(f"  {self.failure_code}: {self.failure_message}")
        return escape_control(f" → {self.public_url}") if self.public_url else ""


def state_name(state: "pb.State.ValueType") -> str:
    return pb.State.Name(state).removeprefix("STATE_")


def escape_control(text: str) -> str:
    """Escape characters that a terminal might interpret."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def metadata_of(image: pb.Image) -> dict[str, Any]:
    """Return the metadata as JSON, with a value for each field of the contract. Names of enums have no prefix."""
    reported: dict[str, Any] = MessageToDict(
        image.metadata, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    # protobuf's JSON writes 64-bit numbers as strings; the size of an image fits into a JSON number.
    reported["bytes"] = image.metadata.bytes
    reported.setdefault("animation_duration", None)
    reported["color"] = color_name(image.metadata)
    reported["removed"] = removed_names(image.metadata)
    return reported


def color_name(metadata: pb.ImageMetadata) -> str | None:
    """Return the name of the dominant color. None if there is none, or the service is newer and has more names."""
    known = metadata.color in pb.Color.values() and metadata.color != pb.COLOR_UNSPECIFIED
    return pb.Color.Name(metadata.color).removeprefix("COLOR_") if known else None


def removed_names(metadata: pb.ImageMetadata) -> list[str]:
    """Return the names of the removed parts. A part that only a newer service knows is UNSPECIFIED."""
    names = dict(zip(pb.RemovedPart.values(), pb.RemovedPart.keys(), strict=True))
    unknown = names[pb.REMOVED_PART_UNSPECIFIED]
    return [names.get(part, unknown).removeprefix("REMOVED_PART_") for part in metadata.removed]


def _error(fault: RpcError) -> dict[str, Any]:
    return {
        "reason": fault.reason,
        "code": fault.code,
        "message": fault.message,
        "violations": [{"field": v.field, "description": v.description} for v in fault.violations],
    }
