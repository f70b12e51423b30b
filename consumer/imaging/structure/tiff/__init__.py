"""TIFF: reads the directories, and decides whether Pillow can decode their pixels."""

from consumer.imaging.structure.tiff.directories import read_structure

__all__ = ["read_structure"]
