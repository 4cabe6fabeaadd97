"""Heatmaps as pictures: laid over what the model saw, or mapped back onto the whole image. Imports no TensorFlow."""

import io

import numpy as np
from PIL import Image

from kerasnets.data.preprocessing import Preprocessing

COLOURS = ((38, 8, 84), (110, 22, 118), (176, 42, 106), (226, 80, 68), (250, 142, 28), (252, 204, 64), (252, 250, 178))
"""From no evidence to the most: dark violet, red, orange, light yellow; its lightness only rises."""
VEIL, STRENGTH = 0.42, 0.72
"""How much of the image the colours hide where there is no evidence, and where there is the most."""


def on_image(maps: np.ndarray, preprocessing: Preprocessing, size: tuple[int, int]) -> np.ndarray:
    """Map heat from the model's input back onto the image it was resized from.

    Args:
        maps: float32 `[h, w]` in 0..1, over the model's input.
        preprocessing: what made that of the image.
        size: H, W of the image, upright.

    Returns:
        float32 `[H, W]`; NaN where the model did not see the image, outside a central crop.
    """
    steps = preprocessing.steps(size)
    rows, columns = (
        _places(length, step, side, cells)
        for length, step, side, cells in zip(size, steps, preprocessing.image_size, maps.shape, strict=True)
    )
    return _between(maps.astype(np.float32), rows, columns)


def _places(length: int, step: float, side: int, cells: int) -> np.ndarray:
    """Return where the image's pixels are on the map, in cells from the first one's centre; NaN outside the map."""
    of_input = (np.arange(length) + 0.5 - length / 2) / step + side / 2
    places = of_input * cells / side - 0.5
    places[(of_input < 0) | (of_input > side)] = np.nan
    return places


def _between(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    for places in (rows, columns):  # along the rows, then, turned, along the columns
        inside = np.clip(np.nan_to_num(places), 0, len(maps) - 1)
        first = np.minimum(np.floor(inside).astype(int), max(len(maps) - 2, 0))
        share = (inside - first)[:, None]
        mixed = maps[first] * (1 - share) + maps[np.minimum(first + 1, len(maps) - 1)] * share
        mixed[np.isnan(places)] = np.nan
        maps = mixed.T
    return maps.astype(np.float32)


def lay_over(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return an image with heat in colour over it; what the model did not see becomes dark and grey.

    Args:
        image: uint8 `[H, W, 1 or 3]`.
        heat: `[H, W]` in 0..1, or NaN.

    Returns:
        uint8 `[H, W, 3]`.
    """
    pixels = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float32)
    seen = np.isfinite(heat)
    level = np.where(seen, heat, 0.0)[..., None]
    place = level * (len(COLOURS) - 1)
    table = np.array(COLOURS, np.float32)
    low = np.minimum(place.astype(int), len(COLOURS) - 2)
    colour = table[low[..., 0]] + (table[low[..., 0] + 1] - table[low[..., 0]]) * (place - low)
    cover = VEIL + (STRENGTH - VEIL) * level
    unseen = pixels.mean(axis=-1, keepdims=True) * 0.35
    found = np.where(seen[..., None], pixels * (1 - cover) + colour * cover, unseen)
    return np.rint(found).astype(np.uint8)


def sized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return uint8 `[H, W, 1 or 3]` at another size, as RGB; a picture of few pixels keeps them visible."""
    few = max(image.shape[:2]) <= max(height, width) // 3
    how = Image.Resampling.NEAREST if few else Image.Resampling.LANCZOS
    pixels = Image.fromarray(np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))))
    return np.asarray(pixels.resize((width, height), how))


def sized_heat(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return heat `[H, W]` at another size; NaN stays where it was."""
    seen = np.isfinite(heat)
    level = Image.fromarray(np.where(seen, heat, 0).astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    mask = Image.fromarray(seen).resize((width, height), Image.Resampling.NEAREST)
    return np.where(np.asarray(mask), np.clip(np.asarray(level), 0, 1), np.nan)


def png(image: np.ndarray) -> bytes:
    """Return uint8 `[H, W, 3]` as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return file.getvalue()
