"""Reading one image."""

from core.errors import ImageNotFound
from core.tables import Tables
from imageservice.v1 import image_service_pb2 as pb
from server.translation import image_message


class ImageReader:
    """`public_base_url` ends with a slash."""

    def __init__(self, tables: Tables, public_base_url: str) -> None:
        self._tables = tables
        self._public_base_url = public_base_url

    async def read(self, image_id: str) -> pb.Image:
        """Strongly consistent. Raises ImageNotFound, Overloaded or DependencyUnavailable."""
        image = await self._tables.read_image_by_id(image_id)
        if image is None:
            raise ImageNotFound(f"There is no image {image_id}.")
        return image_message(image, self._public_base_url)
