"""A prediction of memory to look at: for a terminal and as JSON."""

from dataclasses import dataclass
from typing import Any, Self

from rich.table import Table

from kerasnets.models import memory

_WORDS = {
    "weights": "of the network that trains and of the plain one that is saved, float32",
    "optimizer": "momentum of each weight",
    "gradients": "of weights, at the moment when the step holds the most",
    "activations": "kept for the backward pass",
    "transient": "gradients of activations on their way back, and the optimizer's sums",
    "graph": "layers, traced graph and kernels, by the number of layers",
}


@dataclass(frozen=True)
class Prediction:
    """What a training step of a model takes.

    Attributes:
        batch: images of the step.
        precision: what layers compute in.
        memory: as predicted.
        base: bytes that TensorFlow takes before there is a network; None where the system does not tell.
    """

    batch: int
    precision: str
    memory: memory.Memory
    base: int | None

    @classmethod
    def of(cls, model: Any, batch: int, precision: str, base: int | None) -> Self:
        """Predict for a model as `complexity.outline` makes it."""
        return cls(batch, precision, memory.predict(model, batch, precision), base)

    @property
    def process(self) -> int | None:
        """Return the bytes of the whole process; None where its base is not known."""
        return None if self.base is None else self.base + self.memory.total

    def document(self) -> dict[str, Any]:
        """Return what JSON says of it, in bytes."""
        about = {"batch": self.batch, "precision": self.precision}
        return about | self.memory.document() | {"base": self.base, "process": self.process}

    def table(self) -> Table:
        """Return a row for each kind."""
        shown = Table("memory", box=None, header_style="bold")
        shown.add_column("MB", justify="right")
        shown.add_column(f"a training step on {self.batch:,} images, {self.precision}")
        found = self.memory.document()
        for name, words in _WORDS.items():
            shown.add_row(name, _mb(found[name]), words)
        shown.add_row("all", _mb(self.memory.total), "by which the process grows", style="bold")
        if self.base is not None and self.process is not None:
            shown.add_row("TensorFlow", _mb(self.base), "Python and libraries, as measured in this process")
            shown.add_row("process", _mb(self.process), style="bold")
        return shown


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f}"
