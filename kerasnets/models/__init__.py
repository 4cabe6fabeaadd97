"""Models by name: a table of specs, and functions that build Keras graphs from a row of it.

Channels are last everywhere. Importing this package imports no Keras.
"""

from kerasnets.models.specs import MODELS, heads, row

__all__ = ["MODELS", "heads", "row"]
