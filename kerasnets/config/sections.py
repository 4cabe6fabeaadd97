"""The sections of the config: every key, its type, its default, what it means."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from kerasnets.errors import UserError, nearest

_NULLS = ("", "null", "none", "~")


def none(value: object) -> object:
    return None if isinstance(value, str) and value.lower() in _NULLS else value


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


def _square(value: object) -> object:
    """Let `32` and `[32, 40]` both stand for (height, width) in pixels."""
    return (value, value) if isinstance(value, int | str) else value


def _tuple(value: object) -> object:
    """Let one word or a comma-separated list stand for a tuple on the command line."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _at_most_one(*names: str) -> str:
    return f"at most one of {', '.join(names)} may be set"


def _or_a_word(word: str, allowed: str) -> WrapValidator:
    """Say in one sentence, not two, what a key takes that is a number or a word."""

    def check(value: Any, check_type: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check_type(value)
        except ValidationError:
            hint = nearest(str(value), [word])
            raise ValueError(f"found {value!r}, allowed: {allowed}{hint}") from None

    return WrapValidator(check)


Optional_ = BeforeValidator(none)
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
_MOST = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=_MOST)]
_Side = Annotated[int, Field(ge=1, le=2**16)]
ImageSize = Annotated[tuple[_Side, _Side], BeforeValidator(_square)]


INTERVAL = r"^([1-9][0-9]*) ?(|steps?|min|minutes?)$"


class Section(BaseModel):
    """A frozen part of the config that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class RandomResizedCrop(Section):
    """A random window of the image, resized to the model's input (Szegedy et al. 2014, sec. 6)."""

    scale: tuple[Positive, Positive] = (0.08, 1.0)
    """Smallest and largest share of the image's area that the window covers."""
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """Smallest and largest width / height of the window."""


class ColorJitter(Section):
    """Random factors in [1 - x, 1 + x]; for hue, a random turn in [-x, x] of the colour circle."""

    brightness: NonNegative = 0.0
    contrast: NonNegative = 0.0
    saturation: NonNegative = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class RandAugment(Section):
    """RandAugment (Cubuk et al. 2019): `layers` random operations, each at `magnitude` of 30."""

    layers: Annotated[int, Field(ge=1, le=8)] = 2
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9


class Augment(Section):
    """Random changes of training images; never part of a model."""

    pad_crop: Count = 0
    """Pad by this many pixels on each side, then crop at random (He et al. 2015, sec. 4.2: 4)."""
    flip: bool = False
    """Mirror left and right with probability 1/2."""
    random_resized_crop: Annotated[RandomResizedCrop | None, Optional_] = None
    color_jitter: Annotated[ColorJitter | None, Optional_] = None
    rand_augment: Annotated[RandAugment | None, Optional_] = None
    random_erasing: Probability = 0.0
    """Probability of erasing a random rectangle (Zhong et al. 2017)."""
    mixup: NonNegative = 0.0
    """Alpha of MixUp's Beta distribution (Zhang et al. 2017); 0 is off."""
    cutmix: NonNegative = 0.0
    """Alpha of CutMix's Beta distribution (Yun et al. 2019); 0 is off."""


class Data(Section):
    """Which images, how they are split, and what becomes of their pixels."""

    source: Literal["digits", "idx", "folder", "npz", "csv", "tfrecord", "tfds"]
    path: Annotated[Path | None, Optional_] = None
    """Folder or file of the images, relative to the working directory; for `tfds` `name:version`. Not for `digits`."""
    tfds_dir: Annotated[Path | None, Optional_] = None
    """Where `tfds` has its data sets; default: TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    class_names: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = ()
    """Of `digits`, `idx` and `npz`, whose labels are numbers: the classes' names, in that order."""
    image_size: Annotated[ImageSize | None, Optional_] = None
    """Height and width of the model's input in pixels; default: the images' own size, 224 for files."""
    channels: Annotated[Literal[1, 3] | None, BeforeValidator(lambda v: int(v) if v in ("1", "3") else none(v))] = None
    """1 (grey) or 3 (RGB); default: the images' own, 3 for files."""
    validation_split: Share = 0.2
    """Share of the training images held out, per class, where the source has no validation split."""
    test_split: Share = 0.0
    """Share of the training images held out for a final test, where the source has no test split."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """crop: shorter side to size, central crop; squash: ignore the aspect ratio; pad: longer side to size."""
    crop_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the resized shorter side that the central crop keeps (ImageNet recipes: 0.875)."""
    normalize: Literal["dataset", "imagenet", "mean_image", "unit", "none"] = "dataset"
    """dataset: mean and std of the training split; mean_image: subtract its mean picture; unit: 0..1; none: 0..255."""
    skip_corrupt: bool = False
    """Leave unreadable files out (counted and listed in the run) instead of stopping."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Decode and resize files once and keep the pixels, float32: in memory, or in a file that later runs use too."""
    cache_dir: Annotated[Path | None, Optional_] = None
    """Directory of the files of `cache: disk`, which may be removed at any time; default: the user's cache."""
    workers: Count = 0
    """Images decoded at the same time; 0: one a core."""
    augment: Augment = Augment()

    @model_validator(mode="after")
    def _path_fits_source(self) -> Self:
        if (self.path is None) != (self.source == "digits"):
            wants = "takes no data.path" if self.source == "digits" else "needs data.path"
            raise ValueError(f"source '{self.source}' {wants}")
        if self.class_names and self.source not in ("digits", "idx", "npz"):
            raise ValueError(f"class_names goes with digits, idx and npz; source '{self.source}' has names of its own")
        if self.tfds_dir is not None and self.source != "tfds":
            raise ValueError(f"tfds_dir goes with source 'tfds', not '{self.source}'")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("class_names holds a name twice")
        if self.validation_split + self.test_split >= 1:
            raise ValueError("validation_split and test_split together leave nothing to train on")
        return self


