"""TIFF: reads the directories, and decides whether Pillow can decode their pixels."""

from consumer.imaging.structure.tiff.directories import read_structure
from consumer.imaging.structure.tiff.end import coded_pixels

__all__ = ["coded_pixels", "read_structure"]
