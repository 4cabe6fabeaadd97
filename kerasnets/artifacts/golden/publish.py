"""At export: the golden images through every way that pixels take, then into the version."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kerasnets.artifacts.compare import refuse
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import Format
from kerasnets.artifacts.golden import check
from kerasnets.artifacts.golden.drawn import pictures
from kerasnets.artifacts.golden.stored import Golden, sampled
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.artifacts.reference import RAW, Reference, softmax
from kerasnets.data import pipeline
from kerasnets.data.encoded import Files
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.raw import raw_images
from kerasnets.data.sources import Split
from kerasnets.errors import CheckFailed

Runners = Sequence[tuple[Format, ProcessRunner]]


def publish(directory: Path, reference: Reference, feed: Feed, runners: Runners) -> Golden:
    """Check every way of the golden images against Keras, and write them with Keras' answers into `directory`.

    Raises:
        CheckFailed: training or evaluation decodes a picture to other pixels, or an artefact answers otherwise.
    """
    drawn, preprocessing = pictures(), reference.preprocessing
    raw = check.raw(drawn, preprocessing.channels)
    golden = expect(drawn, raw, reference, feed)
    check_pixels(golden, raw, preprocessing)
    lossy = {}
    for form, runner in runners:
        found = check.answers(runner, raw, feed, preprocessing)["probabilities"]
        if form.LOSSY:
            lossy[form.NAME] = found
        else:
            _hold(form, "image", check.probabilities(drawn, found, golden.probabilities["image"]))
        if "bytes" in form.ENDPOINTS:
            encoded = runner.encoded(list(drawn.values()))["probabilities"]
            _hold(form, "bytes", check.probabilities(drawn, encoded, golden.probabilities["bytes"]))
    golden = Golden(golden.pictures, golden.pixels, golden.probabilities, lossy)
    golden.write(directory, reference.labels)
    return golden


def expect(drawn: dict[str, bytes], raw: Sequence[np.ndarray], reference: Reference, feed: Feed) -> Golden:
    """Return what Keras says of pictures whose pixels are `raw`, each `[1, H, W, C]`."""
    preprocessing = reference.preprocessing
    pixels = [sampled(preprocessing.resized(image, np)[0]) for image in raw]
    fed = [reference.logits(feed.prepare(image, preprocessing), feed) for image in raw]
    rounds = feed.static and feed.dtype == "uint8"  # the client's resize is rounded then; the `bytes` endpoint's never
    whole = [reference.logits(image, RAW) for image in raw] if rounds else fed
    probabilities = {"image": softmax(np.concatenate(fed)), "bytes": softmax(np.concatenate(whole))}
    return Golden(drawn, np.stack(pixels).astype(np.float16), probabilities)


def _hold(form: Format, endpoint: str, difference: check.Difference) -> None:
    if not difference.ok:
        allowed = f"at most {difference.allowed:g} is allowed, and the same top-1"
        refuse(form, "golden images", f"`{endpoint}` differs from Keras by {difference.found}", allowed)


def check_pixels(golden: Golden, raw: Sequence[np.ndarray], preprocessing: Preprocessing) -> None:
    """See that training's pipeline and evaluation make the pixels of the golden images that `predict` makes.

    Raises:
        CheckFailed: a pixel differs by more than a grey level.
    """
    expected = [preprocessing.resized(image, np)[0] for image in raw]
    with tempfile.TemporaryDirectory(prefix="kerasnets-golden-") as folder:
        paths = [Path(folder) / name for name in golden.pictures]
        for path, content in zip(paths, golden.pictures.values(), strict=True):
            path.write_bytes(content)
        split = Split(np.zeros(len(paths), np.int32), None, Files.of(paths), list(golden.pictures))
        _hold_pixels("training's pipeline", golden, list(_trained(split, preprocessing)), expected)
        evaluated = raw_images(split, preprocessing.channels, np.arange(len(split)))
        resized = [preprocessing.resized(image[np.newaxis].astype(np.float32), np)[0] for image in evaluated]
        _hold_pixels("evaluation", golden, resized, expected)


def _hold_pixels(way: str, golden: Golden, found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for name, image, wanted in zip(golden.pictures, found, expected, strict=True):
        largest = float(np.abs(image - wanted).max()) if image.shape == wanted.shape else np.inf
        if not largest <= check.PIXELS:
            raise CheckFailed(
                f"golden images: {way} makes other pixels of {name} than predict, by {largest:.3g} grey levels; at "
                f"most {check.PIXELS:g} is allowed"
            )


def _trained(split: Split, preprocessing: Preprocessing) -> Iterator[np.ndarray]:
    """Yield what training's validation pipeline makes of a split's images `[h, w, C]`, its normalisation undone."""
    found = pipeline.batches(split, preprocessing, classes=1, batch_size=len(split), seed=0, training=False)
    mean = preprocessing.mean if preprocessing.mean_image is None else preprocessing.mean_image
    for images, _ in found:
        yield from np.asarray(images) * np.asarray(preprocessing.std, np.float32) + np.asarray(mean, np.float32)
