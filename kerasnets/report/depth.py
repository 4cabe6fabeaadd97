"""Figures of what the probe saw: statistics over the depth of the network and over time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasnets.report import scales
from kerasnets.report.headline import share
from kerasnets.report.heatmap import heatmap
from kerasnets.report.material import Material
from kerasnets.report.picture import LEGEND, SERIES, TRAINING, Picture, legend, picture, plain
from kerasnets.telemetry.record import ACTIVATION, GRADIENT, HEAD, UPDATE, Record, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PROFILES = 5
"""Sampled steps in a profile over depth, at most."""
_HEIGHT = 330
_LONGEST_RUN = 22


def all_of(material: Material) -> list[Picture]:
    """Return the figures that the telemetry of a run allows."""
    if material.record is None:
        return []
    makers = (_gradient_flow, _gradient_profile, _head_gradients, _updates, _activations, _dead, _saturated)
    found = (make(material.record) for make in makers)
    return [made for made in found if made is not None]


def _kernels(record: Record, kind: str) -> Series | None:
    if kind not in record.kinds:
        return None
    series = record.kinds[kind].only("/kernel")
    return series if series.names else None


def _gradient_flow(record: Record) -> Picture | None:
    series = _kernels(record, GRADIENT)
    if series is None:
        return None
    caption = (
        "A row for each kernel, the first layer at the top. Even colour from top to bottom is healthy; a fade towards "
        "the top is a vanishing gradient. Blank: zero, or not finite."
    )
    values, bar = scales.log10(series["std"]), "standard deviation of the gradient"
    return heatmap("gradient-flow", "Gradient flow", series.steps, series.names, values, caption=caption, bar=bar)


def _updates(record: Record) -> Picture | None:
    series = _kernels(record, UPDATE)
    if series is None:
        return None
    caption = (
        "Size of a step against that of the weights. Around 10⁻³ is usual; far above is unstable, far below idle. "
        "Blank: no update."
    )
    values, bar, least = scales.log10(series["ratio"]), "‖update‖ / ‖weight‖", (-5.0, -1.0)
    steps, names = series.steps, series.names
    return heatmap("update-ratio", "Update ratio", steps, names, values, caption=caption, bar=bar, least=least)


def _dead(record: Record) -> Picture | None:
    found = _shares(record, "dead_epoch", "dead")
    if found is None:
        return None
    steps, names, values = found
    caption = f"ReLU channels that gave zero for every example sampled since the epoch began. {_worst(names, values)}"
    return heatmap(
        "dead-units", "Dead units", steps, names, values, caption=caption, bar="share of channels", share=True
    )


def _saturated(record: Record) -> Picture | None:
    found = _shares(record, "saturated", "saturated")
    if found is None:
        return None
    steps, names, values = found
    caption = f"Entries at the flat ends of sigmoid, tanh or softsign. {_worst(names, values)}"
    title = "Saturated activations"
    return heatmap("saturation", title, steps, names, values, caption=caption, bar="share of entries", share=True)


def _shares(record: Record, statistic: str, other: str) -> tuple[np.ndarray, tuple[str, ...], np.ndarray] | None:
    """Return steps, layers and `[T, L]` shares of `statistic`, where that was not measured of `other`."""
    series = record.kinds.get(ACTIVATION)
    if series is None:
        return None
    values = np.where(np.isfinite(series[statistic]), series[statistic], series[other]).astype(np.float64)
    known = np.flatnonzero(np.isfinite(values).any(axis=0))
    return (series.steps, tuple(series.names[place] for place in known), values[:, known]) if known.size else None


def _worst(names: tuple[str, ...], values: np.ndarray) -> str:
    last = np.nan_to_num(values[-1])
    most = int(last.argmax())
    return f"Last sample: at most {share(float(last[most]), 1)}, in {plain(names[most])}." if last[most] else ""


def _gradient_profile(record: Record) -> Picture | None:
    series = _kernels(record, GRADIENT)
    if series is None:
        return None
    caption = (
        "Standard deviation at some steps, later ones stronger. Rising steeply to the right: a vanishing gradient."
    )
    return _profile("gradient-depth", "Gradient over depth", series, caption)


def _activations(record: Record) -> Picture | None:
    series = record.kinds.get(ACTIVATION)
    if series is None:
        return None
    caption = "Standard deviation of what nonlinearities put out. It should neither fade nor grow with depth at first."
    return _profile("activation-depth", "Activations over depth", series, caption)


def _profile(name: str, title: str, series: Series, caption: str) -> Picture:
    """Draw the standard deviation against depth, a line for each of a few steps."""
    places, values = scales.spread(len(series.steps), _PROFILES), series["std"]

    def draw(axes: "Axes") -> None:
        depth = np.arange(1, len(series.names) + 1)
        for order, place in enumerate(places):
            shown = np.where(values[place] > 0, values[place], np.nan)
            strength = 0.25 + 0.75 * (order + 1) / len(places)
            axes.plot(depth, shown, color=TRAINING, alpha=strength, label=f"{series.steps[place]:,}", **_marks(depth))
        _depth_axes(axes, series.names)
        axes.legend(title="at step", title_fontsize=10, alignment="left", ncols=_PROFILES, **LEGEND)

    told = [f"step {series.steps[p]:,}: {values[p][0]:.2g} to {values[p][-1]:.2g}" for p in places]
    summary = f"First to last of {len(series.names)} layers, {'; '.join(told)}"
    return picture(name, title, draw, caption=caption, summary=summary, height=_HEIGHT)


def _marks(depth: np.ndarray) -> dict[str, Any]:
    return {"marker": "o", "markersize": 3.2, "markeredgewidth": 0} if len(depth) <= 30 else {}


def _depth_axes(axes: "Axes", names: tuple[str, ...]) -> None:
    scales.logarithmic(axes)
    places = scales.spread(len(names), 7)
    axes.set_xticks([place + 1 for place in places], [scales.layer(names[place]) for place in places], fontsize=9)
    for label in axes.get_xticklabels():
        label.set(rotation=38, ha="right", rotation_mode="anchor")


def _head_gradients(record: Record) -> Picture | None:
    kinds = {kind: _kernels(record, kind) for kind in record.kinds if kind.startswith(HEAD)}
    heads = {kind.removeprefix(HEAD): series for kind, series in kinds.items() if series is not None}
    if not heads:
        return None
    kernels = tuple(name for name in record.layers.variables if name.endswith("/kernel"))
    place = {name: depth for depth, name in enumerate(kernels)}
    depth = np.arange(1, len(kernels) + 1)
    step = max(int(series.steps[-1]) for series in heads.values())

    def draw(axes: "Axes") -> None:
        for (head, series), colour in zip(heads.items(), SERIES[2:], strict=False):
            norms = np.full(len(kernels), np.nan)
            norms[[place[name] for name in series.names]] = np.where(series["l2"][-1] > 0, series["l2"][-1], np.nan)
            axes.plot(depth, norms, color=colour, label=plain(head), **_marks(depth))
        _depth_axes(axes, kernels)
        axes.legend(ncols=3, **LEGEND)

    caption = (
        f"l2 norm of what each head alone sends to the kernels it reaches, as weighted in the loss, at step {step:,}."
    )
    title = "Gradient of each head"
    return picture("head-gradients", title, draw, caption=caption, height=_HEIGHT)


def compared(materials: Mapping[str, Material]) -> list[Picture]:
    """Return the gradient over depth of several runs, each at its last sample."""
    found = {
        name: (order, series)
        for order, (name, material) in enumerate(materials.items())
        if material.record is not None and (series := _kernels(material.record, GRADIENT)) is not None
    }
    if not found:
        return []
    most = max(len(series.names) for _, series in found.values())
    labels = dict(zip(found, legend(list(found), _LONGEST_RUN), strict=True))

    def draw(axes: "Axes") -> None:
        for name, (order, series) in found.items():
            depth = np.arange(1, len(series.names) + 1)
            values = np.where(series["std"][-1] > 0, series["std"][-1], np.nan)
            colour = SERIES[order % len(SERIES)]
            axes.plot(depth, values, color=colour, label=labels[name], **_marks(depth))
        scales.logarithmic(axes)
        axes.set(xlim=(0.5, most + 0.5), xlabel="kernel, first to last")
        axes.legend(ncols=2, **LEGEND)

    caption = "Standard deviation of each kernel's gradient, at each run's last sample."
    return [picture("compared-depth", "Gradient over depth", draw, caption=caption)]
