"""The whole config, and its smaller sections: model, telemetry, export. Every key has its type, default and meaning."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from kerasnets.config.data import Data
from kerasnets.config.fields import MOST, Count, OrNone, Positive, Section, in_parts, none
from kerasnets.config.training import Training
from kerasnets.models.stages import Stages


def _guess(value: object) -> object:
    """Give the text of a model's option the type that YAML sees in it; its kind then checks that."""
    if isinstance(value, list | tuple):
        return [_guess(item) for item in value]
    if not isinstance(value, str) or not value:
        return value
    try:
        found = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):  # such as a date that is none, or 5,000 digits
        return value
    items = found if isinstance(found, list) else [found]
    return found if all(item is None or isinstance(item, str | int | float) for item in items) else value


def _in_order(steps: tuple[int, int]) -> tuple[int, int]:
    if steps[0] > steps[1]:
        raise ValueError(f"first step {steps[0]} is after the last, {steps[1]}")
    return steps


_Step = Annotated[int, Field(ge=1, le=MOST)]
_Steps = Annotated[tuple[_Step, _Step], AfterValidator(_in_order)]


class Telemetry(Section):
    """What is seen of training: in TensorBoard, in the run's tables, by the doctor."""

    every: Count = 100
    """Optimizer steps between two samples of weights, gradients, updates, activations; some early ones too. 0: none."""
    passes_every: Annotated[int, Field(ge=1, le=MOST)] = 500
    """Optimizer steps between two samples that take passes of their own: each head's gradients, inference mode."""
    activations: bool = True
    """Sample activations, dead units and saturation."""
    histograms: bool = True
    """Histograms of what is sampled."""
    images: bool = True
    """Pictures of epochs 1, 2, 4, 8 … and the last: gradients, dead units, confusion, mistakes."""
    pr_curves: bool = True
    """Precision-recall curves, in the same epochs; of many classes, of the 25 hardest."""
    embeddings: Count = 1000
    """Validation images whose penultimate activations go to the projector when training ends; 0: none."""
    graph: bool = True
    """The graph of the model."""
    profile: Annotated[_Steps | None, OrNone] = None
    """First and last optimizer step of a profiler trace, such as [20, 25]."""
    max_megabytes: Positive = 50.0
    """Limit of a run's event files: the interval of samples doubles as it nears, and what would not fit is left out."""
    doctor: bool = True
    """Warn of findings while training."""
    report: bool = True
    """Write report.html when training ends."""


_Format = Literal["savedmodel", "onnx", "onnx-int8", "litert", "litert-int8", "openvino", "web"]


def _known_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    if not formats or len(set(formats)) < len(formats):
        raise ValueError("name each wanted format once")
    return formats


class Export(Section):
    """What `kerasnets export` writes."""

    formats: Annotated[tuple[_Format, ...], BeforeValidator(in_parts), AfterValidator(_known_formats)] = (
        "savedmodel",
        "onnx",
    )
    """Files to write, each verified."""
    max_accuracy_drop: Annotated[float, Field(ge=0, le=100)] = 0.5
    """Percentage points by which an int8 format's accuracy on held-out images may fall below the model's."""
    static_shape: bool = False
    """Fix height and width of the input to the model's own size, for servers that want that."""
    input_dtype: Literal["float32", "uint8"] = "float32"
    calibrate: bool = False
    """Fit a temperature on the validation split and divide logits by it, so that probabilities can be believed."""
    unknown_below: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, OrNone] = None
    """Add the output `unknown`: true where the best probability is below this; none: no such output."""


class Model(Section):
    """Name of a model of `kerasnets models` and any of its options, or a model of your own; and what it begins with."""

    model_config = ConfigDict(extra="allow")

    name: str
    """One of `kerasnets models`; or `package.module:function`, or the path of a `.keras` file."""
    pretrained: Annotated[Path | None, OrNone] = None
    """File or run whose weights training begins with: .safetensors, .pth, .h5, .keras, or a run directory."""
    freeze: Annotated[str, BeforeValidator(lambda value: "none" if none(value) is None else value)] = "none"
    """What is not trained: stem, a stage and all before it (such as conv3), backbone (all but the head), or none."""
    thaw_after: Annotated[Annotated[int, Field(ge=1, le=MOST)] | None, OrNone] = None
    """Epochs after which what is frozen is trained too; none: it stays frozen."""

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, raw: Any) -> Any:
        """Fill in every option of the named model; the table of models knows which there are and what they take."""
        from kerasnets.models import specs

        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            return raw
        own = {key: value for key, value in raw.items() if key in cls.model_fields}
        given = {key: _guess(value) for key, value in raw.items() if key not in own}
        if specs.is_own(raw["name"]):  # nothing of it is imported before it is built
            return own | given
        return own | asdict(specs.options(raw["name"], given, tuple(cls.model_fields)))

    @model_validator(mode="after")
    def _freezes_what_is_there(self) -> Self:
        if self.stages is not None:
            self.stages.up_to(self.freeze)
        if self.freeze == "none" and self.thaw_after is not None:
            raise ValueError("model.thaw_after has no effect with model.freeze=none")
        return self

    @property
    def own(self) -> bool:
        """Whether it is the user's own; its options then mean what its function says."""
        from kerasnets.models import specs

        return specs.is_own(self.name)

    @property
    def options(self) -> dict[str, Any]:
        """Every option of the model, resolved, as `kerasnets.models.build` takes them."""
        return dict(self.model_extra or {})

    @property
    def stages(self) -> Stages | None:
        """The model's stages; None of one that is the user's own, whose layers are not known before it is built."""
        from kerasnets.models import specs

        return None if self.own else specs.options(self.name, self.options).stages()


class Config(Section):
    """All that decides a run; `kerasnets config schema` prints its JSON schema."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    """Names the run directory and the exported model: letters, digits, dot, dash, underscore."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    model: Model
    data: Data
    training: Training = Training()
    telemetry: Telemetry = Telemetry()
    export: Export = Export()

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, raw: Any) -> Any:
        """Without pretrained weights it is known what `data.normalize=auto` stands for."""
        if not isinstance(raw, dict):
            return raw
        model, data = raw.get("model"), raw.get("data")
        scratch = isinstance(model, dict) and none(model.get("pretrained")) is None
        if scratch and isinstance(data, dict) and data.get("normalize", "auto") == "auto":
            return raw | {"data": data | {"normalize": "dataset"}}
        return raw

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        if self.model.stages is not None:
            self.model.stages.rates(self.training.layer_multipliers or {})
        thaw, epochs = self.model.thaw_after, self.training.epochs
        if thaw is not None and thaw >= epochs:
            raise ValueError(f"model.thaw_after={thaw} leaves none of the {epochs} epochs for what is thawed")
        if self.data.normalize == "pretrained" and self.model.pretrained is None:
            raise ValueError("data.normalize=pretrained goes with model.pretrained, which is not given")
        return self

    def dump(self) -> str:
        """Return the resolved config as YAML that `load` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
