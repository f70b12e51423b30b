"""The one map from errors to gRPC status."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from core.errors import (
    DependencyUnavailable,
    ImageNotFound,
    ImageServiceError,
    Overloaded,
    RequestIdReused,
    RequestNotFound,
    SearchNotConfigured,
    SearchUnavailable,
)
from imageservice.v1 import image_service_pb2 as pb

# What the server itself refuses, beside the errors of core.


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """`field` is the path in the request message, for example `request_ids[3]`."""

    field: str
    description: str


MAX_VIOLATIONS = 10
"""More would not fit into the trailers that gRPC allows (8 KiB), and the caller would get another error instead."""


class InvalidRequest(ImageServiceError):
    """The request message breaks the contract's limits; its first faults are listed, up to MAX_VIOLATIONS."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        listed = violations[:MAX_VIOLATIONS]
        text = "; ".join(f"{fault.field}: {fault.description}" for fault in listed)
        more = len(violations) - len(listed)
        super().__init__(f"{text}; and {more} more" if more else text)
        self.violations = listed


class ServerDraining(ImageServiceError):
    """This process is about to end; another one answers."""


class TooManyWatched(Overloaded):
    """The process watches as many requests as it may."""


DOMAIN = "imageservice"

_RETRY_AFTER_S = 1.0


class Reason(Enum):
    """What ErrorInfo's `reason` can be: the name, its status code, and what it means to the caller."""

    INVALID_REQUEST = (
        grpc.StatusCode.INVALID_ARGUMENT,
        "The message breaks the contract; BadRequest lists each field. Sending it again cannot help.",
    )
    REQUEST_ID_REUSED = (
        grpc.StatusCode.ALREADY_EXISTS,
        "The request_id was accepted before with another content. Choose a new id.",
    )
    REQUEST_NOT_FOUND = (
        grpc.StatusCode.NOT_FOUND,
        "No request bears this id, or its record has expired.",
    )
    IMAGE_NOT_FOUND = (
        grpc.StatusCode.NOT_FOUND,
        "No image bears this id. GetStatus tells what became of the request.",
    )
    OVERLOADED = (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "The server has as many calls under way as it may. Call again after RetryInfo's delay.",
    )
    TOO_MANY_WATCHED = (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "The server watches as many requests as it may. Call again after RetryInfo's delay, or ask GetStatus.",
    )
    DEPENDENCY_UNAVAILABLE = (
        grpc.StatusCode.UNAVAILABLE,
        "The database or the queue did not answer. A submit may still run: repeat it under the same request_id.",
    )
    SEARCH_UNAVAILABLE = (
        grpc.StatusCode.UNAVAILABLE,
        "The search engine did not answer, which no other call needs. Search again after RetryInfo's delay.",
    )
    SEARCH_NOT_CONFIGURED = (
        grpc.StatusCode.UNIMPLEMENTED,
        "This installation has no search engine.",
    )
    SERVER_DRAINING = (
        grpc.StatusCode.UNAVAILABLE,
        "The server is about to end. Call again after RetryInfo's delay; another one answers.",
    )
    INTERNAL = (
        grpc.StatusCode.INTERNAL,
        "A fault of the server, which it has logged.",
    )

    def __init__(self, code: grpc.StatusCode, description: str) -> None:
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class RpcError:
    """How a call ends. `retry_after` is in seconds."""

    reason: Reason
    message: str
    retry_after: float | None = None
    violations: tuple[FieldViolation, ...] = ()


def rpc_error(error: BaseException) -> RpcError:  # noqa: C901, PLR0911  a map, one line an error
    """What the caller is told. Neither our own addresses nor an unforeseen error's text get out."""
    match error:
        case InvalidRequest():
            return RpcError(Reason.INVALID_REQUEST, str(error), violations=error.violations)
        case RequestIdReused():
            return RpcError(Reason.REQUEST_ID_REUSED, str(error))
        case RequestNotFound():
            return RpcError(Reason.REQUEST_NOT_FOUND, str(error))
        case ImageNotFound():
            return RpcError(Reason.IMAGE_NOT_FOUND, str(error))
        case TooManyWatched():
            return RpcError(Reason.TOO_MANY_WATCHED, str(error), error.retry_after)
        case Overloaded():
            return RpcError(Reason.OVERLOADED, str(error), error.retry_after)
        case ServerDraining():
            return RpcError(Reason.SERVER_DRAINING, str(error), _RETRY_AFTER_S)
        case SearchNotConfigured():
            return RpcError(Reason.SEARCH_NOT_CONFIGURED, "This installation has no search engine.")
        case SearchUnavailable():
            message = "The search engine did not answer. No other call needs it."
            return RpcError(Reason.SEARCH_UNAVAILABLE, message, _RETRY_AFTER_S)
        case DependencyUnavailable():
            message = "The database or the queue did not answer."
            return RpcError(Reason.DEPENDENCY_UNAVAILABLE, message, _RETRY_AFTER_S)
        case _:
            return RpcError(Reason.INTERNAL, "A fault of the server.")


def status_of(error: RpcError) -> grpc.Status:
    """The status with its google.rpc details, as the contract promises them."""
    details: list[Message] = [ErrorInfo(reason=error.reason.name, domain=DOMAIN)]
    if error.violations:
        fields = [
            BadRequest.FieldViolation(field=fault.field, description=fault.description)
            for fault in error.violations
        ]
        details.append(BadRequest(field_violations=fields))
    if error.retry_after is not None:
        details.append(RetryInfo(retry_delay=timedelta(seconds=error.retry_after)))
    status = Status(
        code=error.reason.code.value[0],
        message=error.message,
        details=[_packed(detail) for detail in details],
    )
    return rpc_status.to_status(status)


def item_error(error: RpcError) -> pb.SubmitImagesError:
    """What a stream says of one item: the same as `status_of`, in a message of the contract."""
    message = pb.SubmitImagesError(
        code=error.reason.code.value[0],
        reason=error.reason.name,
        message=error.message,
        field_violations=[
            pb.FieldViolation(field=fault.field, description=fault.description)
            for fault in error.violations
        ],
    )
    if error.retry_after is not None:
        message.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after))
    return message


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