class Training(Section):
    """How the weights are learnt."""

    epochs: Annotated[int, Field(ge=1, le=_MOST)] = 30
    batch_size: Annotated[
        Annotated[int, Field(ge=1, le=_MOST)] | Literal["auto"], _or_a_word("auto", "'auto' or a whole number above 0")
    ] = 128
    """Images of an optimizer step; auto: the fewest that fit and come within 5 % of the best speed, as measured."""
    accumulate: Annotated[int, Field(ge=1, le=_MOST)] = 1
    """Parts in which a batch goes through the network, to need about that much less memory for activations: gradients
    are summed, so a step stays a step. Batch normalisation sees parts, not batches."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[Positive | Literal["find"], _or_a_word("find", "'find' or a number above 0")] = 0.1
    """Peak learning rate; find: by a range test before the first step (Smith 2015, sec. 3.3)."""
    momentum: Share = 0.9
    """Of SGD."""
    nesterov: bool = False
    """Nesterov's momentum, for SGD."""
    beta_1: Share = 0.9
    """Of Adam and AdamW."""
    beta_2: Share = 0.999
    """Of Adam and AdamW."""
    epsilon: Positive = 1e-7
    """Of Adam and AdamW."""
    weight_decay: NonNegative = 0.0
    """Strength; applies to kernels only, never to biases or batch normalisation."""
    weight_decay_kind: Annotated[Literal["l2", "decoupled"] | None, Optional_] = None
    """l2: w * strength joins the gradient; decoupled (with adamw): w -= rate * strength * w (Loshchilov 2017)."""
    schedule: Literal["constant", "step", "cosine", "one_cycle"] = "cosine"
    warmup_epochs: NonNegative = 0.0
    """Epochs in which the rate climbs linearly from 0 (one_cycle: to its peak)."""
    step_epochs: Annotated[tuple[Positive, ...], BeforeValidator(_tuple)] = ()
    """Epochs after which the rate is multiplied by step_factor, for `schedule: step`."""
    step_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    label_smoothing: Share = 0.0
    clip_value: Annotated[Positive | None, Optional_] = None
    """Clip each entry of the gradient to [-x, x]."""
    clip_norm: Annotated[Positive | None, Optional_] = None
    """Clip each variable's gradient to this l2 norm."""
    clip_global_norm: Annotated[Positive | None, Optional_] = None
    """Clip all gradients together to this l2 norm."""
    early_stopping: Annotated[Annotated[int, Field(ge=1, le=_MOST)] | None, Optional_] = None
    """Stop after so many epochs without a better validation result."""
    monitor: Literal["accuracy", "loss"] = "accuracy"
    """What, on the validation split and the main head alone, decides which weights are best."""
    ema: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Optional_] = None
    """Momentum of a moving average of the weights, which then is what is validated and saved."""
    class_weights: Annotated[Literal["balanced"] | dict[str, Positive] | None, Optional_] = None
    """balanced: inverse to the classes' frequency; or a weight for each named class."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """What layers compute in; weights stay float32. float16 scales the loss."""
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """On NaN or Inf: stop and name the layer and step, or restore the last good weights with a lower rate."""
    rollback_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What each rollback multiplies the learning rate by."""
    checkpoint_every: Annotated[str, BeforeValidator(str), Field(pattern=INTERVAL)] = "10 min"
    """Between two checkpoints within an epoch, such as `500 steps` or `10 min`; each epoch's end has one besides."""
    max_memory: Annotated[
        Positive | Literal["auto"] | None, _or_a_word("auto", "'auto', 'none' or a number of gigabytes"), Optional_
    ] = "auto"
    """Gigabytes that training may take; auto: what is free, of the machine or the container; none: no limit."""
    strategy: Literal["auto", "none", "mirrored", "multi_worker"] = "auto"
    """mirrored: all GPUs of a machine; multi_worker: the machines in TF_CONFIG; auto: whichever of them there are."""
    threads: Count = 0
    """Threads of one operation; 0: one a core. Results are bit-identical only for the same number."""

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        if not isinstance(values, dict) or none(values.get("weight_decay_kind")) is not None:
            return values
        return values | {"weight_decay_kind": "decoupled" if values.get("optimizer") == "adamw" else "l2"}

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.optimizer == "adamw" and self.weight_decay_kind == "l2":
            raise ValueError("weight_decay_kind 'l2' does not go with optimizer 'adamw'; take 'adam' or 'decoupled'")
        clips = ("clip_value", "clip_norm", "clip_global_norm")
        if sum(getattr(self, name) is not None for name in clips) > 1:
            raise ValueError(_at_most_one(*clips))
        if self.schedule == "step" and not self.step_epochs:
            raise ValueError("schedule 'step' needs step_epochs, such as [80, 120]")
        if self.schedule != "step" and self.step_epochs:
            raise ValueError(f"step_epochs only goes with schedule 'step', not '{self.schedule}'")
        if list(self.step_epochs) != sorted(set(self.step_epochs)):
            raise ValueError("step_epochs must grow")
        if self.batch_size != "auto" and self.accumulate > self.batch_size:
            raise ValueError(f"accumulate {self.accumulate} is more than the {self.batch_size} images of a batch")
        if self.nesterov and self.optimizer != "sgd":
            raise ValueError(f"nesterov only goes with optimizer 'sgd', not '{self.optimizer}'")
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(f"warmup_epochs {self.warmup_epochs:g} leaves none of the {self.epochs} epochs")
        return self

    @property
    def batch(self) -> int:
        """`batch_size` of a config where it is a number; else raises UserError."""
        if self.batch_size == "auto":
            raise UserError("training.batch_size=auto is for `kerasnets train`, which measures it; give a number here")
        return self.batch_size

    @property
    def rate(self) -> float:
        """`learning_rate` of a config where it is a number; else raises UserError."""
        if self.learning_rate == "find":
            raise UserError("training.learning_rate=find is for `kerasnets train`, which tests it; give a number here")
        return self.learning_rate


