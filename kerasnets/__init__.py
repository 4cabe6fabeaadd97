"""kerasnets: train GoogLeNet and ResNet classifiers in Keras, see why a run works, ship a verified model.

The names below are imported when first used, so that `import kerasnets` needs no TensorFlow.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kerasnets.artifacts.export import export
    from kerasnets.config import load as load_config
    from kerasnets.doctor.diagnose import diagnose
    from kerasnets.models import build as build_model
    from kerasnets.models.pretrained import load as load_pretrained
    from kerasnets.run import Run
    from kerasnets.training.resume import resume
    from kerasnets.training.train import train

_HOMES = {
    "Run": ("kerasnets.run", "Run"),
    "build_model": ("kerasnets.models", "build"),
    "diagnose": ("kerasnets.doctor.diagnose", "diagnose"),
    "export": ("kerasnets.artifacts.export", "export"),
    "load_config": ("kerasnets.config", "load"),
    "load_pretrained": ("kerasnets.models.pretrained", "load"),
    "resume": ("kerasnets.training.resume", "resume"),
    "train": ("kerasnets.training.train", "train"),
}
__all__ = ["Run", "build_model", "diagnose", "export", "load_config", "load_pretrained", "resume", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kerasnets' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
