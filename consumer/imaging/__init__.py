"""What counts as a processed image. Pure and synchronous; to be run in a pool of threads."""

from consumer.imaging.inspection import Inspected, inspect
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.probe import Probe, probe

__all__ = ["ImagePolicy", "Inspected", "Probe", "inspect", "probe"]
