"""A model as a picture that a person can read: stem, stages of blocks, shortcuts, heads; equal blocks are drawn once.

`page` lays shapes out in pixels and knows no file format; `render` makes SVG or PNG of them.
"""

from kerasnets.models.drawing.notes import notes
from kerasnets.models.drawing.page import page
from kerasnets.models.drawing.render import FORMATS, render

__all__ = ["FORMATS", "notes", "page", "render"]
