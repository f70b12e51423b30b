"""What counts as a processed image. Pure and synchronous; to be run in a pool of threads."""

from consumer.picture.header import Probe, probe
from consumer.picture.inspection import Inspected, inspect
from consumer.picture.policy import PicturePolicy

__all__ = ["Inspected", "PicturePolicy", "Probe", "inspect", "probe"]
