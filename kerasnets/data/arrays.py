"""Sources that fit into memory: scikit-learn's digits, MNIST's IDX files, NumPy's npz files."""

import gzip
import math
import zipfile
import zlib
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

from kerasnets.data.splitting import SPLITS, Examples
from kerasnets.errors import UserError, nearest

_IDX_UINT8 = 0x08
_DEFLATE = 1032  # times, at most, that gzip makes something smaller
_BOMB, _SHRUNK = 2**30, 200
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,  # what zipfile raises for a compression that it does not know
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
)
_DIGITS_SCALE = 255 / 16  # their grey levels are 0..16


def digits() -> Examples:
    """Return scikit-learn's handwritten digits: 1,797 grey images of 8x8, their 0..16 stretched to 0..255.

    Read from its file without importing it, which takes more than a second.
    """
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    table = np.loadtxt(str(file), delimiter=",", dtype=np.uint8)
    labels = table[:, -1].astype(np.int32)
    pixels = np.round(table[:, :-1].reshape(-1, 8, 8, 1) * _DIGITS_SCALE).astype(np.uint8)
    names = tuple(str(name) for name in range(10))
    return Examples(names, labels, _given("train", len(labels)), _numbered("digits", len(labels)), pixels)


def idx(directory: Path) -> Examples:
    """Return MNIST-format files: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, `t10k-…` as test split.

    Args:
        directory: Holds the files, gzipped (`.gz`) or not.

    Raises:
        UserError: A file is missing, cut short, or its numbers do not fit.
    """
    images, labels, given = [], [], []
    ids: list[str] = []
    for prefix, split in (("train", "train"), ("t10k", "test")):
        if split == "test" and not any(directory.glob(f"{prefix}-images*")):
            continue
        pixels = read_idx(_idx_file(directory, f"{prefix}-images-idx3-ubyte"), 3)[..., None]
        classes = read_idx(_idx_file(directory, f"{prefix}-labels-idx1-ubyte"), 1)
        if len(pixels) != len(classes):
            raise UserError(f"{directory}: {len(pixels)} {prefix} images, but {len(classes)} labels")
        images.append(pixels)
        labels.append(classes.astype(np.int32))
        given.append(_given(split, len(classes)))
        ids += _numbered(split, len(classes))
    if len({array.shape[1:] for array in images}) > 1:
        raise UserError(f"{directory}: training and test images differ in size")
    every = np.concatenate(labels)
    if not len(every):
        raise UserError(f"{directory}: there are no images in the files")
    names = tuple(str(k) for k in range(int(every.max()) + 1))
    return Examples(names, every, np.concatenate(given), tuple(ids), np.concatenate(images))


def _idx_file(directory: Path, stem: str) -> Path:
    for name in (stem, f"{stem}.gz", stem.replace("-idx", ".idx"), stem.replace("-idx", ".idx") + ".gz"):
        if (directory / name).is_file():
            return directory / name
    near = nearest(stem, (entry.name for entry in directory.iterdir())) if directory.is_dir() else ""
    raise UserError(f"data.path: {directory} holds no {stem}[.gz]{near}")


