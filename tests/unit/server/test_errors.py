"""Mapping of errors to gRPC status."""

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from core.errors import (
    DependencyUnavailable,
    ImageNotFound,
    Overloaded,
    RequestIdReused,
    RequestNotFound,
    SearchNotConfigured,
    SearchUnavailable,
)
from server.errors import (
    FieldViolation,
    InvalidRequest,
    Reason,
    ServerDraining,
    TooManyWatched,
    to_rpc_error,
    to_status,
)

SECRET = "http://10.0.0.1:4566 AKIASECRET"
ERRORS: list[tuple[Exception, Reason, grpc.StatusCode, float | None]] = [
    (
        InvalidRequest((FieldViolation("url", "no"), FieldViolation("labels", "too many"))),
        Reason.INVALID_REQUEST,
        grpc.StatusCode.INVALID_ARGUMENT,
        None,
    ),
    (RequestIdReused(), Reason.REQUEST_ID_REUSED, grpc.StatusCode.ALREADY_EXISTS, None),
    (RequestNotFound(), Reason.REQUEST_NOT_FOUND, grpc.StatusCode.NOT_FOUND, None),
    (ImageNotFound(), Reason.IMAGE_NOT_FOUND, grpc.StatusCode.NOT_FOUND, None),
    (
        Overloaded("full", retry_after=2.5),
        Reason.OVERLOADED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        2.5,
    ),
    (
        TooManyWatched("full", retry_after=4),
        Reason.TOO_MANY_WATCHED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        4,
    ),
    (
        DependencyUnavailable(SECRET),
        Reason.DEPENDENCY_UNAVAILABLE,
        grpc.StatusCode.UNAVAILABLE,
        1,
    ),
    (SearchUnavailable(SECRET), Reason.SEARCH_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE, 1),
    (SearchNotConfigured(), Reason.SEARCH_NOT_CONFIGURED, grpc.StatusCode.UNIMPLEMENTED, None),
    (ServerDraining(), Reason.SERVER_DRAINING, grpc.StatusCode.UNAVAILABLE, 1),
    (ZeroDivisionError(SECRET), Reason.INTERNAL, grpc.StatusCode.INTERNAL, None),
]


def rich_status(error: Exception) -> Status:
    metadata = to_status(to_rpc_error(error)).trailing_metadata
    assert metadata is not None
    values = {key: value for key, value in metadata}  # noqa: C416  a Metadatum is a pair by iteration only
    return Status.FromString(values["grpc-status-details-bin"])


@pytest.mark.parametrize(("error", "reason", "code", "retry_after"), ERRORS)
def test_an_error_has_its_reason(
    error: Exception, reason: Reason, code: grpc.StatusCode, retry_after: float | None
) -> None:
    """Code, reason and domain follow from the error. There is a retry delay if a retry can succeed."""
    status = rich_status(error)
    assert status.code == code.value[0]
    assert to_status(to_rpc_error(error)).code is code
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (reason.name, "imageservice")
    delays = [detail.Unpack(retry) and retry.retry_delay.ToTimedelta() for detail in status.details]
    delays_s = [delay.total_seconds() for delay in delays if delay]
    assert delays_s == ([] if retry_after is None else [retry_after])


def test_violations_are_listed_by_field() -> None:
    """INVALID_ARGUMENT contains each invalid field with a description."""
    bad = BadRequest()
    assert any(detail.Unpack(bad) for detail in rich_status(ERRORS[0][0]).details)
    assert [(violation.field, violation.description) for violation in bad.field_violations] == [
        ("url", "no"),
        ("labels", "too many"),
    ]


def test_internal_details_are_not_sent() -> None:
    """The text of an unexpected error, or of a dependency's error, is not sent to callers."""
    for error, *_ in ERRORS:
        assert SECRET not in str(rich_status(error))


def test_every_reason_is_used_and_described() -> None:
    """The documented list of reasons is complete."""
    assert {reason for _, reason, *_ in ERRORS} == set(Reason)
    assert all(reason.description.endswith(".") for reason in Reason)
