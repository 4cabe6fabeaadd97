"""Golden images: pictures of every kind that is read, kept in a version with what the model said of each."""

from kerasnets.artifacts.golden.drawn import pictures

__all__ = ["pictures"]
