"""Runs that the tests of artefacts share."""

from untrained import photo_googlenet, photo_resnet, photos

__all__ = ["photo_googlenet", "photo_resnet", "photos"]
