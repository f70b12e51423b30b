"""What an RPC error says, read from google.rpc's details: for people a line, for programs a reason."""

from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imageservice.v1 import image_service_pb2 as pb

RETRYABLE = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})
MAYBE_APPLIED = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN"})
"""What was asked for may have been done all the same."""

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of the request and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class RpcError:
    code: str
    """gRPC's, for example INVALID_ARGUMENT."""
    reason: str
    """The server's, as in the contract; the code where none came (when no server answered, for one)."""
    message: str
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    """Seconds that the server asks to wait."""

    @property
    def retryable(self) -> bool:
        return self.code in RETRYABLE

    @property
    def maybe_applied(self) -> bool:
        return self.code in MAYBE_APPLIED

    @property
    def unreachable_server(self) -> bool:
        """No server spoke: one that did gives a reason of its own."""
        return self.code == self.reason == "UNAVAILABLE"

    def sentence(self) -> str:
        """One line: the reason, and the fields at fault or else the server's words."""
        fields = "; ".join(f"{each.field}: {each.description}" for each in self.violations)
        return f"{self.reason}: {fields or self.message or 'the server gave no explanation'}"


def _last_cause(message: str) -> str:
    """GRPC nests its causes by colons and names the address in front: the last one says what happened."""
    cause = message.rpartition(": ")[2].strip() or "no cause given"
    # The cause of a failed look-up stands in brackets, whose beginning is cut off.
    return cause.removesuffix("]") if "[" not in cause else cause


def parse_rpc_error(error: grpc.aio.AioRpcError, address: str) -> RpcError:
    """Read the details; an error without any still has a code and a message.

    `address` is where the call went, for the message when nobody answered there.
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
    """The same of one item of a stream. Its fields are named as if the image had been submitted alone."""
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
        # It reads no more of a call than the error has, too.
        status = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:
        # Details that contradict their own status: somebody between the server and us made them up.
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
