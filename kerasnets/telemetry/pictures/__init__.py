"""Pictures for TensorBoard's IMAGES page, as the bytes of small PNG files."""

from kerasnets.telemetry.pictures.classes import confusion, mistakes
from kerasnets.telemetry.pictures.layers import dead_units, depth_profile

__all__ = ["confusion", "dead_units", "depth_profile", "mistakes"]
