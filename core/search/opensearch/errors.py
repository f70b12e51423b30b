"""Errors of calls to OpenSearch. Pure."""

import orjson
from botocore.exceptions import BotoCoreError
from opensearchpy import OpenSearchException, TransportError

from core.answers import SHAPE_ERRORS, MalformedAnswer
from core.errors import SearchUnavailable

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_MAX_REASON = 300
"""Characters."""
_UNREACHABLE = (TransportError, BotoCoreError, OSError)


class SearchRejected(SearchUnavailable):
    """OpenSearch answered that it will not do this: the call or the installation is at fault, not its health."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SearchUnreachable(SearchUnavailable):
    """OpenSearch cannot be called: nothing listens at the URL, or there are no credentials."""


CALL_ERRORS = (OpenSearchException, MalformedAnswer, BotoCoreError, OSError, TimeoutError)


def to_search_error(operation: str, error: Exception) -> SearchUnavailable:
    status = error.status_code if isinstance(error, TransportError) else None
    if not isinstance(status, int):
        # The text of a TimeoutError is empty.
        message = f"{operation}: {str(error) or type(error).__name__}"
        if isinstance(error, _UNREACHABLE) and not isinstance(error, TimeoutError):
            return SearchUnreachable(message)
        return SearchUnavailable(message)
    message = f"{operation}: {status} {_reason(str(error.args[1]))}"
    if status < _SERVER_ERROR and status != _TOO_MANY_REQUESTS:
        return SearchRejected(message, status)
    return SearchUnavailable(message)


def _reason(answer: str) -> str:
    """Return the engine's reason, or the start of the text that a proxy in between answered."""
    try:
        error = orjson.loads(answer)["error"]
        (cause, *_) = error.get("root_cause") or [error]
        return f"{cause['type']}: {cause['reason']}"[:_MAX_REASON]
    except SHAPE_ERRORS:
        return answer[:_MAX_REASON]
