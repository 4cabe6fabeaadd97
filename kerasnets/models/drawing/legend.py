"""The legend: the colours of boxes and kinds of lines that a picture has, and no others."""

from kerasnets.models.drawing.shapes import FILLS, LINES, MUTED, Box, Line, Page, Shape, Words, length

_WORDS = {
    "projection": "projection shortcut",
    "pool": "pooling",
    "normalisation": "normalisation, dropout",
    "inception": "Inception module",
    "head": "main head (logits)",
    "auxiliary head": "auxiliary head (logits), left out when served",
}
_LINES = {
    "identity": "identity shortcut",
    "padded": "shortcut without parameters: subsampled, new channels are zero",
}
_SIGNS = "3\N{MULTIPLICATION SIGN}3, 64, /2: kernel, output channels, and a stride of 2, which halves the resolution"
_SWATCH, _SPACE, _ROW = 24.0, 22.0, 24.0


def legend(made: Page, left: float, top: float) -> float:
    """Write the legend in rows as wide as the page; return where it ends."""
    boxes = {shape.kind for shape in made.shapes if isinstance(shape, Box)} - {"image"}
    lines = {shape.kind for shape in made.shapes if isinstance(shape, Line)}
    entries = [(kind, _WORDS.get(kind, kind), False) for kind in FILLS if kind in boxes]
    entries += [(kind, _LINES[kind], True) for kind in LINES if kind in lines & set(_LINES)]
    made.width = max(made.width, 2 * left + length(_SIGNS))
    made.add(Words(left, top, _SIGNS, colour=MUTED))
    x, y = left, top + _ROW
    for kind, text, is_line in entries:
        wide = _SWATCH + 8 + length(text)
        if x > left and x + wide > made.width - left:
            x, y = left, y + _ROW
        swatch: Shape = Box(x + _SWATCH / 2, y, _SWATCH, 14, (), kind)
        made.add(Line(((x, y), (x + _SWATCH, y)), kind, arrow=False) if is_line else swatch)
        made.add(Words(x + _SWATCH + 8, y, text))
        x += wide + _SPACE
    return y + _ROW / 2
