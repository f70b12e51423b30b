"""The image files that the origin serves."""

import asyncio
from pathlib import Path

from loadtest.origin import generated_images

MEDIA_TYPES = {
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}
"""Explicit, because `mimetypes` depends on the machine and does not know AVIF and WebP everywhere."""


def media_type(name: str) -> str:
    return MEDIA_TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


class ImageFolder:
    """A folder with sub-folders. A request without a name gets a generated image."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def find(self, name: str) -> Path | None:
        """Return the file of this name; None if the folder does not contain it."""
        return await asyncio.to_thread(self._find, name)

    def _find(self, name: str) -> Path | None:
        folder = self._folder.resolve()
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None

    async def read(self, name: str | None) -> tuple[bytes, str] | None:
        """Return bytes and media type of an image; None if there is no such file."""
        if name is None:
            return generated_images.image_body(0, "jpg"), "image/jpeg"
        path = await self.find(name)
        if path is None:
            return None
        return await asyncio.to_thread(path.read_bytes), media_type(name)
