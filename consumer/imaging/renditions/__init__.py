"""Renditions of an image: smaller copies, upright, in sRGB, without metadata."""

from consumer.imaging.renditions.cost import estimate_cost
from consumer.imaging.renditions.render import make_renditions

__all__ = ["estimate_cost", "make_renditions"]
