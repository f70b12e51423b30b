"""Answers which renditions exist, and sends a message to make the others."""

import asyncio
from collections.abc import Sequence

from core.dynamodb.tables import Tables
from core.errors import ImageNotFound
from core.model.image import is_published
from core.model.message import renditions_message
from core.model.rendition import Presets
from imageservice.v1 import image_service_pb2 as pb
from server.capacity import Capacity
from server.converters import to_rendition_message
from server.lanes.selector import LaneSelector


class RenditionCreator:
    """`public_base_url` ends with a slash."""

    def __init__(
        self,
        tables: Tables,
        lanes: LaneSelector,
        capacity: Capacity,
        presets: Presets,
        public_base_url: str,
    ) -> None:
        """`capacity` is that of submits: a message of renditions counts as one."""
        self._tables = tables
        self._lanes = lanes
        self._capacity = capacity
        self._presets = presets
        self._public_base_url = public_base_url

    async def create(self, image_id: str, names: Sequence[str]) -> pb.CreateRenditionsResponse:
        """`names` are presets of this installation. Raises ImageNotFound, Overloaded or DependencyUnavailable.

        It costs three read units, and one message if a rendition is missing.
        """
        image, existing = await asyncio.gather(
            self._tables.read_image_by_id(image_id), self._tables.read_renditions(image_id)
        )
        request = None if image is None else await self._tables.read_request(image.request_id)
        if image is None or not is_published(image, request):
            raise ImageNotFound(f"There is no image {image_id}.")
        made = {
            each.preset: each
            for each in existing
            if not each.is_outdated(self._presets.get(each.preset))
        }
        pending = tuple(name for name in names if name not in made)
        if pending:
            message = renditions_message(image, pending)
            with self._capacity.slot(image.customer_id):
                queue = self._lanes.select(image.customer_id)
                await queue.send(message.encode(), group=message.customer_id)
        return pb.CreateRenditionsResponse(
            renditions=[
                to_rendition_message(made[name], self._public_base_url)
                for name in names
                if name in made
            ],
            pending=pending,
        )
