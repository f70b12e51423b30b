"""The tree of errors, divided by what the caller does about them.

    ImageServiceError
    ├── ImageFailure                a fault of the image or its origin; becomes a failure code
    │   ├── PermanentFailure        a retry cannot help
    │   │     BlockedAddress, TlsFailed, NotFound, OriginRefused, TooManyRedirects, BadRedirect, TooLarge,
    │   │     BadResponse, NotAnImage, UnsupportedFormat, CorruptImage, TooManyPixels, LocationNotRemovable,
    │   │     DecodeLimit, Crashed, Undeliverable, Expired, OptedOut
    │   └── TransientFailure        a retry may help, up to the limit of attempts
    │         DnsFailed, ConnectFailed, Timeout, TooSlow, RateLimited, OriginError, BrokenResponse, Internal
    ├── DependencyUnavailable       an AWS service of this installation is down; never the customer's fault
    │     SearchUnavailable         the search engine is down, which affects only searches
    ├── RequestRejected             AWS rejected a call for its content: a bug, or an item that is too large
    ├── MalformedRow                a row of a table that no version of this system wrote
    ├── Overloaded                  a bounded queue is full; the caller retries later
    ├── RequestIdReused             the id was accepted with different content
    ├── RequestNotFound             no such request
    ├── ImageNotFound               no such image
    └── SearchNotConfigured         this installation has no search engine

Each failure has its code (the metric label, and by name the contract's FailureCode) and a sentence for the customer.
Neither contains addresses, credentials or internal names.
"""

from enum import StrEnum
from typing import ClassVar


class FailureCode(StrEnum):
    """Why a request FAILED. The contract has the same names with the prefix FAILURE_CODE_."""

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
    DECODE_LIMIT = "DECODE_LIMIT"
    CRASHED = "CRASHED"
    UNDELIVERABLE = "UNDELIVERABLE"
    EXPIRED = "EXPIRED"
    OPTED_OUT = "OPTED_OUT"
    INTERNAL = "INTERNAL"

    @classmethod
    def parse(cls, text: str) -> "FailureCode":
        """Return the code of this name, in upper or lower case. Raises ValueError, whose text lists all codes."""
        try:
            return cls(text.upper())
        except ValueError:
            known = ", ".join(sorted(cls))
            raise ValueError(f"{text} is not a failure code; the codes are {known}") from None


class ImageServiceError(Exception):
    """Root of the tree."""

    def forget_frames(self) -> None:
        """Drop the tracebacks of this error and of its causes.

        An error holds its frames, and they hold the values of their variables, such as the body of an image. So a kept
        error would keep the body in memory.
        """
        error: BaseException | None = self
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__


class ImageFailure(ImageServiceError):
    """The image cannot be published. `str()` is the sentence for the customer."""

    code: ClassVar[FailureCode]
    summary: ClassVar[str]

    def __init__(
        self, detail: str = "", *, retry_after: float | None = None, operator_detail: str = ""
    ) -> None:
        """`detail` is appended to the summary; `retry_after` is the origin's Retry-After, in seconds.

        `operator_detail` is for the log only. It may name internal networks, so customers never see it.
        """
        super().__init__(f"{self.summary}: {detail}" if detail else self.summary)
        self.detail = detail
        self.retry_after = retry_after
        self.operator_detail = operator_detail


class PermanentFailure(ImageFailure):
    """A retry cannot help."""


class TransientFailure(ImageFailure):
    """A retry may help."""


class BlockedAddress(PermanentFailure):
    """The URL, or that of a redirect, has the address itself. See DnsFailed for names."""

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


class BadResponse(PermanentFailure):
    """The origin would give the same answer to a repeated request; compare BrokenResponse."""

    code = FailureCode.BAD_RESPONSE
    summary = "The origin's answer cannot be used"


class NotAnImage(PermanentFailure):
    code = FailureCode.NOT_AN_IMAGE
    summary = "The body is not an image"


class UnsupportedFormat(PermanentFailure):
    code = FailureCode.UNSUPPORTED_FORMAT
    summary = "The image's format is not accepted"


class CorruptImage(PermanentFailure):
    code = FailureCode.CORRUPT_IMAGE
    summary = "The image is damaged"


class TooManyPixels(PermanentFailure):
    code = FailureCode.TOO_MANY_PIXELS
    summary = "The image has more pixels than the limit"


class LocationNotRemovable(PermanentFailure):
    code = FailureCode.LOCATION_NOT_REMOVABLE
    summary = "The image contains the location where it was taken, which could not be removed"


class DecodeLimit(PermanentFailure):
    code = FailureCode.DECODE_LIMIT
    summary = "Decoding the image exceeds a limit of time or memory"


class Crashed(PermanentFailure):
    code = FailureCode.CRASHED
    summary = "Decoding this image crashed repeatedly"


class Undeliverable(PermanentFailure):
    code = FailureCode.UNDELIVERABLE
    summary = "The request was received too often without an outcome"


class Expired(PermanentFailure):
    code = FailureCode.EXPIRED
    summary = "The image was not fetched before the time given as not_after"


class OptedOut(PermanentFailure):
    code = FailureCode.OPTED_OUT
    summary = "The origin does not allow this use of the image (X-Robots-Tag)"


class DnsFailed(TransientFailure):
    """The name does not exist, or leads only to addresses that are blocked.

    Customers cannot tell the two apart. Otherwise they could find the internal names of the installation.
    """

    code = FailureCode.DNS_FAILED
    summary = "The host's name could not be resolved to a public address"


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


class BrokenResponse(TransientFailure):
    code = FailureCode.BAD_RESPONSE
    summary = "The origin's answer is incomplete or damaged"


class Internal(TransientFailure):
    code = FailureCode.INTERNAL
    summary = "A fault of this service"


class DependencyUnavailable(ImageServiceError):
    """An AWS service of this installation is unreachable, throttles, denies access, or gives a malformed answer."""


class SearchUnavailable(DependencyUnavailable):
    """The search engine does not answer, or its circuit breaker is open. Only searches and the index depend on it."""


class RequestRejected(ImageServiceError):
    """AWS rejected a call for its content (a 400 that is no throttling). `code` is the service's error code."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.code = code


class MalformedRow(ImageServiceError):
    """No version of this system wrote this row. `key` is the value of its key."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"row {key}: {reason}")
        self.key = key


class Overloaded(ImageServiceError):
    """A bounded queue is full. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RequestIdReused(ImageServiceError):
    """The id was accepted before with different content."""


class RequestNotFound(ImageServiceError):
    """No request has this id."""


class ImageNotFound(ImageServiceError):
    """No image has this id."""


class SearchNotConfigured(ImageServiceError):
    """This installation has no search engine."""
