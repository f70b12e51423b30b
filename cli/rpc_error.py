"""An RPC error, decoded from the google.rpc details: one line for people, a reason for programs."""

from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imageservice.v1 import image_service_pb2 as pb

RETRYABLE = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"})
"""Codes after which a retry may succeed. A server of an earlier version that stops ends queued calls with CANCELLED; a
call that this client cancels raises asyncio.CancelledError instead."""
MAYBE_APPLIED = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN"})
"""Codes after which the server may still have executed the call."""

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Violation:
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class RpcError:
    code: str
    """The gRPC code, for example INVALID_ARGUMENT."""
    reason: str
    """The server's reason, as in the contract; the code if there is no reason, for example if no server answered."""
    message: str
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    """Seconds to wait before a retry, if the server sent them."""

    @property
    def retryable(self) -> bool:
        return self.code in RETRYABLE

    @property
    def maybe_applied(self) -> bool:
        return self.code in MAYBE_APPLIED

    @property
    def unreachable_server(self) -> bool:
        """True if no server answered. A server's own UNAVAILABLE has a reason."""
        return self.code == self.reason == "UNAVAILABLE"

    def sentence(self) -> str:
        """Return one line: the reason, then the fields at fault or the server's message."""
        fields = "; ".join(f"{each.field}: {each.description}" for each in self.violations)
        return f"{self.reason}: {fields or self.message or 'the server gave no explanation'}"


def _last_cause(message: str) -> str:
    """Return the last of gRPC's nested causes. They are separated by colons, after the address."""
    cause = message.rpartition(": ")[2].strip() or "no cause given"
    # gRPC puts the cause of a failed name lookup in brackets; the opening bracket was cut off.
    return cause.removesuffix("]") if "[" not in cause else cause


def parse_rpc_error(error: grpc.aio.AioRpcError, address: str) -> RpcError:
    """Decode an RPC error. Without details it still has a code and a message.

    `address` is the called server, for the message if no server answered.
    """
    code = error.code().name
    reason, violations, retry_after = code, [], None
    for detail in _details(error):
        match detail:
            case error_details_pb2.ErrorInfo():
                reason = detail.reason
            case error_details_pb2.BadRequest():
                violations += [Violation(v.field, v.description) for v in detail.field_violations]
            case error_details_pb2.RetryInfo():
                delay = detail.retry_delay
                retry_after = delay.seconds + delay.nanos / 1e9
    message = error.details() or ""
    if code == reason == "UNAVAILABLE":
        message = f"no server answers at {address} ({_last_cause(message)})"
    return RpcError(code, reason, message, tuple(violations), retry_after)


def parse_item_error(error: pb.SubmitImagesError) -> RpcError:
    """Decode the error of one stream item. Field names are those of SubmitImageRequest."""
    violations = tuple(
        Violation(v.field.removeprefix("image."), v.description) for v in error.field_violations
    )
    delay = error.retry_delay
    return RpcError(
        code=_CODES.get(error.code, "UNKNOWN"),
        reason=error.reason,
        message=error.message,
        violations=violations,
        retry_after=delay.seconds + delay.nanos / 1e9 if error.HasField("retry_delay") else None,
    )


def _details(error: grpc.aio.AioRpcError) -> list[Message]:
    try:
        # The function reads only attributes that the error also has.
        status = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:
        # The details contradict the status. A proxy between the server and the client wrote them.
        return []
    if status is None:
        return []
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    found: list[Message] = []
    for packed in status.details:
        for kind in kinds:
            detail = kind()
            if packed.Unpack(detail):
                found.append(detail)
    return found
