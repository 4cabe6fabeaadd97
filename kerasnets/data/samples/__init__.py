"""`kerasnets samples`: held-out images as files."""
