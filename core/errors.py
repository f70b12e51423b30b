"""Everything that can go wrong, split first by what the caller does about it.

    ImageServiceError
    ├── ImageFailure                the image's or its origin's fault; ends as a failure code
    │   ├── PermanentFailure        asking again cannot help
    │   │     BlockedAddress, TlsFailed, NotFound, OriginRefused, TooManyRedirects, BadRedirect, TooLarge,
    │   │     NotAnImage, UnsupportedFormat, CorruptImage, TooManyPixels, LocationNotRemovable,
    │   │     Crashed, Undeliverable
    │   └── TransientFailure        asking again may help, within the attempts
    │         DnsFailed, ConnectFailed, Timeout, TooSlow, RateLimited, OriginError, BadResponse, Internal
    ├── DependencyUnavailable       one of our own AWS services is down; never the customer's fault
    │     SearchUnavailable         the search engine is, which concerns searches alone
    ├── RequestRejected             AWS refused a call for what it says: a fault of our code or an outsized item
    ├── MalformedRow                a row of a table that no version of this system wrote
    ├── Overloaded                  a bounded list is full; the caller comes back later
    ├── RequestIdReused             the id was accepted with another content
    ├── RequestNotFound             no such request
    ├── ImageNotFound               no such image
    └── SearchNotConfigured         this installation has no search engine

Each failure owns its code (the metric label, and the contract's FailureCode by name) and a sentence for the
customer. Neither names addresses, credentials or internals of ours.
"""

from enum import StrEnum
from typing import ClassVar


class FailureCode(StrEnum):
    """Why a request FAILED. The names are those of the contract, less the prefix FAILURE_CODE_."""

    BLOCKED_ADDRESS = "BLOCKED_ADDRESS"
    DNS_FAILED = "DNS_FAILED"
    CONNECT_FAILED = "CONNECT_FAILED"
    TLS_FAILED = "TLS_FAILED"
    TIMEOUT = "TIMEOUT"
    TOO_SLOW = "TOO_SLOW"
    NOT_FOUND = "NOT_FOUND"
    ORIGIN_REFUSED = "ORIGIN_REFUSED"
    RATE_LIMITED = "RATE_LIMITED"
    ORIGIN_ERROR = "ORIGIN_ERROR"
    TOO_MANY_REDIRECTS = "TOO_MANY_REDIRECTS"
    BAD_REDIRECT = "BAD_REDIRECT"
    TOO_LARGE = "TOO_LARGE"
    BAD_RESPONSE = "BAD_RESPONSE"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    CORRUPT_IMAGE = "CORRUPT_IMAGE"
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"
    LOCATION_NOT_REMOVABLE = "LOCATION_NOT_REMOVABLE"
    CRASHED = "CRASHED"
    UNDELIVERABLE = "UNDELIVERABLE"
    INTERNAL = "INTERNAL"


class ImageServiceError(Exception):
    """Root of the tree."""


class ImageFailure(ImageServiceError):
    """The image cannot be had. `str()` is the customer's sentence."""

    code: ClassVar[FailureCode]
    summary: ClassVar[str]

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        """`detail` is added to the summary; `retry_after` is what the origin asked for, in seconds."""
        super().__init__(f"{self.summary}: {detail}" if detail else self.summary)
        self.retry_after = retry_after


class PermanentFailure(ImageFailure):
    """Asking again cannot help."""


class TransientFailure(ImageFailure):
    """Asking again may help."""


class BlockedAddress(PermanentFailure):
    code = FailureCode.BLOCKED_ADDRESS
    summary = "The address is in a network that this service does not talk to"


class TlsFailed(PermanentFailure):
    code = FailureCode.TLS_FAILED
    summary = "The origin's certificate is not valid"


class NotFound(PermanentFailure):
    code = FailureCode.NOT_FOUND
    summary = "The origin says that there is nothing at this URL"


