"""Decodes AVIF by Pillow, without Pillow's copy of each frame."""

from typing import Any

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile


class AvifFile(AvifImageFile):
    """A loaded frame shares the memory of libavif's answer, if Pillow's pixels have the same layout: L and RGBA."""

    def load(self) -> Any:
        if self.tile:
            self._im = None  # Free the last frame before the next is decoded.
            data, *_ = self._decoder.get_frame(self.tell())
            if self.n_frames == 1:
                del self._decoder  # It holds the planes.
            self.im = Image.frombuffer(self.mode, self.size, data, "raw", self.mode, 0, 1).im
            self.tile, self.readonly = [], 1
        return Image.Image.load(self)
