"""The picture files that the origin serves."""

import asyncio
from pathlib import Path

from loadtest.origin import generated_pictures

MEDIA_TYPES = {
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}
"""Spelled out: `mimetypes` depends on the machine and knows neither AVIF nor WebP everywhere."""


def media_type(name: str) -> str:
    return MEDIA_TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


class PictureFolder:
    """A folder with sub-folders. Where no name is given, a generated picture stands in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def find(self, name: str) -> Path | None:
        """The file of this name, None where there is none inside the folder."""
        return await asyncio.to_thread(self._find, name)

    def _find(self, name: str) -> Path | None:
        folder = self._folder.resolve()
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None

    async def read(self, name: str | None) -> tuple[bytes, str] | None:
        """Bytes and media type of a picture; None where there is no file of this name."""
        if name is None:
            return generated_pictures.picture(0, "jpg"), "image/jpeg"
        path = await self.find(name)
        if path is None:
            return None
        return await asyncio.to_thread(path.read_bytes), media_type(name)
