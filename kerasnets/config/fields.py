"""What the sections of the config are made of: bounds of numbers, and words that stand for values."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from kerasnets.errors import nearest

_NULLS = ("", "null", "none", "~")


def none(value: object) -> object:
    """Let `none`, `null`, `~` and an empty word stand for no value."""
    return None if isinstance(value, str) and value.lower() in _NULLS else value


def _square(value: object) -> object:
    """Let `32` and `[32, 40]` both stand for (height, width) in pixels."""
    return (value, value) if isinstance(value, int | str) else value


def in_parts(value: object) -> object:
    """Let one word or a comma-separated list stand for a tuple on the command line."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def or_a_word(word: str, allowed: str) -> WrapValidator:
    """Say in one sentence, not two, what a key takes that is a number or a word."""

    def check(value: Any, check_type: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check_type(value)
        except ValidationError:
            hint = nearest(str(value), [word])
            raise ValueError(f"found {value!r}, allowed: {allowed}{hint}") from None

    return WrapValidator(check)


OrNone = BeforeValidator(none)
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
MOST = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=MOST)]
_Side = Annotated[int, Field(ge=1, le=2**16)]
ImageSize = Annotated[tuple[_Side, _Side], BeforeValidator(_square)]
INTERVAL = r"^([1-9][0-9]*) ?(|steps?|min|minutes?)$"
"""How often something happens, such as `500 steps` or `10 min`."""


class Section(BaseModel):
    """A frozen part of the config that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())
