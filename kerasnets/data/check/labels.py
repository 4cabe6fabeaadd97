"""Classes: how many images each has in each split, and names that look like a slip of the pen."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from kerasnets.data.check.findings import Finding
from kerasnets.data.files import is_utf8
from kerasnets.data.splitting import SPLITS

IMBALANCE = 10.0  # largest class over smallest
FEW, SHARE = 5, 0.05  # images, and share of the other class, up to which a like name is taken for a misspelt one


def about(names: Sequence[str], labels: np.ndarray, splits: np.ndarray) -> Iterator[Finding]:
    """Yield what is odd about classes.

    Args:
        names: Of the classes.
        labels: int32 `[n]`, each image's class.
        splits: uint8 `[n]`, indices into `SPLITS`.
    """
    counts = np.array([np.bincount(labels[splits == place], minlength=len(names)) for place in range(len(SPLITS))])
    yield from _sizes(names, counts)
    yield from _names(names)
    for name, other in misspelt(names, counts[SPLITS.index("train")]):
        place = names.index(name)
        yield Finding("label_typo", (), f"'{name}' ({counts[:, place].sum():,} images) beside '{other}'")


def _sizes(names: Sequence[str], counts: np.ndarray) -> Iterator[Finding]:
    train = counts[0]
    for place in np.flatnonzero(train == 0).tolist():
        yield Finding("empty_class", (), f"'{names[place]}'")
    for split, row in zip(SPLITS[1:], counts[1:], strict=True):
        for place in np.flatnonzero((row == 0) & (train > 0)).tolist() if row.any() else ():
            yield Finding("missing_in_split", (), f"'{names[place]}' in {split}")
    there = train[train > 0]
    if there.size and there.max() > IMBALANCE * there.min():
        most, least = names[int(train.argmax())], names[int(np.where(train, train, train.max() + 1).argmin())]
        said = f"'{most}' has {there.max():,} training images, '{least}' {there.min():,}"
        yield Finding("imbalance", (), said)


def _names(names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        if not is_utf8(name) or len(name.splitlines()) != 1:
            yield Finding("class_name", (), f"{name!r} is not UTF-8, is empty, or has a line break")


def misspelt(names: Sequence[str], counts: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yield (rarer, more frequent) names that differ by case, spaces, or one slip where the rarer has few images.

    `counts` are those of the training images: a misspelt name in another split has none.

    Two names that are one slip apart have a form in common once a letter is left out of one or both: names are found by
    those forms, not compared each with each.
    """
    order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))
    folded = [_folded(name) for name in names]
    known: dict[str, list[int]] = {}
    for rare in order:
        forms = {folded[rare], *(folded[rare][:i] + folded[rare][i + 1 :] for i in range(len(folded[rare])))}
        for other in dict.fromkeys(place for form in sorted(forms) for place in known.get(form, ())):
            few = counts[rare] <= max(FEW, SHARE * counts[other]) and counts[rare] < counts[other]
            if folded[rare] == folded[other] or (few and _one_slip(folded[rare], folded[other])):
                yield names[rare], names[other]
                break
        for form in forms:
            known.setdefault(form, []).append(rare)


def _folded(name: str) -> str:
    return re.sub(r"[\s_.-]+", "", name.casefold())


def _one_slip(name: str, other: str) -> bool:
    """Return whether one letter more, less, other, or two neighbours that changed places, make one name the other.

    Names of one or two letters, and those that differ in a digit, are meant as they are.
    """
    if min(len(name), len(other)) < 3 or abs(len(name) - len(other)) > 1:
        return False
    short, long = sorted((name, other), key=len)
    at = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if {*short[at : at + 1], *long[at : at + 1]} & set("0123456789"):
        return False
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at : at + 2][::-1] == long[at : at + 2] and short[at + 2 :] == long[at + 2 :]
    return swapped or short[at + 1 :] == long[at + 1 :]
