"""Transparent pixels on white."""

import numpy as np


def on_white(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 `[…, 3]` of `[…, 4]`."""
    colours, alpha = pixels[..., :3].astype(np.int32), pixels[..., 3:].astype(np.int32)
    return ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
