"""Figures of values over time: one run's, or one value of several runs."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasnets.report import scales
from kerasnets.report.headline import share
from kerasnets.report.material import Material
from kerasnets.report.picture import LEGEND, MUTED, SERIES, TRAINING, VALIDATION, Picture, legend, picture, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 12
"""With so few points each gets a mark."""
_NOISY = 60
"""Points from which on a noisy line gets a running median."""
_MOST_STEPS = 1500
"""Points of a curve of optimizer steps; more are drawn as means of neighbours."""
_LONGEST_NAME = 22

Line = tuple[np.ndarray, np.ndarray, str]
"""x, y and colour."""


def all_of(material: Material) -> list[Picture]:
    """Return the curves that the history and the record of steps allow."""
    if not material.epochs and material.record is None:
        return []
    makers: tuple[Callable[[Material], Picture | None], ...] = (
        *(_loss, _accuracy, _head_losses, _head_accuracies, _step_losses, _gradient_norm, _learning_rate, _speed),
    )
    return [made for made in (make(material) for make in makers) if made is not None]


def curves(
    name: str,
    title: str,
    lines: Mapping[str, Line],
    *,
    x: str = "epoch",
    caption: str = "",
    log: bool = False,
    percent: bool = False,
    mark: tuple[float, str] | None = None,
    noisy: bool = False,
    dots: Sequence[str] = (),
) -> Picture:
    """Draw lines by name.

    Args:
        name: The figure's.
        title: The figure's.
        lines: By name.
        x: What the horizontal axis counts.
        caption: The figure's.
        log: Whether the vertical axis is logarithmic; values that are not positive are left out then.
        percent: Whether values are shares.
        mark: A place on the horizontal axis that a thin line marks, and its word.
        noisy: Whether a long line is drawn faintly, with its running median over it.
        dots: Names of lines that are drawn as single points.
    """

    def draw(axes: "Axes") -> None:
        for key, (at, values, colour) in lines.items():
            few = key in dots or np.isfinite(values).sum() <= _FEW
            style: dict[str, Any] = {"marker": "o", "markersize": 4.0, "markeredgewidth": 0} if few else {}
            shown = np.where(values > 0, values, np.nan) if log else values
            if noisy and len(values) > _NOISY and key not in dots:
                axes.plot(at, shown, color=colour, alpha=0.3, linewidth=0.7)
                shown = smooth(shown)
            axes.plot(at, shown, color=colour, label=plain(key), linestyle="" if key in dots else "-", **style)
        axes.margins(x=0.02)
        if mark is not None:
            axes.axvline(mark[0], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), label=mark[1])
        _scales(axes, log, percent, counts=x in ("epoch", "step"))
        axes.set_xlabel(x)
        if len(lines) > 1 or mark is not None:
            columns = 3 if max(map(len, lines)) < 12 else 2
            axes.legend(ncols=columns, **LEGEND)

    return picture(name, title, draw, caption=caption, summary=_in_words(lines, x, percent))


def _scales(axes: "Axes", log: bool, percent: bool, counts: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if counts:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if log:
        scales.logarithmic(axes)
        return
    if percent:
        scales.percent(axes.yaxis)
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.number(value)))


def _in_words(lines: Mapping[str, Line], x: str, percent: bool) -> str:
    def word(value: float) -> str:
        return share(value) if percent else f"{value:.3g}"

    parts = []
    for key, (at, values, _) in lines.items():
        known = np.flatnonzero(np.isfinite(values))
        if known.size:
            first, last = known[0], known[-1]
            parts.append(f"{key} from {word(values[first])} to {word(values[last])} at {x} {at[last]:g}")
    return "; ".join(parts)


def _pair(material: Material, value: str) -> dict[str, Line]:
    """Return a value of the main head in training and validation."""
    history = material.history
    train = f"{material.heads[-1]}_{value}" if material.heads else value
    wanted = {"training": (train, TRAINING), "validation": (f"val_{value}", VALIDATION)}
    return {word: (history["epoch"], history[key], hue) for word, (key, hue) in wanted.items() if key in history}


def _best(material: Material) -> tuple[float, str] | None:
    return (material.metrics["best_epoch"], "best") if "best_epoch" in material.metrics else None


def _loss(material: Material) -> Picture | None:
    caption = f"Of the head that is served, {material.heads[-1]}." if material.heads else ""
    lines = _pair(material, "loss")
    return curves("loss", "Loss", lines, log=True, mark=_best(material), caption=caption) if lines else None


def _accuracy(material: Material) -> Picture | None:
    lines = _pair(material, "accuracy")
    return curves("accuracy", "Accuracy", lines, percent=True, mark=_best(material)) if lines else None


def _of_heads(material: Material, value: str) -> dict[str, Line]:
    history = material.history
    keys = [(head, f"{head}_{value}", colour) for head, colour in zip(material.heads, SERIES[2:], strict=False)]
    return {head: (history["epoch"], history[key], colour) for head, key, colour in keys if key in history}


def _head_losses(material: Material) -> Picture | None:
    lines = _of_heads(material, "loss")
    caption = "In training, each before its weight; the last is the one that is served."
    return curves("head-losses", "Loss of each head", lines, log=True, caption=caption) if lines else None


def _head_accuracies(material: Material) -> Picture | None:
    lines = _of_heads(material, "accuracy")
    return curves("head-accuracies", "Training accuracy of each head", lines, percent=True) if lines else None


def _step_losses(material: Material) -> Picture | None:
    if material.record is None or not len(material.record.steps.step):
        return None
    steps = material.record.steps
    lines = {"training": (*thinned(steps.step, steps.loss), TRAINING)}
    measured = np.isfinite(steps.inference_loss)
    caption = "Of each optimizer step; the strong line is a running median."
    if measured.any():
        lines["inference mode"] = (steps.step[measured], steps.inference_loss[measured], VALIDATION)
        caption = "The strong line is a running median. Dots: the same batch in inference mode, as it would be served."
    dots = ("inference mode",)
    return curves("step-loss", "Loss, step by step", lines, x="step", log=True, noisy=True, dots=dots, caption=caption)


def _gradient_norm(material: Material) -> Picture | None:
    found = _by_step(material, "gradient_norm")
    if found is None:
        return None
    caption = "Global l2 norm, before clipping."
    line, x = found
    noisy = x == "step"
    return curves("gradient-norm", "Gradient norm", {"norm": line}, x=x, log=True, noisy=noisy, caption=caption)


def _learning_rate(material: Material) -> Picture | None:
    found = _by_step(material, "learning_rate")
    return found and curves("learning-rate", "Learning rate", {"rate": found[0]}, x=found[1])


def _by_step(material: Material, value: str) -> tuple[Line, str] | None:
    """Return a value by optimizer step where the probe wrote it down, else by epoch."""
    if material.record is not None and len(material.record.steps.step):
        steps = material.record.steps
        return (*thinned(steps.step, getattr(steps, value)), TRAINING), "step"
    if value in material.history:
        return (material.history["epoch"], material.history[value], TRAINING), "epoch"
    return None


def _speed(material: Material) -> Picture | None:
    if "images_per_second" not in material.history:
        return None
    line = (material.history["epoch"], material.history["images_per_second"], TRAINING)
    caption = "Training alone; the first epoch includes building the graph."
    return curves("images-per-second", "Images a second", {"images/s": line}, caption=caption)


def thinned(at: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a long curve as means of neighbours; a mean over values that are not finite is not finite either."""
    size = -(-len(at) // _MOST_STEPS)
    if size <= 1:
        return at, values
    starts = np.arange(0, len(at), size)
    counts = np.diff([*starts, len(at)])
    with np.errstate(invalid="ignore"):
        return np.add.reduceat(at, starts) / counts, np.add.reduceat(values, starts) / counts


def smooth(values: np.ndarray) -> np.ndarray:
    """Return a running median over a window of about a twenty-fifth of the curve; the ends use what there is."""
    half = max(len(values) // 50, 2)
    padded = np.pad(values, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.nanmedian(windows, axis=1)


def compared(materials: Mapping[str, Material]) -> list[Picture]:
    """Return one figure for each value, with a line for each run."""
    rows: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("val_accuracy", "Validation accuracy", {"percent": True}),
        ("accuracy", "Training accuracy", {"percent": True}),
        ("val_loss", "Validation loss", {"log": True}),
        ("loss", "Training loss", {"log": True}),
        ("gradient_norm", "Gradient norm, mean of each epoch", {"log": True}),
        ("learning_rate", "Learning rate at the end of each epoch", {}),
        ("images_per_second", "Images a second", {}),
    )
    found = []
    for key, title, options in rows:
        labels = legend(list(materials), _LONGEST_NAME)
        lines = {
            labels[n]: (material.history["epoch"], _main(material, key), SERIES[n % len(SERIES)])
            for n, material in enumerate(materials.values())
            if key in material.history
        }
        if lines:
            found.append(curves(f"compared-{key.replace('_', '-')}", title, lines, **options))
    return found


def _main(material: Material, key: str) -> np.ndarray:
    """Return a column of the history; of the head that is served, where there are several."""
    own = f"{material.heads[-1]}_{key}" if material.heads else key
    return material.history.get(own, material.history[key])
