"""Tables that count what a server reads of them."""

from collections.abc import Sequence

from core.image import ImageRecord
from core.request import ImageRequest
from core.tables import Glance, Tables


class CountingTables(Tables):
    """`reads` counts rows of both tables, `glances` rounds of the watcher."""

    reads = 0
    glances = 0

    async def read_request(self, request_id: str) -> ImageRequest | None:
        self.reads += 1
        return await super().read_request(request_id)

    async def read_image_by_id(self, image_id: str) -> ImageRecord | None:
        self.reads += 1
        return await super().read_image_by_id(image_id)

    async def glance(self, request_ids: Sequence[str]) -> dict[str, Glance]:
        self.glances += 1
        return await super().glance(request_ids)
