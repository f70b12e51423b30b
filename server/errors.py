"""Errors of the server, and the only mapping of errors to gRPC status."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import grpc
from google.protobuf.any import pack
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

DOMAIN = "imageservice"
MAX_VIOLATIONS = 10
"""gRPC allows 8 KiB of trailers; with more violations the caller could get another error instead."""

_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """`field` is the path within the message, for example `request_ids[3]`."""

    field: str
    description: str


class InvalidRequest(ImageServiceError):
    """The message violates the contract's limits. Contains the first MAX_VIOLATIONS violations."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        listed = violations[:MAX_VIOLATIONS]
        text = "; ".join(f"{each.field}: {each.description}" for each in listed)
        more = len(violations) - len(listed)
        super().__init__(f"{text}; and {more} more" if more else text)
        self.violations = listed


class ServerDraining(ImageServiceError):
    """This process shuts down; the caller should retry on another one."""


class TooManyWatched(Overloaded):
    """The process has reached MAX_WATCHED_REQUESTS."""


class Reason(Enum):
    """The reasons in ErrorInfo, each with its status code and its meaning for the caller."""

    INVALID_REQUEST = (
        grpc.StatusCode.INVALID_ARGUMENT,
        "The message violates the contract; BadRequest lists each field. A retry cannot succeed.",
    )
    REQUEST_ID_REUSED = (
        grpc.StatusCode.ALREADY_EXISTS,
        "The request_id was accepted before with other content. Choose a new id.",
    )
    REQUEST_NOT_FOUND = (
        grpc.StatusCode.NOT_FOUND,
        "No request has this id, or its record has expired.",
    )
    IMAGE_NOT_FOUND = (
        grpc.StatusCode.NOT_FOUND,
        "No image has this id. GetStatus returns the state of the request.",
    )
    OVERLOADED = (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "The server has reached its limit of calls in progress. Retry after the delay in RetryInfo.",
    )
    TOO_MANY_WATCHED = (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "The server has reached its limit of watched requests. Retry after the delay in RetryInfo, or call GetStatus.",
    )
    DEPENDENCY_UNAVAILABLE = (
        grpc.StatusCode.UNAVAILABLE,
        "The database or the queue did not answer. A submit may still succeed: retry it with the same request_id.",
    )
    SEARCH_UNAVAILABLE = (
        grpc.StatusCode.UNAVAILABLE,
        "The search engine did not answer; other calls do not use it. Retry after the delay in RetryInfo.",
    )
    SEARCH_NOT_CONFIGURED = (
        grpc.StatusCode.UNIMPLEMENTED,
        "This installation has no search engine.",
    )
    SERVER_DRAINING = (
        grpc.StatusCode.UNAVAILABLE,
        "The server shuts down. Retry after the delay in RetryInfo; another server answers.",
    )
    INTERNAL = (
        grpc.StatusCode.INTERNAL,
        "An internal error of the server, which it has logged.",
    )

    def __init__(self, code: grpc.StatusCode, description: str) -> None:
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class RpcError:
    """An error as the caller gets it. `retry_after` is in seconds."""

    reason: Reason
    message: str
    retry_after: float | None = None
    violations: tuple[FieldViolation, ...] = ()


def to_rpc_error(error: BaseException) -> RpcError:  # noqa: C901, PLR0911  a map, one line an error
    """Map an error. The result contains no internal address, and no text of an unexpected error."""
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
            message = "The search engine did not answer. Other calls do not use it."
            return RpcError(Reason.SEARCH_UNAVAILABLE, message, _RETRY_AFTER_S)
        case DependencyUnavailable():
            message = "The database or the queue did not answer."
            return RpcError(Reason.DEPENDENCY_UNAVAILABLE, message, _RETRY_AFTER_S)
        case _:
            return RpcError(Reason.INTERNAL, "An internal error of the server.")


def to_status(error: RpcError) -> grpc.Status:
    """Return the status with the google.rpc details that the contract specifies."""
    details: list[Message] = [ErrorInfo(reason=error.reason.name, domain=DOMAIN)]
    if error.violations:
        fields = [
            BadRequest.FieldViolation(field=each.field, description=each.description)
            for each in error.violations
        ]
        details.append(BadRequest(field_violations=fields))
    if error.retry_after is not None:
        details.append(RetryInfo(retry_delay=timedelta(seconds=error.retry_after)))
    status = Status(
        code=error.reason.code.value[0],
        message=error.message,
        details=[pack(detail) for detail in details],
    )
    return rpc_status.to_status(status)


def to_item_error(error: RpcError) -> pb.SubmitImagesError:
    """Return the content of `to_status` as the error of one item of a stream."""
    message = pb.SubmitImagesError(
        code=error.reason.code.value[0],
        reason=error.reason.name,
        message=error.message,
        field_violations=[
            pb.FieldViolation(field=each.field, description=each.description)
            for each in error.violations
        ],
    )
    if error.retry_after is not None:
        message.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after))
    return message
