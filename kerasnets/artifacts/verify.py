"""Is what will be served what was trained? Each artefact, in a fresh process, against the Keras model of the run.

Nothing is skipped: every check below runs on every format, on the whole validation split, before a version exists.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kerasnets.artifacts import explained, safety
from kerasnets.artifacts.batches import raw_batches
from kerasnets.artifacts.compare import Comparison, Parity, distance, refuse
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import Format, as_written, web
from kerasnets.artifacts.gate import LEAST_IMAGES
from kerasnets.artifacts.golden import publish as golden
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.artifacts.reference import Reference
from kerasnets.artifacts.web import check as web_check
from kerasnets.console import progress
from kerasnets.data import sources
from kerasnets.data.raw import kept
from kerasnets.run import Run

BATCHES = (1, 2, 7)
_BATCH = 32
_LARGEST_SAMPLE = 512


@dataclass(frozen=True)
class _Held:
    """The images of a held-out split and what they are compared by."""

    split: sources.Split
    skip: frozenset[int]
    channels: int

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return raw_batches(self.split, self.channels, _BATCH, self.skip)

    def __len__(self) -> int:
        return len(self.split) - len(self.skip)

    def sample(self, count: int) -> np.ndarray:
        """Return `count` real images `[count, H, W, C]`, cut to the size that all of them have, and to 512 at most."""
        found: list[np.ndarray] = []
        for images, _ in self.batches():
            found += list(images)
            if len(found) >= count:
                break
        height, width = (min(_LARGEST_SAMPLE, *(image.shape[axis] for image in found)) for axis in (0, 1))
        return np.stack([found[i % len(found)][:height, :width] for i in range(count)])

    def files(self, count: int) -> list[bytes]:
        """Return the first `count` readable images of the split as they are encoded; none for an array source."""
        files = self.split.files
        return [files.read(i) for i in kept(self.split, self.skip)[:count]] if files is not None else []


def verify(
    run: Run,
    directory: Path,
    formats: Sequence[str],
    interface: dict[str, Any],
    *,
    temperature: float = 1.0,
    force: bool = False,
) -> dict[str, Parity]:
    """Check the artefacts in `directory` against `run`; `interface` is what their signatures must be.

    The golden images, and what Keras says of them, are left in `directory`.

    Keras' logits are divided by `temperature`, as the artefacts' are. How far the accuracy of a lossy format falls is
    measured on the validation split; where that has fewer than 1,000 images, on the test split as well. With `force`
    such a format passes also where both are too small.

    Returns:
        Format -> figures of the comparison.

    Raises:
        CheckFailed: the first check that did not hold: which, what was found, what is allowed.
    """
    reference, feed = Reference(run, temperature), Feed.of(run.config.export)
    dataset = sources.load(run.config.data, seed=run.config.seed)
    held = _Held(dataset.validation, run.skipped("validation"), reference.preprocessing.channels)
    with ExitStack() as stack:
        comparisons, runners = [], []
        for form in (as_written(name, directory) for name in formats):
            runner = stack.enter_context(ProcessRunner(form, directory))
            _check_interface(form, runner, interface)
            _check_labels(form, runner.labels, run.labels)
            _check_left_out(form, directory, reference.left_out)
            _check_operations(form, directory)
            runners.append((form, runner))
            comparisons.append(Comparison(form, runner, reference, feed))
        sample = held.sample(max(BATCHES))
        for comparison in comparisons:
            _check_batches(comparison, sample, dynamic=not feed.static)
            if "bytes" in comparison.form.ENDPOINTS:
                comparison.encoded([_png(image) for image in sample], [image[np.newaxis] for image in sample])
                _check_files(comparison, held)
        golden.publish(directory, reference, feed, runners)
        for form, runner in runners:
            if "explain" in runner.signatures:
                explained.check(form, runner, reference, feed, sample)
            if form.NAME == web.NAME:
                web_check.check(form, runner, reference, feed, directory, sample)
        with progress("verify", total=len(held)) as advance:
            for images, labels in held.batches():
                for comparison in comparisons:
                    comparison.add(images, labels)
                advance(len(images))
        if len(held) < LEAST_IMAGES and dataset.test is not None:
            _weigh(comparisons, _Held(dataset.test, run.skipped("test"), held.channels))
        return {comparison.form.NAME: comparison.finish(run, force=force) for comparison in comparisons}


def _weigh(comparisons: Sequence[Comparison], held: _Held) -> None:
    """Count the test split too for how far the accuracy of lossy formats falls."""
    lossy = [comparison for comparison in comparisons if comparison.form.LOSSY]
    if not lossy:
        return
    with progress("verify on the test split", total=len(held)) as advance:
        for images, labels in held.batches():
            for comparison in lossy:
                comparison.weigh("test", images, labels)
            advance(len(images))


def figures(parity: dict[str, Parity]) -> dict[str, Any]:
    """Return the figures as they stand in a manifest."""
    return {name: asdict(values) for name, values in parity.items()}


def _check_operations(form: Format, directory: Path) -> None:
    try:
        safety.check(form, directory)
    except ValueError as error:
        refuse(
            form, "operations", f"the file {error}", "if it only computes, kerasnets/artifacts/safety.py has to list it"
        )


def _check_interface(form: Format, runner: ProcessRunner, interface: dict[str, Any]) -> None:
    expected = {endpoint: interface[endpoint] for endpoint in form.ENDPOINTS if endpoint in interface}
    if runner.signatures != expected:
        refuse(form, "inputs and outputs", _words(runner.signatures), f"must be {_words(expected)}")


def _words(signatures: Any) -> str:
    def side(tensors: dict[str, Any]) -> str:
        return ", ".join(f"{name} {t['dtype']}{t['shape']}".replace("None", "?") for name, t in tensors.items())

    return "; ".join(f"{name}: {side(s['inputs'])} -> {side(s['outputs'])}" for name, s in signatures.items())


def _check_labels(form: Format, found: Sequence[str], expected: Sequence[str]) -> None:
    if len(found) != len(expected):
        refuse(form, "labels", f"{len(found)} class names", f"the run has {len(expected)}")
    for place, (inside, wanted) in enumerate(zip(found, expected, strict=True)):
        if inside != wanted:
            refuse(form, "labels", f"class {place} is called '{inside}'", f"the run calls it '{wanted}'")


def _check_left_out(form: Format, directory: Path, names: frozenset[str]) -> None:
    """Look for any name of an auxiliary head, or of a layer that only such a head needs."""
    if not names:
        return
    pattern = re.compile(r"(?<![A-Za-z0-9])(" + "|".join(map(re.escape, sorted(names))) + r")(?![A-Za-z0-9])")
    for name in form.names(directory):
        if match := pattern.search(name):
            refuse(form, "heads", f"'{match[0]}' of an auxiliary head is in the file ({name})", "only the main one may")


def _check_batches(comparison: Comparison, sample: np.ndarray, *, dynamic: bool) -> None:
    """Compare at batches of 1, 2 and 7, and where the input's size is free also wider, taller and odd-sized images."""
    for count in BATCHES:
        comparison.compare(sample[:count], f"a batch of {count}")
    if dynamic:
        height, width = sample.shape[1:3]
        odd = sample[:, : max(1, height * 2 // 3), : max(1, width - 1)]
        sizes = (odd, np.repeat(odd, 2, axis=1), np.repeat(np.repeat(odd, 3, axis=1), 5, axis=2))
        if comparison.form.LOSSY:
            _check_sizes(comparison, sample, sizes)
        else:
            for images in sizes:
                comparison.compare(images[:2], f"images of {images.shape[1]}x{images.shape[2]}")


def _check_sizes(comparison: Comparison, sample: np.ndarray, sizes: Sequence[np.ndarray]) -> None:
    """See that a lossy format is not much further off at other sizes: its accuracy is measured at the data's own."""
    form = comparison.form
    allowed = 2 * distance(*comparison.compare(sample, "a batch")) + form.TOLERANCE
    for images in sizes:
        what = f"images of {images.shape[1]}x{images.shape[2]}"
        found = distance(*comparison.compare(images, what))
        if not found <= allowed:
            refuse(form, "sizes", f"answers differ from Keras' by {found:.3g} on {what}", f"{allowed:.3g} is allowed")


def _check_files(comparison: Comparison, held: _Held) -> None:
    """Have the artefact decode the split's own files and compare with what evaluation decodes from them."""
    files = held.files(max(BATCHES))
    if not files:
        return
    images = [image[np.newaxis] for batch, _ in _first(held, len(files)) for image in batch]
    comparison.encoded(files, images[: len(files)])


def _first(held: _Held, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    seen = 0
    for batch in held.batches():
        yield batch
        seen += len(batch[0])
        if seen >= count:
            return


def _png(image: np.ndarray) -> bytes:
    pixels = image.astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, format="PNG")
    return buffer.getvalue()