def _in_order(steps: tuple[int, int]) -> tuple[int, int]:
    if steps[0] > steps[1]:
        raise ValueError(f"first step {steps[0]} is after the last, {steps[1]}")
    return steps


_Step = Annotated[int, Field(ge=1, le=_MOST)]
_Steps = Annotated[tuple[_Step, _Step], AfterValidator(_in_order)]


class Telemetry(Section):
    """What is seen of training: in TensorBoard, in the run's tables, by the doctor."""

    every: Count = 100
    """Optimizer steps between two samples of weights, gradients, updates and activations; the first too. 0: none."""
    passes_every: Annotated[int, Field(ge=1, le=_MOST)] = 500
    """Optimizer steps between two samples that take passes of their own: each head's gradients, inference mode."""
    activations: bool = True
    """Sample activations, dead units and saturation."""
    histograms: bool = True
    """Histograms of what is sampled."""
    images: bool = True
    """Pictures of the first, the last and up to 20 epochs between: gradients, dead units, confusion, mistakes."""
    pr_curves: bool = True
    """Precision-recall curves, in the same epochs; of many classes, of the 25 hardest."""
    embeddings: Count = 1000
    """Validation images whose penultimate activations go to the projector when training ends; 0: none."""
    graph: bool = True
    """The graph of the model."""
    profile: Annotated[_Steps | None, Optional_] = None
    """First and last optimizer step of a profiler trace, such as [20, 25]."""
    max_megabytes: Positive = 50.0
    """Limit of a run's event files: the interval of samples doubles as it nears, and what would not fit is left out."""
    doctor: bool = True
    """Warn of findings while training."""
    report: bool = True
    """Write report.html when training ends."""


def _known_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    if not formats or len(set(formats)) < len(formats):
        raise ValueError("name each wanted format once")
    return formats


class Export(Section):
    """What `kerasnets export` writes."""

    formats: Annotated[
        tuple[Literal["savedmodel", "onnx"], ...], BeforeValidator(_tuple), AfterValidator(_known_formats)
    ] = ("savedmodel", "onnx")
    static_shape: bool = False
    """Fix height and width of the input to the model's own size, for servers that want that."""
    input_dtype: Literal["float32", "uint8"] = "float32"


class Model(Section):
    """Name of a model of `kerasnets models`, and any of its options."""

    model_config = ConfigDict(extra="allow")

    name: str

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, raw: Any) -> Any:
        """Fill in every option of the named model; the table of models knows which there are and what they take."""
        from kerasnets.models import specs

        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            return raw
        given = {key: _guess(value) for key, value in raw.items() if key != "name"}
        return {"name": raw["name"], **asdict(specs.options(raw["name"], given))}

    @property
    def options(self) -> dict[str, Any]:
        """Every option of the model, resolved, as `kerasnets.models.build` takes them."""
        return dict(self.model_extra or {})


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

    def dump(self) -> str:
        """Return the resolved config as YAML that `load` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