def read_idx(path: Path, rank: int) -> np.ndarray:
    """Return an IDX file of unsigned bytes as uint8 of `rank` dimensions (LeCun's format, big-endian header).

    Raises:
        UserError: The file is cut short or not such a file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * rank)
            if len(header) < 4 + 4 * rank or tuple(header[:4]) != (0, 0, _IDX_UINT8, rank):
                raise UserError(f"{path}: not an IDX file of unsigned bytes in {rank} dimensions")
            shape = tuple(int(n) for n in np.frombuffer(header, ">u4", rank, 4))
            wanted, size = math.prod(shape), path.stat().st_size
            if wanted > _DEFLATE * size or _is_bomb(wanted, size):
                raise UserError(f"{path}: its header {shape} wants {wanted:,} bytes, and the file has {size:,}")
            content = file.read(wanted)
            more = file.read(1) if len(content) == wanted else b""
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if len(content) != wanted or more:
        found = f"over {wanted}" if more else f"{len(content)}"
        raise UserError(f"{path}: {found} bytes of data, but its header {shape} wants {wanted}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _is_bomb(size: int, packed: int) -> bool:
    """Tell whether so much of so little is made to fill the memory; pictures shrink to a tenth, blank ones further."""
    return size > _BOMB and size > _SHRUNK * packed


def npz(path: Path) -> Examples:
    """Return an npz file: `x_train`, `y_train`, maybe `x_val`, `y_val`, `x_test`, `y_test`; or `images`, `labels`.

    Images are uint8 `[n, h, w]`, `[n, h, w, 1]` or `[n, h, w, 3]`; labels integers `[n]` or `[n, 1]`. A text array
    `class_names` names the classes.

    Raises:
        UserError: An array is missing or of another shape or type.
    """
    try:
        _check_members(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (*_UNREADABLE, MemoryError) as error:  # the last for a header that promises more than there can be
        raise UserError(f"data.path: {path} is not an npz file of plain arrays ({error})") from error
    single = "images" in arrays
    pairs = [("images", "labels", "train")] if single else [("x_train", "y_train", "train")]
    pairs += [
        (x, y, split)
        for x, y, split in (("x_val", "y_val", "validation"), ("x_test", "y_test", "test"))
        if x in arrays or y in arrays
    ]
    images, labels, given = [], [], []
    ids: list[str] = []
    for x, y, split in pairs:
        pixels, classes = _npz_images(path, arrays, x), _npz_labels(path, arrays, y)
        if len(pixels) != len(classes):
            raise UserError(f"{path}: {len(pixels)} images in '{x}', but {len(classes)} labels in '{y}'")
        images.append(pixels)
        labels.append(classes)
        given.append(_given(split, len(classes)))
        ids += _numbered(split, len(classes))
    if len({array.shape[1:] for array in images}) > 1:
        raise UserError(f"{path}: images of the splits differ in shape")
    every = np.concatenate(labels)
    return Examples(_npz_names(path, arrays, every), every, np.concatenate(given), tuple(ids), np.concatenate(images))


def _check_members(path: Path) -> None:
    """See that what an npz file declares can be in it."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if sum(member.compress_size for member in members) > path.stat().st_size:
        raise ValueError("its parts overlap")
    for member in members:
        if _is_bomb(member.file_size, member.compress_size):
            raise ValueError(f"'{member.filename}' would unpack to {member.file_size:,} bytes")


def _npz_array(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise UserError(f"{path}: no array '{name}'{nearest(name, arrays)}; it holds {', '.join(arrays) or 'nothing'}")
    return arrays[name]


def _npz_images(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    array = _npz_array(path, arrays, name)
    array = array[..., None] if array.ndim == 3 else array
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3):
        found = f"{array.dtype} {list(array.shape)}"
        raise UserError(f"{path}: '{name}' must be uint8 [n, h, w] or [n, h, w, 1 or 3], but is {found}")
    return array


def _npz_labels(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    array = _npz_array(path, arrays, name)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer) or (array.size and array.min() < 0):
        found = f"{array.dtype} {list(array.shape)}"
        raise UserError(f"{path}: '{name}' must be integers [n] from 0 on, but is {found}")
    return array.astype(np.int32)


def _npz_names(path: Path, arrays: dict[str, np.ndarray], labels: np.ndarray) -> tuple[str, ...]:
    if not labels.size:
        raise UserError(f"{path}: there are no images in it")
    count = int(labels.max()) + 1
    names = tuple(str(name) for name in np.atleast_1d(arrays["class_names"])) if "class_names" in arrays else ()
    if names and len(names) < count:
        raise UserError(f"{path}: {len(names)} class_names, but labels up to {count - 1}")
    return names or tuple(str(k) for k in range(count))


def _given(split: str, count: int) -> np.ndarray:
    return np.full(count, SPLITS.index(split), np.uint8)


def _numbered(split: str, count: int) -> tuple[str, ...]:
    return tuple(f"{split}/{i}" for i in range(count))
