"""The README's script for somebody's own Keras model, run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import event_files
import pytest

from kerasnets.telemetry.record import Record

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_readmes_script_runs(tmp_path: Path) -> None:
    script = re.search(r"```python\n(import keras\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    lines = [line for line in script[1].splitlines() if line.strip()]
    assert len(lines) <= 14
    before = (
        "import numpy as np, sklearn.datasets\n"
        "x, y = sklearn.datasets.load_digits(return_X_y=True)\n"
        "x = x.reshape(-1, 8, 8, 1).astype('float32') / 16\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", before + script[1]], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    record = Record.open(tmp_path / "logs")
    assert record is not None
    assert {"gradient", "weight", "update", "activation", "input"} <= set(record.kinds)
    assert len(record.steps.step) == 3 * 57
    tags = set(event_files.read(tmp_path / "logs" / "tensorboard" / "train"))
    assert {"gradients/conv/kernel", "weights/conv/kernel", "activations/conv"} <= tags
    assert (tmp_path / "model.keras").is_file()
