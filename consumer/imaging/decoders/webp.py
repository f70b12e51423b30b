"""Decodes WebP by Pillow, without Pillow's copy of each frame."""

from typing import Any

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

_FRAME_BYTES = 6
"""The most bytes per pixel that a frame with alpha takes beside its canvases."""


class WebPFile(WebPImageFile):
    """A loaded frame shares the memory of libwebp's answer. Its mode is RGBX instead of RGB."""

    _shown = -1

    def load(self) -> Any:
        if self._shown != self.tell():
            self._im = None  # Free the last frame before the next is decoded.
            self._seek(self.tell())
            try:
                data, *_ = self._get_next()
            except OSError:
                # libwebp reports missing memory as damage. Raise MemoryError if there was not enough.
                bytearray(_FRAME_BYTES * self.width * self.height)
                raise
            if self.n_frames == 1:
                del self._decoder  # It holds two canvases.
            self._mode = self.rawmode
            self.im = Image.frombuffer(self.mode, self.size, data, "raw", self.mode, 0, 1).im
            self.readonly, self._shown = 1, self.tell()
        return Image.Image.load(self)
