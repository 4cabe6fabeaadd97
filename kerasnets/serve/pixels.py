"""Raw pixels from clients: what a version takes, and what is refused."""

import numpy as np

from kerasnets.serve.limits import Limits
from kerasnets.serve.opened import Opened
from kerasnets.serve.question import check_count
from kerasnets.serve.refusals import Refused


def check(shape: tuple[int, ...], opened: Opened, limits: Limits) -> None:
    """Check the shape of a tensor of pixels.

    Raises:
        Refused: it is not `[N, H, W, C]`, of another size than the version takes, or larger than the limits.
    """
    size = opened.preprocessing.image_size if opened.feed.static else ("H", "W")
    taken = f"[N, {size[0]}, {size[1]}, {opened.channels}]"
    if len(shape) != 4 or shape[3] != opened.channels or (opened.feed.static and shape[1:3] != size):
        raise Refused(f"image has the shape {list(shape)}; {opened.name} takes {taken}")
    check_count(shape[0], limits.images)
    if not shape[1] * shape[2]:
        raise Refused(f"image has the shape {list(shape)}: no pixels")
    if shape[1] * shape[2] > limits.pixels:
        raise Refused(f"an image of more than {limits.pixels:,} pixels")


def of_lists(values: object, opened: Opened, limits: Limits) -> np.ndarray:
    """Return nested lists of numbers, as JSON has them, as pixels `[N, H, W, C]`.

    Raises:
        Refused: they are not numbers, or not of a shape that the version takes.
    """
    if isinstance(values, list):
        check_count(len(values), limits.images)  # before millions of them are looked at
    found = numbers(values)
    check(found.shape, opened, limits)
    if opened.feed.dtype == "uint8":
        return whole(found)
    with np.errstate(over="ignore"):
        return finite(found.astype(np.float32))


def numbers(values: object) -> np.ndarray:
    """Return lists of numbers, nested or not, as float64.

    As objects first: of texts, NumPy would make an array whose every element has room for the longest.

    Raises:
        Refused: one is something else, or lists beside each other differ in length.
    """
    try:
        found = np.array(values, dtype=object)
        kinds = set(map(type, found.flat))
        if kinds <= {int, float}:
            return found.astype(np.float64)
    except (ValueError, OverflowError) as error:
        raise Refused("image is not an array of numbers that a computer can hold") from error
    if list in kinds:
        raise Refused("image is not a regular array: its images, rows or pixels differ in length")
    raise Refused("image holds something other than numbers")


def finite(found: np.ndarray) -> np.ndarray:
    """Return the pixels, if each is a number.

    Raises:
        Refused: there is a NaN or an infinity.
    """
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise Refused("image holds NaN or infinite values")
    return found


def whole(found: np.ndarray) -> np.ndarray:
    """Return numbers as uint8.

    Raises:
        Refused: one is not whole, or not from 0 to 255.
    """
    if not ((found >= 0) & (found <= 255) & (found == np.trunc(found))).all():
        raise Refused("image holds something other than whole numbers from 0 to 255")
    return found.astype(np.uint8)
