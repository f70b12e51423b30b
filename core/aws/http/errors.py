"""Converts error responses to the SDK's exceptions."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from botocore.exceptions import ClientError

_OK = 200

# The SDK's standard retry mode ("Retry behavior", AWS SDKs and Tools Reference Guide).
REPEATED_STATUSES = frozenset({500, 502, 503, 504})
_THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_TRANSIENT_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})


class RetryableError(ClientError):
    """The same request may succeed soon: the service had an internal error, or throttled it."""


class ThrottledError(RetryableError):
    """The service received too many requests."""


def raise_for_json(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise the ClientError of an AWS JSON response; return on success."""
    if status == _OK:
        return
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        error = {}
    if not isinstance(error, dict):
        error = {}
    # SQS sends the codes of its older protocol in this header, as "code;Sender".
    code = headers.get("x-amzn-query-error", "").partition(";")[0] or _short(
        str(error.get("__type") or error.get("code") or status)
    )
    message = error.get("message", error.get("Message", ""))
    _raise(operation, status, code, str(message))


def raise_for_xml(operation: str, status: int, body: bytes) -> None:
    """Raise the ClientError of an S3 or SNS response; return on success."""
    if status != _OK:
        message = _element("Message", body.decode(errors="replace"))
        _raise(operation, status, error_code(status, body), message)


def error_code(status: int, body: bytes) -> str:
    """Return the error code of an S3 or SNS response; the status without a code; an empty string on success."""
    if status == _OK:
        return ""
    return _element("Code", body.decode(errors="replace")) or str(status)


def _raise(operation: str, status: int, code: str, message: str) -> None:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    if code in _THROTTLES:
        raise ThrottledError(response, operation)
    if status in REPEATED_STATUSES or code in _TRANSIENT_CODES:
        raise RetryableError(response, operation)
    raise ClientError(response, operation)


def _short(code: str) -> str:
    """Shorten `com.amazonaws.dynamodb.v20120810#ValidationException:https://…` to ValidationException."""
    return code.partition(":")[0].rpartition("#")[2]


def _element(name: str, text: str) -> str:
    # The error documents are flat, and only read for a code and a message.
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found[1] if found else ""
