"""What cost is measured against: batch, image size, depth, width. Imports neither TensorFlow nor Keras."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from kerasnets.errors import UserError, nearest
from kerasnets.models import specs
from kerasnets.models.specs import SMALL_STEM_UP_TO, GoogLeNetOptions, ResNetOptions

_SERIES = re.compile(r"(resnet|plain)(\d+)")
_BATCH = {True: 32, False: 8}
"""While other things grow; by whether images are small."""


@dataclass(frozen=True)
class Point:
    """A training that is measured.

    Attributes:
        model: a name of `kerasnets models`.
        batch: images of a step.
        size: height and width in pixels.
        width: by what the channels of every convolution are multiplied.
    """

    model: str
    batch: int
    size: int
    width: float = 1.0

    @classmethod
    def of(cls, name: str) -> Self:
        """Return where the axes meet: the model as it was published, on batches of 32 up to 64 pixels, else of 8.

        Raises:
            UserError: there is no such model, or it is the user's own.
        """
        if specs.is_own(name):
            raise UserError(f"{name} is a model of your own; this measures models of `kerasnets models`")
        size = min(specs.row(name).input_shape[:2])
        return cls(name, _BATCH[size <= SMALL_STEM_UP_TO], size)

    def options(self) -> dict[str, Any]:
        """Return the options of the model that its width stands for, and those that keep it the same at its size."""
        row = specs.row(self.model)
        published, here = (specs.resolve(row.options, shape) for shape in (row.input_shape, self.shape))
        found = {} if here == published else {"stem": published.stem}  # type: ignore[attr-defined]
        if self.width == 1:
            return found
        if isinstance(row.options, ResNetOptions):
            return found | {"widths": [max(1, round(channels * self.width)) for channels in row.options.widths]}
        return found | {"width": self.width}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of its images."""
        return self.size, self.size, specs.row(self.model).input_shape[2]

    def check(self) -> None:
        """Raise UserError if the model cannot be so."""
        chosen = specs.options(self.model, self.options())
        specs.check_input(self.model, chosen, self.shape, specs.row(self.model).classes)


@dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes:
        label: with its unit, as it stands at the axis of a chart.
        values: that are measured, unless others are asked for.
        at: a point moved to a value.
        where: the value of a point.
        whole: its values are whole numbers.
    """

    label: str
    values: Callable[[Point], tuple[float, ...]]
    at: Callable[[Point, float], Point]
    where: Callable[[Point], float]
    whole: bool = True


def _depth(point: Point) -> float:
    found = _SERIES.fullmatch(point.model)
    return float(found[2]) if found else 0.0


def _at_depth(point: Point, layers: float) -> Point:
    name = _SERIES.sub(rf"\g<1>{layers:.0f}", point.model)
    specs.row(name)  # raises UserError for layers that the family does not have
    return replace(point, model=name, batch=_BATCH[False])


AXES: Mapping[str, Axis] = {
    "batch": Axis(
        "batch, images",
        lambda point: tuple(point.batch * factor for factor in (0.25, 1, 4, 16)),
        lambda point, value: replace(point, batch=int(value)),
        lambda point: point.batch,
    ),
    "size": Axis(
        "height and width, pixels",
        lambda point: tuple(point.size * factor for factor in (0.5, 1, 2, 4)),
        lambda point, value: replace(point, size=int(value)),
        lambda point: point.size,
    ),
    "depth": Axis("depth, layers", lambda point: (20, 56, 110, 326, 1202), _at_depth, _depth),
    "width": Axis(
        "width, times the channels",
        lambda point: (0.5, 1, 2, 4),
        lambda point, value: replace(point, width=value),
        lambda point: point.width,
        whole=False,
    ),
}


def chosen(point: Point, over: str | None, at: Sequence[str]) -> dict[str, list[Point]]:
    """Return the points of each axis.

    Args:
        point: where the axes meet.
        over: names of axes, with commas between; None: all that the model has.
        at: `axis=value,value,…`: what is measured instead of an axis' own values.

    Raises:
        UserError: no such axis or value, or one that the model does not have.
    """
    values = _asked(at)
    names = _there(point) if over is None else list(dict.fromkeys(word.strip() for word in over.split(",")))
    for option, given in (("--over", names), ("--at", values)):
        for name in given:
            _check(option, name, point)
    for name in values:
        if name not in names:
            raise UserError(f"--at {name}=…: --over {over} leaves {name} out")
    found = {}
    for name in names:
        axis = AXES[name]
        wanted = values.get(name) or axis.values(point)
        if axis.whole and any(value != int(value) for value in wanted):
            raise UserError(f"--at {name}=…: give whole numbers")
        found[name] = [axis.at(point, value) for value in wanted]
        for moved in found[name]:
            moved.check()
    return found


def _there(point: Point) -> list[str]:
    """Return the axes that a model has."""
    row = specs.row(point.model)
    wide = isinstance(row.options, ResNetOptions | GoogLeNetOptions)
    deep = _SERIES.fullmatch(point.model) is not None and row.input_shape[0] <= SMALL_STEM_UP_TO
    lacking = {name for name, has in (("width", wide), ("depth", deep)) if not has}
    return [name for name in AXES if name not in lacking]


def _check(option: str, name: str, point: Point) -> None:
    if name not in AXES:
        raise UserError(f"{option} {name}: there are {', '.join(AXES)}{nearest(name, AXES)}")
    if name not in _there(point):
        has = "of the CIFAR family alone, as resnet20" if name == "depth" else "of ResNets and GoogLeNets alone"
        raise UserError(f"{option} {name}: that is {has}; {point.model} has {', '.join(_there(point))}")


def _asked(words: Sequence[str]) -> dict[str, list[float]]:
    """Read `axis=value,value,…`, where an axis may come twice."""
    found: dict[str, set[float]] = {}
    for word in words:
        name, _, numbers = word.partition("=")
        try:
            values = {float(number) for number in numbers.split(",")}
        except ValueError:
            values = {0.0}
        if not all(0 < value < math.inf for value in values):  # nor nan, which is neither
            raise UserError(f"--at {word}: give an axis and numbers above 0, such as batch=8,32,128")
        found.setdefault(name.strip(), set()).update(values)
    return {name: sorted(values) for name, values in found.items()}
