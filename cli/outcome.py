"""What became of one URL, as a line for people or a line of JSON for programs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from google.protobuf.json_format import MessageToDict

from cli.rpc_fault import RpcFault
from imageservice.v1 import image_service_pb2 as pb

PENDING = "PENDING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`state` is PENDING, COMPLETED or FAILED; None where the call was refused, and then `error` says why."""

    request_id: str | None
    url: str
    state: str | None = None
    public_url: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)
    error: RpcFault | None = None

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
            metadata=_metadata(request.image.metadata) if completed else None,
        )

    @property
    def bad(self) -> bool:
        return self.error is not None or self.state == FAILED

    def as_json(self) -> str:
        """One object. `error` is there only where the call was refused."""
        told: dict[str, Any] = {
            "request_id": self.request_id,
            "url": self.url,
            "state": self.state,
            "public_url": self.public_url,
            "failure_code": self.failure_code,
            "metadata": self.metadata,
        }
        if self.error is not None:
            told["error"] = _error(self.error)
        return json.dumps(told, ensure_ascii=False)

    def as_text(self) -> str:
        """State, id, then what there is to say; without control characters, whatever the URL holds."""
        if self.error is not None:
            said = f"REFUSED    {self.url}  {self.error.sentence()}"
        elif self.state == COMPLETED:
            said = f"COMPLETED  {self.request_id}  {self.public_url or self.url}"
        elif self.state == FAILED:
            why = f"{self.failure_code}: {self.failure_message}"
            said = f"FAILED     {self.request_id}  {self.url}  {why}"
        else:
            said = f"{self.state or '?':<9}  {self.request_id}  {self.url}"
        return printable(said)


def state_name(state: "pb.State.ValueType") -> str:
    return pb.State.Name(state).removeprefix("STATE_")


def printable(text: str) -> str:
    """`text` with escapes for what a terminal might obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _metadata(metadata: pb.ImageMetadata) -> dict[str, Any]:
    told: dict[str, Any] = MessageToDict(
        metadata, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    # protobuf's JSON writes 64-bit numbers as text; a picture's size is well within a number's range.
    told["bytes"] = metadata.bytes
    return told


def _error(fault: RpcFault) -> dict[str, Any]:
    return {
        "reason": fault.reason,
        "code": fault.code,
        "message": fault.message,
        "violations": [{"field": v.field, "description": v.description} for v in fault.violations],
    }
