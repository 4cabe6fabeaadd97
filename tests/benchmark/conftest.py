"""Runs that the tests of benchmarks share."""

from untrained import photo_resnet, photos

__all__ = ["photo_resnet", "photos"]
