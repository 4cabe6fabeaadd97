"""The typed config. Imports no TensorFlow."""

from kerasnets.config.data import Augment, Data
from kerasnets.config.loading import check, find, load, override, schema, shipped, update
from kerasnets.config.sections import Config, Export, Model, Telemetry
from kerasnets.config.training import Training

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
