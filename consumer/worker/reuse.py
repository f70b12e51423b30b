"""Finds the image of an earlier fetch of a URL, for requests with reuse_within, and records fetches for later ones.

Only such requests read or write records: five calls at most, which share batches with those of other requests.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from consumer.byte_budget import Reservation
from consumer.fetching.hop_headers import Validator
from consumer.worker.storage import ImageStorage
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, RequestRejected
from core.model.image import ImageRecord, is_published
from core.model.message import ImageMessage
from core.model.origin_url import InvalidOriginUrl, parse_origin_url
from core.model.reuse import FetchRecord

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reusable:
    """A published image of the same customer and URL, whose object exists."""

    image: ImageRecord
    fetch: FetchRecord

    def validator(self, url: str) -> Validator | None:
        """Return the condition under which the origin need not send the image again; None if it has sent no version."""
        origin = self.image.provenance
        if not (origin.etag or origin.last_modified):
            return None
        return Validator(origin.final_url or _request_url(url), origin.etag, origin.last_modified)


class ImageReuse:
    """`rules` are those of this process (ImagePolicy.rules). `reserve_body` reserves memory for a customer's body."""

    def __init__(
        self,
        tables: Tables,
        storage: ImageStorage,
        *,
        rules: str,
        reserve_body: Callable[[int, str], Reservation],
    ) -> None:
        self._tables = tables
        self._storage = storage
        self._rules = rules
        self._reserve_body = reserve_body

    async def find(self, message: ImageMessage) -> Reusable | None:
        """Return the image of the last fetch, if it can be published again. Raises as Tables and ImageStorage."""
        fetch = await self._tables.read_fetch(message.customer_id, message.url)
        if fetch is None or fetch.rules != self._rules:
            return None
        image = await self._tables.read_image_by_id(fetch.image_id)
        if image is None or image.customer_id != message.customer_id:
            return None
        request = await self._tables.read_request(image.request_id)
        if not is_published(image, request) or not await self._has_object(image):
            return None
        return Reusable(image, fetch)

    async def record(self, message: ImageMessage, image_id: str, fetched_at: int) -> None:
        """Record a fetch, whose image is about to be published. A lost record costs a fetch, so no error is raised."""
        fetch = FetchRecord(image_id, fetched_at, self._rules)
        try:
            await self._tables.record_fetch(message.customer_id, message.url, fetch)
        except (DependencyUnavailable, RequestRejected) as error:
            _log.warning("fetch not recorded", request_id=message.request_id, error=str(error))

    async def _has_object(self, image: ImageRecord) -> bool:
        async with self._reserve_body(image.metadata.bytes, image.customer_id):
            return await self._storage.load(image) is not None


def _request_url(url: str) -> str:
    with contextlib.suppress(InvalidOriginUrl):
        return parse_origin_url(url).request_url
    return url
