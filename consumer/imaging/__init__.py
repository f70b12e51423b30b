"""Checks an image, removes its location and reads its metadata. Pure, synchronous and CPU-bound.

docs/howto/add-an-image-format.md lists the parts of a format.
"""

from consumer.imaging.inspection import ImageProbe, InspectionResult, inspect, probe
from consumer.imaging.limits import ImagePolicy

__all__ = ["ImagePolicy", "ImageProbe", "InspectionResult", "inspect", "probe"]
