"""Heatmaps: layers over sampled steps."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasnets.report import scales
from kerasnets.report.picture import MUTED, SOFT, Picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = 22
"""Layer names beside the map, at most."""
_STEPS = 6
_HEIGHT = 330


def heatmap(
    name: str,
    title: str,
    steps: np.ndarray,
    layers: tuple[str, ...],
    values: np.ndarray,
    *,
    caption: str,
    bar: str,
    least: tuple[float, float] | None = None,
    share: bool = False,
) -> Picture:
    """Draw a value of L layers at T sampled steps.

    Args:
        name: The figure's.
        title: The figure's.
        steps: int `[T]`.
        layers: L names.
        values: float `[T, L]`: shares, or exponents of ten; NaN and shares of 0 are left blank.
        caption: The figure's.
        bar: What the colour bar shows.
        least: Range that the colours cover at least.
        share: Whether values are shares 0..1.
    """
    low, high = _range(values, least, share)

    def draw(axes: "Axes") -> None:
        shown = np.where(values > 0, values, np.nan) if share else values
        image = axes.imshow(shown.T, aspect="auto", interpolation="none", cmap="viridis", vmin=low, vmax=high)
        if not np.isfinite(shown).any():
            words = "none at any sampled step" if share else "zero or not finite throughout"
            axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=MUTED)
        axes.set_facecolor(SOFT)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        rows = scales.stride(len(layers), _NAMES)
        axes.set_yticks(rows, [scales.layer(layers[row]) for row in rows], fontsize=9)
        columns = scales.spread(len(steps), _STEPS)
        axes.set_xticks(columns, [f"{steps[column]:,}" for column in columns])
        axes.set_xlabel("sampled at step")
        _colour_bar(axes, image, bar, share)

    told = f"{low:.0%} to {high:.0%}" if share else f"{10.0**low:.2g} to {10.0**high:.2g}"
    summary = f"{len(layers)} layers at {len(steps)} sampled steps, colours from {told}. {caption}"
    return picture(name, title, draw, caption=caption, summary=summary, height=_HEIGHT)


def _range(values: np.ndarray, least: tuple[float, float] | None, share: bool) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (-1.0, 0.0)
    if share:
        return 0.0, max(high, 0.1)
    if least is not None:
        low, high = min(low, least[0]), max(high, least[1])
    return (low, high) if high - low > 0.1 else (low - 0.5, high + 0.5)


def _colour_bar(axes: "Axes", image: Any, label: str, share: bool) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    bar: Any = axes.figure.colorbar(image, ax=axes, location="top", aspect=34, pad=0.02, fraction=0.04)
    bar.solids.set_rasterized(True)
    bar.outline.set_visible(False)
    bar.set_label(label, labelpad=6)
    bar.ax.grid(visible=False)
    bar.ax.tick_params(length=0, pad=2)
    low, high = image.norm.vmin, image.norm.vmax
    wide = share or high - low >= 3
    bar.locator = MaxNLocator(5, integer=not share) if wide else FixedLocator(_between_tens(low, high))
    bar.update_ticks()
    if share:
        scales.percent(bar.ax.xaxis)
    else:
        bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _ten_to(value)))


def _between_tens(low: float, high: float) -> list[float]:
    """Return the exponents in a range of less than three decades that make round numbers."""
    rounds = (1, 2, 5) if high - low < 1.5 else (1, 3)
    exponents = (k + math.log10(m) for k in range(math.floor(low), math.ceil(high)) for m in rounds)
    return [exponent for exponent in (*exponents, math.ceil(high)) if low <= exponent <= high]


def _ten_to(exponent: float) -> str:
    whole = exponent == round(exponent)
    return scales.power(exponent) if whole else scales.number(float(f"{10.0**exponent:.1g}"))
