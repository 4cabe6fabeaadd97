import io
from pathlib import Path

import event_files
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.plugins.pr_curve import summary as reference

from kerasnets.telemetry import summaries


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_image_is_written_as_it_is(tmp_path: Path, kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, kind)
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        summaries.image("group/picture", file.getvalue(), 7)
    (point,) = event_files.read(tmp_path)["group/picture"]
    assert (point.step, point.plugin) == (7, "images")
    assert point.value.tolist() == [b"30", b"20", file.getvalue()]


def test_pr_curve_is_tensorboards_own(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    probabilities, labels = generator.random(500), generator.random(500) < 0.3
    bucket = np.floor(probabilities * 50).astype(int)
    positives, negatives = (np.bincount(bucket[x], minlength=51) for x in (labels, ~labels))
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        summaries.pr_curve("pr_curve/a/b c", positives, negatives, 3)
    (point,) = event_files.read(tmp_path)["pr_curve/a/b c"]
    expected = reference.pb("x", labels, probabilities, num_thresholds=51)
    assert (point.step, point.plugin) == (3, "pr_curves")
    np.testing.assert_allclose(point.value, tf.make_ndarray(expected.value[0].tensor), rtol=1e-6)


def test_pr_curve_of_nothing_is_finite() -> None:
    assert np.isfinite(summaries.curve(np.zeros(51, int), np.zeros(51, int))).all()
