"""The config's section `training`: steps, optimizer, schedule, precision, memory, machines."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from kerasnets.config.fields import (
    INTERVAL,
    MOST,
    Count,
    NonNegative,
    OrNone,
    Positive,
    Section,
    Share,
    in_parts,
    none,
    or_a_word,
)
from kerasnets.errors import UserError


def _at_most_one(*names: str) -> str:
    return f"at most one of {', '.join(names)} may be set"


class Training(Section):
    """How the weights are learnt."""

    epochs: Annotated[int, Field(ge=1, le=MOST)] = 30
    batch_size: Annotated[
        Annotated[int, Field(ge=1, le=MOST)] | Literal["auto"], or_a_word("auto", "'auto' or a whole number above 0")
    ] = 128
    """Images of an optimizer step; auto: the fewest that fit and come within 5 % of the best speed, as measured."""
    accumulate: Annotated[int, Field(ge=1, le=MOST)] = 1
    """Parts in which a batch goes through the network, to need about that much less memory for activations: gradients
    are summed, so a step stays a step. Batch normalisation sees parts, not batches."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[Positive | Literal["find"], or_a_word("find", "'find' or a number above 0")] = 0.1
    """Peak learning rate; find: by a range test before the first step (Smith 2015, sec. 3.3)."""
    layer_multipliers: Annotated[dict[str, Positive] | None, OrNone] = None
    """What the rate of stages is multiplied by, such as {stem: 0.1, conv2: 0.1}: stem, head, or how names begin."""
    layer_decay: Annotated[Annotated[float, Field(gt=0, le=1)] | None, OrNone] = None
    """What each stage's rate is of that of the next, from the head's on (Howard, Ruder 2018); beside multipliers."""
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
    weight_decay_kind: Annotated[Literal["l2", "decoupled"] | None, OrNone] = None
    """l2: w * strength joins the gradient; decoupled (with adamw): w -= rate * strength * w (Loshchilov 2017)."""
    schedule: Literal["constant", "step", "cosine", "one_cycle"] = "cosine"
    warmup_epochs: NonNegative = 0.0
    """Epochs in which the rate climbs linearly from 0 (one_cycle: to its peak)."""
    step_epochs: Annotated[tuple[Positive, ...], BeforeValidator(in_parts)] = ()
    """Epochs after which the rate is multiplied by step_factor, for `schedule: step`."""
    step_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    label_smoothing: Share = 0.0
    clip_value: Annotated[Positive | None, OrNone] = None
    """Clip each entry of the gradient to [-x, x]."""
    clip_norm: Annotated[Positive | None, OrNone] = None
    """Clip each variable's gradient to this l2 norm."""
    clip_global_norm: Annotated[Positive | None, OrNone] = None
    """Clip all gradients together to this l2 norm."""
    early_stopping: Annotated[Annotated[int, Field(ge=1, le=MOST)] | None, OrNone] = None
    """Stop after so many epochs without a better validation result."""
    monitor: Literal["accuracy", "loss"] = "accuracy"
    """What, on the validation split and the main head alone, decides which weights are best."""
    ema: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, OrNone] = None
    """Momentum of a moving average of the weights, which then is what is validated and saved."""
    class_weights: Annotated[Literal["balanced"] | dict[str, Positive] | None, OrNone] = None
    """balanced: inverse to the classes' frequency; or a weight for each named class."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What layers compute in; weights stay float32. auto: as a short timing says. float16 scales the loss."""
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """On NaN or Inf: stop and name the layer and step, or restore the last good weights with a lower rate."""
    rollback_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What each rollback multiplies the learning rate by."""
    checkpoint_every: Annotated[str, BeforeValidator(str), Field(pattern=INTERVAL)] = "10 min"
    """Between two checkpoints within an epoch, such as `500 steps` or `10 min`; each epoch's end has one besides."""
    max_memory: Annotated[
        Positive | Literal["auto"] | None, or_a_word("auto", "'auto', 'none' or a number of gigabytes"), OrNone
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
