"""Plots of findings. Matplotlib is imported when one is written, and by nothing else here."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasnets.doctor.evidence import BIASES, Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.shape import curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[["Axes", Evidence, Finding], Any]
_SICK, _CALM = "#c0392b", "#2c6fbb"
_LINES = 6


def depth(kind: str, statistic: str, label: str, log: bool = True, nonlinear: bool = False) -> Draw:
    """Return what draws a statistic over depth at a few sampled steps, the concerned layers marked."""

    def draw(axes: "Axes", evidence: Evidence, finding: Finding) -> None:
        suffixes = BIASES if finding.layers and finding.layers[0].endswith(BIASES) else ("kernel",)
        series = evidence.nonlinear() if nonlinear else evidence.trunk(kind, suffixes)
        places = np.unique(np.linspace(0, len(series.steps) - 1, _LINES).round().astype(int))
        for number, when in enumerate(places):
            values = series[statistic][when].astype(float)
            if suffixes is BIASES:  # few entries: their mean is as telling as their spread
                values = np.hypot(values, series["mean"][when])
            shade = 0.25 + 0.75 * number / max(1, len(places) - 1)
            shown = np.where(values > 0, values, np.nan) if log else values
            axes.plot(shown, marker=".", color=_CALM, alpha=shade, label=f"step {series.steps[when]}")
        for place, name in enumerate(series.names):
            if name in finding.layers:
                axes.axvspan(place - 0.5, place + 0.5, color=_SICK, alpha=0.12, linewidth=0)
        if log:
            axes.set_yscale("log")
        axes.set(xlabel="depth (first layer on the left)", ylabel=label)
        axes.legend(fontsize="small")

    return draw


def over_steps(value: str = "loss", log: bool = False) -> Draw:
    """Return what draws a curve of steps.csv."""

    def draw(axes: "Axes", evidence: Evidence, finding: Finding) -> None:
        steps = evidence.steps
        if steps is None or not len(steps.step):
            axes.text(0.5, 0.5, "no steps were recorded", ha="center", transform=axes.transAxes)
            return
        values = getattr(steps, value)
        axes.plot(steps.step, values, color=_CALM, alpha=0.3, linewidth=0.8)
        found = curve(steps.step, values, steps.learning_rate)
        axes.plot(found.steps, found.values, color=_CALM, label=value.replace("_", " "))
        if value == "loss":
            seen = np.isfinite(steps.inference_loss)
            if seen.any():
                axes.plot(steps.step[seen], steps.inference_loss[seen], "o", color=_SICK, label="in inference mode")
            axes.axhline(evidence.chance * evidence.head_weight, color="grey", linestyle=":", label="chance")
        if finding.step is not None:
            axes.axvline(finding.step, color=_SICK, linewidth=1)
        if log or np.nanmax(found.values, initial=0) > 50 * max(1e-9, np.nanmin(found.values, initial=1e9)):
            axes.set_yscale("log")
        axes.set(xlabel="optimizer step", ylabel=value.replace("_", " "))
        axes.legend(fontsize="small")

    return draw


def epochs(value: str) -> Draw:
    """Return what draws training and validation of a value over epochs."""

    def draw(axes: "Axes", evidence: Evidence, finding: Finding) -> None:
        history = evidence.history
        training = evidence.loss if value == "loss" else history[value]
        axes.plot(history["epoch"], training, marker=".", color=_CALM, label="training")
        axes.plot(history["epoch"], history[f"val_{value}"], marker=".", color=_SICK, label="validation")
        axes.set(xlabel="epoch", ylabel=value)
        axes.legend(fontsize="small")

    return draw


def ratios(axes: "Axes", evidence: Evidence, finding: Finding) -> None:
    """Draw the ratio of update to weight over time: each kernel, and their median."""
    series = evidence.trunk("update")
    values = np.where(series["ratio"] > 0, series["ratio"], np.nan)
    axes.plot(series.steps, values, color=_CALM, alpha=0.2, linewidth=0.8)
    axes.plot(series.steps, np.nanmedian(values, axis=1), color=_CALM, marker=".", label="median of all kernels")
    axes.axhline(1e-3, color="grey", linestyle=":", label="usual")
    axes.set_yscale("log")
    axes.set(xlabel="optimizer step", ylabel="update / weight")
    axes.legend(fontsize="small")


def bars(axes: "Axes", values: dict[str, float], marked: tuple[str, ...], label: str) -> None:
    """Draw a bar for each of at most 40 names, the concerned ones in red and before all others."""
    names = sorted(values, key=lambda name: name not in marked)[:40]
    places = range(len(names))
    axes.barh(places, [values[name] for name in names], color=[_SICK if n in marked else _CALM for n in names])
    axes.set_yticks(places, [_plain(name) for name in names])
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize="small" if len(names) <= 20 else "xx-small")
    axes.set(xlabel=label)


def _plain(name: str) -> str:
    """Return a name without what an SVG file may not hold."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)


def class_counts(axes: "Axes", evidence: Evidence, finding: Finding) -> None:
    """Draw the number of training images of each class."""
    bars(axes, {name: float(count) for name, count in evidence.counts.items()}, finding.layers, "training images")


def write(draw: Draw, evidence: Evidence, finding: Finding, path: Path) -> None:
    """Draw a finding into the SVG file `path`; equal findings give equal files."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {"svg.hashsalt": finding.rule, "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the viewer's fonts count, not the ones here
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot()
        draw(axes, evidence, finding)
        axes.set_title(finding.rule)
        axes.grid(alpha=0.2)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
