"""Fetches `s3://` URLs with the consumer's role, from the buckets and prefixes that the operator allows."""

from collections.abc import Callable, Mapping
from functools import lru_cache

from multidict import MultiMapping

from consumer.fetching.body_budget import BodyBudget
from consumer.fetching.fetcher import FetchResult
from consumer.fetching.hop_headers import Validator
from consumer.fetching.http.content_codings import BodyDecoder, decoding_bytes, parse_codings
from consumer.fetching.http.response import parse_content_length, read_provenance
from core.answers import member
from core.aws.client import call
from core.aws.http import ObjectStore
from core.errors import DependencyUnavailable, NotFound, OriginError, OriginRefused, Timeout
from core.model.object_url import ObjectUrl, parse_object_url
from core.model.origin_url import InvalidOriginUrl
from core.runtime.deadline import Deadline

AllowsObject = Callable[[str, str, str], bool]
"""Returns whether a customer may fetch an object: bucket, key, customer id."""

_OK = 200
_OPEN_BUCKETS = 64
_NO_ETAG = '"-"'
"""The ETag of no object: S3's are hexadecimal numbers. So the answer has no body, whose size would not be known."""


class ObjectOrigin:
    """The buckets as an origin. An outage of a bucket is the origin's: it must not stop images from elsewhere.

    max_bytes: of a body. timeout: seconds for both calls; waiting for memory does not count.
    """

    def __init__(
        self,
        open_bucket: Callable[[str], ObjectStore],
        allows: AllowsObject,
        *,
        max_bytes: int,
        timeout: float,
    ) -> None:
        self._open_bucket = lru_cache(maxsize=_OPEN_BUCKETS)(open_bucket)
        self._allows = allows
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._decoder = BodyDecoder()

    def close(self) -> None:
        self._decoder.close()

    async def fetch(
        self, url: str, customer_id: str, validator: Validator | None, budget: BodyBudget
    ) -> FetchResult:
        """Make one attempt. Raises ImageFailure, or DependencyUnavailable if S3 does not accept our credentials.

        A customer cannot tell a bucket that is not allowed from one that does not exist: no call is made for either.
        """
        try:
            source = parse_object_url(url)
        except InvalidOriginUrl as fault:
            raise OriginRefused(str(fault)) from fault
        if not self._allows(source.bucket, source.key, customer_id):
            raise OriginRefused(operator_detail="no entry of CREDENTIALS_FILE allows this object")
        objects = self._open_bucket(source.bucket)
        try:
            with Deadline(self._timeout) as deadline:
                head = await self._read_head(objects, source)
                provenance = read_provenance(head)
                if validator is not None and validator.etag and validator.etag == provenance.etag:
                    return FetchResult(b"", provenance, modified=False)
                size, codings = parse_content_length(head, self._max_bytes), parse_codings(head)
                decoding = decoding_bytes(codings, size, self._max_bytes) if codings else 0
                reservation = budget.reserve(size, customer_id, decoding=decoding)
                with deadline.paused():
                    await reservation.acquire()
                try:
                    body = await self._read_body(objects, source, head["ETag"], codings, deadline)
                except BaseException:
                    reservation.shrink(0)
                    raise
        except TimeoutError:
            raise Timeout from None
        reservation.shrink(len(body))
        return FetchResult(body, provenance, reservation)

    async def _read_head(self, objects: ObjectStore, source: ObjectUrl) -> MultiMapping[str]:
        try:
            status, head = await call(
                "s3:HeadObject", objects.head_object(source.key), _decode_head
            )
        except DependencyUnavailable as error:
            raise OriginError(operator_detail=str(error)) from error
        match status:
            case 200:
                return head
            case 404:
                raise NotFound
            case 403:
                # The answer to a HEAD has no body, and so no code. It is our fault if S3 rejects the credentials.
                await call(
                    "s3:GetObject", objects.get_object(source.key, if_match=_NO_ETAG), _ignore
                )
                raise OriginRefused(operator_detail="the consumer's role may not read the object")
            case _:
                # 301: the bucket is in another region. 400: the object is encrypted with a customer's key.
                raise OriginRefused(operator_detail=f"S3 answered {status}")

    async def _read_body(
        self,
        objects: ObjectStore,
        source: ObjectUrl,
        etag: str,
        codings: tuple[str, ...],
        deadline: Deadline,
    ) -> bytes:
        """Return the body of the version whose size was read; no other could exceed the reservation.

        Programs that upload compressed files say so in the object's metadata.
        """
        if not codings:
            return await _read_version(objects, source, etag)
        coded = [await _read_version(objects, source, etag)]
        with deadline.paused():
            return await self._decoder.decode(coded, codings, self._max_bytes)


async def _read_version(objects: ObjectStore, source: ObjectUrl, etag: str) -> bytes:
    try:
        answer = await call(
            "s3:GetObject", objects.get_object(source.key, if_match=etag), _decode_body
        )
    except DependencyUnavailable as error:
        raise OriginError(operator_detail=str(error)) from error
    if answer is None:
        raise OriginError(operator_detail="the object changed while it was read")
    return answer


def _decode_head(answer: tuple[int, MultiMapping[str]]) -> tuple[int, MultiMapping[str]]:
    """Decode a HeadObject: an object of S3 has an ETag and a length."""
    status, head = answer
    if status == _OK:
        member(head, "ETag", str)
        member(head, "Content-Length", str)
    return answer


def _decode_body(answer: tuple[Mapping[str, str], bytes] | None) -> bytes | None:
    return None if answer is None else answer[1]


def _ignore(_answer: object) -> None:
    """Decode a GetObject of which only the error matters."""