class OriginRefused(PermanentFailure):
    code = FailureCode.ORIGIN_REFUSED
    summary = "The origin refused the request"


class TooManyRedirects(PermanentFailure):
    code = FailureCode.TOO_MANY_REDIRECTS
    summary = "The URL leads through too many redirects"


class BadRedirect(PermanentFailure):
    code = FailureCode.BAD_REDIRECT
    summary = "The origin redirects to an address that cannot be followed"


class TooLarge(PermanentFailure):
    code = FailureCode.TOO_LARGE
    summary = "The body is larger than the limit"


class NotAnImage(PermanentFailure):
    code = FailureCode.NOT_AN_IMAGE
    summary = "The body is not an image"


class UnsupportedFormat(PermanentFailure):
    code = FailureCode.UNSUPPORTED_FORMAT
    summary = "The image's format is not accepted"


class CorruptImage(PermanentFailure):
    code = FailureCode.CORRUPT_IMAGE
    summary = "The image does not decode to its end"


class TooManyPixels(PermanentFailure):
    code = FailureCode.TOO_MANY_PIXELS
    summary = "The image has more pixels than the limit"


class LocationNotRemovable(PermanentFailure):
    code = FailureCode.LOCATION_NOT_REMOVABLE
    summary = "The image contains the location where it was taken, which could not be removed"


class Crashed(PermanentFailure):
    code = FailureCode.CRASHED
    summary = "Processing this image crashed at every attempt"


class Undeliverable(PermanentFailure):
    code = FailureCode.UNDELIVERABLE
    summary = "The request was taken up too often without reaching an end"


class DnsFailed(TransientFailure):
    code = FailureCode.DNS_FAILED
    summary = "The host's name could not be resolved"


class ConnectFailed(TransientFailure):
    code = FailureCode.CONNECT_FAILED
    summary = "The connection to the origin failed"


class Timeout(TransientFailure):
    code = FailureCode.TIMEOUT
    summary = "The origin took too long"


class TooSlow(TransientFailure):
    code = FailureCode.TOO_SLOW
    summary = "The origin sent slower than the minimum rate"


class RateLimited(TransientFailure):
    code = FailureCode.RATE_LIMITED
    summary = "The origin asks for fewer requests"


class OriginError(TransientFailure):
    code = FailureCode.ORIGIN_ERROR
    summary = "The origin answered with an error"


class BadResponse(TransientFailure):
    code = FailureCode.BAD_RESPONSE
    summary = "The origin's answer is not as asked for"


class Internal(TransientFailure):
    code = FailureCode.INTERNAL
    summary = "A fault of this service"


class DependencyUnavailable(ImageServiceError):
    """One of our own AWS services cannot be reached, throttles, or refuses us."""


class SearchUnavailable(DependencyUnavailable):
    """The search engine does not answer, or is known not to. Nothing but searches and the index waits for it."""


class RequestRejected(ImageServiceError):
    """AWS refused a call for what it says (a 400 that is no throttle). `code` is the service's error code."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.code = code


class MalformedRow(ImageServiceError):
    """No version of this system wrote this row. `key` is the value of its key."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"row {key}: {reason}")
        self.key = key


class Overloaded(ImageServiceError):
    """A bounded list is full. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RequestIdReused(ImageServiceError):
    """The id was accepted before with another content."""


class RequestNotFound(ImageServiceError):
    """No request bears this id."""


class ImageNotFound(ImageServiceError):
    """No image bears this id."""


class SearchNotConfigured(ImageServiceError):
    """This installation has no search engine."""


# Failure codes as people give them.


def parse_failure_code(text: str) -> FailureCode:
    """In any case. Raises ValueError, whose text lists the codes that there are."""
    try:
        return FailureCode(text.upper())
    except ValueError:
        known = ", ".join(sorted(FailureCode))
        raise ValueError(f"{text} is no failure code; there are {known}") from None
