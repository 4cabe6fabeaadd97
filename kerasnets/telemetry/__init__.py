"""What is seen of a run while it trains: observers of the step, the probe, and what they write.

In a script of your own: `ObservedModel(net, [probe])` trains a functional Keras model, `Probe` looks into its steps,
and the callback `ProbeWriter` writes what it saw. The names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasnets.telemetry.nonfinite import NonFinite
    from kerasnets.telemetry.observed import ObservedModel
    from kerasnets.telemetry.observers import Observer
    from kerasnets.telemetry.probe import Probe
    from kerasnets.telemetry.record import Record
    from kerasnets.telemetry.writer import ProbeWriter

_HOMES = {
    "NonFinite": "nonfinite",
    "ObservedModel": "observed",
    "Observer": "observers",
    "Probe": "probe",
    "ProbeWriter": "writer",
    "Record": "record",
}
__all__ = ["NonFinite", "ObservedModel", "Observer", "Probe", "ProbeWriter", "Record"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kerasnets.telemetry' has no attribute '{name}'")
    return getattr(import_module(f"kerasnets.telemetry.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
