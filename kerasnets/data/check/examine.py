"""A data set looked at whole: every file, every pair that is alike, every class."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kerasnets.config import Data
from kerasnets.data import sources
from kerasnets.data.check import labels, likeness, looking
from kerasnets.data.check.findings import PROBLEM, RULES, Finding
from kerasnets.data.check.listing import listed
from kerasnets.data.check.looking import Look
from kerasnets.data.decode import DecodeError
from kerasnets.data.raw import in_threads
from kerasnets.data.splitting import SPLITS, Examples, complete
from kerasnets.errors import UserError

SMALL = 1 / 8  # of the median shorter side: an image below it is far smaller than the others
_SHOWN = 100  # paths of one group of like images


@dataclass(frozen=True)
class Report:
    """What was found, of what."""

    path: str
    images: int
    classes: dict[str, int]
    splits: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """Findings that are more than notes."""
        return sum(finding.rule.severity == PROBLEM for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """Return the report as `data check --json` prints it."""
        return {
            "schema": 1,
            "path": self.path,
            "images": self.images,
            "classes": self.classes,
            "splits": self.splits,
            "problems": self.problems,
            "notes": len(self.findings) - self.problems,
            "findings": [finding.document() for finding in self.findings],
        }


def examine(
    data: Data,
    seed: int | None,
    workers: int = 0,
    watched: Callable[[int], Callable[[], object]] = lambda total: lambda: None,
) -> Report:
    """Look at every image of a data section.

    Args:
        data: Which images.
        seed: Of the run that would draw splits which the source does not give; None leaves them undrawn.
        workers: Threads that decode; 0: one a core and a few more.
        watched: Given the number of images, returns what is called after each.

    Raises:
        UserError: There is no such data at all.
    """
    examples, splits, findings = _examples(data, seed)
    looks = _look(examples, workers, watched(len(examples.labels)))
    findings += [finding for found in looks.findings for finding in found]
    findings += [*_small(examples, looks), *_alike(examples, splits, looks)]
    findings += labels.about(examples.class_names, examples.labels, splits)
    order = list(RULES)
    count = np.bincount(splits, minlength=len(SPLITS)).tolist()
    names = (examples.class_names[label] for label in examples.labels.tolist())
    return Report(
        path=str(data.path or data.source),
        images=len(examples.labels),
        classes=dict(sorted(Counter(names).items())),
        splits={name: n for name, n in zip(SPLITS, count, strict=True) if n},
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.kind))),
    )


def _examples(data: Data, seed: int | None) -> tuple[Examples, np.ndarray, list[Finding]]:
    """Return the images, the split of each, and what is wrong with how they are given."""
    found = listed(data)
    findings = found[0].findings + [Finding("empty_class", (), f"'{name}'") for name in found[0].empty] if found else []
    try:
        examples = sources.read(data)
        splits = examples.given.copy()
        if seed is not None:
            for name, index in complete(examples, data.validation_split, data.test_split, seed).items():
                splits[index] = SPLITS.index(name)
        return examples, splits, findings
    except UserError as error:
        if not found or not len(found[1].labels):
            raise
        return found[1], found[1].given, [Finding("refused", (), str(error)), *findings]


@dataclass
class _Looks:
    """What was seen of all images, an array each."""

    findings: list[tuple[Finding, ...]]
    digests: np.ndarray
    sizes: np.ndarray
    hashes: np.ndarray
    pictures: np.ndarray

    @property
    def decoded(self) -> np.ndarray:
        return np.asarray(self.sizes[:, 0] > 0)


def _look(examples: Examples, workers: int, advance: Callable[[], object]) -> _Looks:
    count = len(examples.labels)
    looks = _Looks(
        [],
        np.zeros((count, 16), np.uint8),
        np.zeros((count, 2), np.int32),
        np.zeros(count, np.uint64),
        np.zeros((count, looking.SIDE**2), np.uint8),
    )
    for index, look in enumerate(in_threads(partial(_one, examples), np.arange(count), workers)):
        if look.findings:
            looks.findings.append(look.findings)
        looks.digests[index] = np.frombuffer(look.digest, np.uint8)
        looks.sizes[index], looks.hashes[index] = look.size, look.hash
        looks.pictures[index] = np.frombuffer(look.picture, np.uint8)
        advance()
    return looks


def _one(examples: Examples, index: int) -> Look:
    if examples.images is not None:
        return looking.raw(examples.ids[index], examples.images[index])
    if examples.files is None:
        raise ValueError("examples have either images or files")
    name = examples.files.name(index)
    try:
        return looking.encoded(name, examples.files.read(index))
    except (OSError, DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Look((Finding("unreadable", (name,), str(reason)),), index.to_bytes(16, "big"))


def _name(examples: Examples, index: int) -> str:
    return examples.ids[index] if examples.files is None else examples.files.name(index)


def _small(examples: Examples, looks: _Looks) -> Iterator[Finding]:
    sides = looks.sizes.min(axis=1)
    if not looks.decoded.any():
        return
    least = SMALL * float(np.median(sides[looks.decoded]))
    for index in np.flatnonzero(looks.decoded & (sides < least)).tolist():
        height, width = looks.sizes[index]
        yield Finding("small", (_name(examples, index),), f"{width} x {height} pixels")


def _alike(examples: Examples, splits: np.ndarray, looks: _Looks) -> Iterator[Finding]:
    """Yield groups of equal images, then groups of images that look alike; one of each equal group stands for it."""
    decoded = np.flatnonzero(looks.decoded)
    groups = [decoded[group] for group in likeness.same(looks.digests[decoded])]
    for group in groups:
        yield from _group(examples, splits, group, ("two_classes", "leak", "duplicate"))
    others = np.setdiff1d(decoded, np.concatenate([group[1:] for group in groups]) if groups else [])
    for group in likeness.alike(looks.hashes[others], looks.pictures[others]):
        kinds = ("near_two_classes", "near_leak", "near_duplicate")
        yield from _group(examples, splits, others[group], kinds)


def _group(examples: Examples, splits: np.ndarray, group: np.ndarray, kinds: tuple[str, str, str]) -> Iterator[Finding]:
    classes = sorted({examples.class_names[label] for label in examples.labels[group].tolist()})
    held_out = splits[group] != SPLITS.index("train")
    paths = tuple(_name(examples, index) for index in group[:_SHOWN].tolist())
    more = f"; {len(group) - _SHOWN:,} more" if len(group) > _SHOWN else ""
    if len(classes) > 1:
        yield Finding(kinds[0], paths, ", ".join(classes) + more)
    if held_out.any() and not held_out.all():
        yield Finding(kinds[1], paths, ", ".join(SPLITS[place] for place in np.unique(splits[group])) + more)
    if len(classes) == 1 and (held_out.all() or not held_out.any()):
        yield Finding(kinds[2], paths, classes[0] + more)
