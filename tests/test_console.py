"""What is imported before training starts, and what is not."""

import json
import subprocess
import sys

_SCRIPT = """
import json, sys
from kerasnets.console import import_tensorflow
import_tensorflow()
import kerasnets.training.train
found = [name in sys.modules for name in ("keras", "tensorflow", "sklearn", "matplotlib", "pandas")]
from sklearn.datasets import load_digits
import matplotlib.pyplot
json.dump([found, len(load_digits().target)], sys.stdout)
"""


def test_training_comes_without_packages_that_its_start_can_do_without_and_these_come_when_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[True, True, False, False, False], 1797]
    assert done.stderr == ""
