"""The typed config. Imports no TensorFlow."""

from kerasnets.config.loading import check, find, load, override, schema, shipped, update
from kerasnets.config.sections import Augment, Config, Data, Export, Model, Telemetry, Training

__all__ = [
    "Augment",
    "Config",
    "Data",
    "Export",
    "Model",
    "Telemetry",
    "Training",
    "check",
    "find",
    "load",
    "override",
    "schema",
    "shipped",
    "update",
]
