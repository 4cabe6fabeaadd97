"""The figure of a learning-rate range test: the loss over the rate, and the rate that was chosen."""

from typing import TYPE_CHECKING

import numpy as np

from kerasnets.report import scales
from kerasnets.report.material import Material
from kerasnets.report.picture import LEGEND, MUTED, TRAINING, Picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 1.6
"""Times the loss at the start: what diverges beyond that is cut off."""


def all_of(material: Material) -> list[Picture]:
    """Return the figure of a run whose rate was found; none of another."""
    rows = material.run.read_rows("learning_rate.csv")
    if not rows:
        return []
    rates, losses, smoothed = (
        np.array([float(row[key]) for row in rows]) for key in ("learning_rate", "loss", "smoothed_loss")
    )
    chosen = material.run.config.training.rate

    def draw(axes: "Axes") -> None:
        axes.plot(rates, losses, color=TRAINING, alpha=0.3, linewidth=0.7)
        axes.plot(rates, smoothed, color=TRAINING, label="loss")
        axes.axvline(chosen, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), label=f"chosen: {chosen:g}")
        _scales(axes, smoothed)
        axes.set_xlabel("learning rate")
        axes.legend(ncols=3, **LEGEND)

    caption = "Of each step of a test before training, in which the rate grew; the strong line is smoothed."
    low, at = float(np.nanmin(smoothed)), float(rates[np.nanargmin(smoothed)])
    summary = f"loss from {smoothed[0]:.3g} at {rates[0]:.3g} down to {low:.3g} at {at:.3g}; chosen {chosen:g}"
    return [picture("range-test", "Learning-rate range test", draw, caption=caption, summary=summary)]


def _scales(axes: "Axes", smoothed: np.ndarray) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = float(np.nanmin(smoothed)), float(smoothed[0])
    axes.set_ylim(low - 0.15 * (high - low), low + _SHOWN * (high - low))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.power(round(np.log10(value)))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.number(value)))
