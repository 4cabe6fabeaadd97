"""A folder of JPEG photographs in classes, cut from the pictures that scikit-image ships."""

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def write_photos(folder: Path, each: int = 40, seed: int = 0) -> Path:
    """Write `<folder>/<photo>/<number>.jpg`: `each` random cuts of each photograph, of many sizes and shapes."""
    rng = np.random.default_rng(seed)
    for name in PHOTOS:
        photo = Image.fromarray(getattr(skimage.data, name)())
        (folder / name).mkdir(parents=True)
        for number in range(each):
            width, height = rng.integers(90, 200, 2).tolist()
            left = int(rng.integers(0, photo.width - width))
            top = int(rng.integers(0, photo.height - height))
            photo.crop((left, top, left + width, top + height)).save(folder / name / f"{number:03}.jpg", quality=90)
    return folder
