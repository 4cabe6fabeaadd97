"""What is compared: our training, and what a user would write instead. Imports neither TensorFlow nor torch."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Self

from kerasnets.errors import UserError, nearest
from kerasnets.models import specs
from kerasnets.models.specs import SMALL_STEM_UP_TO, GoogLeNetOptions, ResNetOptions

OURS, KERAS, APPLICATIONS, TORCH, COMPILED = "kerasnets", "keras", "keras-applications", "torch", "torch-compile"
AGAINST = (KERAS, APPLICATIONS, TORCH)
"""What can be asked for; torch stands for its loop as it is and under `torch.compile`."""
FULL = "float32"
LEARNING_RATE, MOMENTUM = 0.01, 0.9
WHAT = {
    OURS: "model.fit of what `kerasnets train` makes of a config, with telemetry.every=0",
    KERAS: "model.fit of the same network in stock Keras layers, compiled with metrics=['accuracy']; in less than "
    "float32 under the global policy mixed_…",
    APPLICATIONS: "the same with keras.applications.ResNet50(weights=None, classifier_activation=None)",
    TORCH: "a plain loop (zero_grad, forward, loss, backward, step) over a plain PyTorch definition of the same "
    "network, channels_last; in less than float32 under torch.autocast",
    COMPILED: "the same with torch.compile(model), whose caches are empty",
}
SAME = (
    "each arm in a process of its own, on the same batch of noise, which is in memory before the first step; SGD with "
    f"momentum {MOMENTUM} and rate {LEARNING_RATE}; cross-entropy of logits, of every head with its weight; "
    "jit_compile=False; no telemetry"
)
_COMPILERS = ("g++", "clang++", "c++")  # of which inductor looks for the first two
_DEFAULT_BATCH = {True: 128, False: 32}


@dataclass(frozen=True)
class Network:
    """What is trained: a row of the models' table, and the images of a batch."""

    model: str
    batch: int

    @classmethod
    def of(cls, name: str, batch: int | None) -> Self:
        """Return the network of that name; its default batch is 128 up to 64 pixels, else 32.

        Raises:
            UserError: there is none.
        """
        if specs.is_own(name):
            raise UserError(f"--models {name}: this measures models of `kerasnets models`")
        try:
            shape = specs.row(name).input_shape
        except UserError as error:
            raise UserError(f"--models: {error}") from None
        return cls(name, batch or _DEFAULT_BATCH[min(shape[:2]) <= SMALL_STEM_UP_TO])


@dataclass(frozen=True)
class Arm:
    """One of those that are compared.

    Attributes:
        kind: a key of `WHAT`.
        precision: what layers compute in: float32, bfloat16, float16; of ours also auto, which the process settles.
    """

    kind: str
    precision: str

    def __str__(self) -> str:
        return f"{self.kind} {self.precision}"


@dataclass(frozen=True)
class Task:
    """What a process is told: the arm, on the network."""

    arm: Arm
    network: Network

    def dump(self) -> str:
        """Return it as the word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, word: str) -> Self:
        """Read what `dump` wrote."""
        found = json.loads(word)
        return cls(Arm(**found["arm"]), Network(**found["network"]))


def check_against(words: Sequence[str]) -> None:
    """Raise UserError for what cannot be compared with, with the nearest that can."""
    for word in words:
        if word not in AGAINST:
            raise UserError(f"--against {word}: there are {', '.join(AGAINST)}{nearest(word, AGAINST)}")


def others(model: str, against: Sequence[str], reduced: str, why: str) -> tuple[list[Arm], dict[str, str]]:
    """Return what else runs beside ours in `reduced` precision and Keras in float32, and why what does not.

    Args:
        model: name of the network.
        against: of `AGAINST`.
        reduced: what the others compute in beside float32.
        why: said where that is float32, too.
    """
    lower = [] if reduced == FULL else [reduced]
    arms = [Arm(OURS, FULL)] if lower else []
    left_out: dict[str, str] = {}
    for kind in (KERAS, APPLICATIONS, TORCH, COMPILED):
        if (TORCH if kind == COMPILED else kind) not in against:
            continue
        if (reason := _missing(kind, model)) is not None:
            left_out[kind] = reason
            continue
        found = [Arm(kind, precision) for precision in (FULL, *lower)]
        arms += found[1:] if kind == KERAS else found[-1:] if kind == COMPILED else found
    if not lower:
        left_out["less than float32"] = why
    return arms, left_out


def in_torch(model: str) -> bool:
    """Tell whether `torch_models` has a definition of a model."""
    row = specs.row(model)
    if isinstance(row.options, ResNetOptions):
        return not row.options.pre_activation
    return isinstance(row.options, GoogLeNetOptions) and row.options.five == "5x5"


def _missing(kind: str, model: str) -> str | None:
    """Say why an arm cannot run here, with the command that changes it; None where it can."""
    if kind == APPLICATIONS and model != "resnet50":
        return f"it has no {model}; of the models here it has resnet50 as the paper has it"
    if kind in (TORCH, COMPILED) and not in_torch(model):
        return f"this benchmark has no PyTorch definition of {model}"
    if kind in (TORCH, COMPILED) and find_spec("torch") is None:
        return "needs torch: pip install torch"
    if kind == COMPILED and not (os.environ.get("CXX") or any(shutil.which(name) for name in _COMPILERS)):
        return "needs a C++ compiler: apt-get install g++"
    return None
