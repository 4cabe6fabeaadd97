"""Pictures over depth: a row a layer, the input at the top."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasnets.telemetry.pictures.sheet import (
    ALARM,
    FAINT,
    INK,
    LINE,
    NAMES,
    PAPER_GREY,
    SOFT,
    TEXT,
    WIDTH,
    Sheet,
    width_of,
)
from kerasnets.telemetry.record import Series

_GRADIENTS, _SHARES = "viridis", "Blues"
_TOP, _BELOW = 62, 104  # pixels above a map, for title and note, and below it, for ticks and the bar of colours
_NAME = 21  # letters of a layer's name
_PROFILE = 196  # pixels of the curve beside the map
_COLUMNS = 100
"""The most sampled steps that are drawn; of more, evenly many are left out."""
_DECADES = 9
"""Values that are so many decades below the largest look alike."""


def depth_profile(series: Series, title: str = "Gradient over depth") -> bytes:
    """Draw the gradients' standard deviation over depth and time: rows that fade towards the input are vanishing.

    Args:
        series: kind `gradient` of a record, kernels alone, in order of depth from the input.
        title: what is drawn.
    """
    chosen = np.unique(np.linspace(0, len(series.steps) - 1, min(len(series.steps), _COLUMNS)).astype(int))
    std, steps, broken = series["std"][chosen], series.steps[chosen], _broken(series)[chosen]
    values = np.where(np.isfinite(std) & (std > 0), std, np.nan)
    names = _without_common_ending(series.names)
    note = "Input at the top, output at the bottom. Red: NaN or Inf. Grey: 0, or not measured."
    sheet, tall, left = _map_sheet(names, title, note)
    if not (np.isfinite(values).any() or broken.any()):
        sheet.text(WIDTH / 2, _TOP + tall / 2, "no gradient other than 0 was measured", ha="center", fontsize=10)
        return sheet.png()
    limits = _limits(values)
    wide = WIDTH - left - _PROFILE - 44
    heat = sheet.axes(left, _TOP, wide, tall)
    image = _heat(heat, values, broken, limits)
    _name_rows(sheet, heat, names, left, tall)
    _step_ticks(heat, steps, wide)
    bar = sheet.colours(image, left, _TOP + tall + 44, wide, "standard deviation of the kernel's gradient")
    _log_ticks(bar.set_ticks, *limits, most=5)
    line = sheet.axes(WIDTH - _PROFILE - 18, _TOP, _PROFILE, tall, sharey=heat)
    _profile(line, values, broken, steps, limits)
    return sheet.png(_GRADIENTS)


def _map_sheet(names: Sequence[str], title: str, note: str) -> tuple[Sheet, float, float]:
    """Return a sheet for a map of so many rows, the map's height, and the room for names at its left."""
    tall = float(np.clip(14 * len(names), 150, 490))
    left = 22 + width_of([_ending(name) for name in names])
    return Sheet(WIDTH, int(_TOP + tall + _BELOW), title, note), tall, left


def _ending(name: str) -> str:
    """Leave out the beginning of a long name: `…n_3a_3x3_reduce_relu` still says which layer it is."""
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"


def _without_common_ending(names: Sequence[str]) -> list[str]:
    """Leave out `/kernel` and the like where all names end in it."""
    endings = {name.rpartition("/")[2] for name in names}
    return [name.rpartition("/")[0] or name for name in names] if len(endings) == 1 else list(names)


def _broken(series: Series) -> np.ndarray:
    """Return where there were NaN or infinite entries, bool `[T, L]`."""
    return np.nan_to_num(series["nan"]) + np.nan_to_num(series["inf"]) > 0


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Return the ends of a log scale for all finite `values`, at least a factor of 10 apart."""
    found = values[np.isfinite(values)].astype(np.float64)
    low, high = (found.min(), found.max()) if found.size else (1e-3, 1.0)
    low = max(low, high * 10.0**-_DECADES)
    middle = np.sqrt(low) * np.sqrt(high)
    return float(min(low, middle / np.sqrt(10))), float(max(high, middle * np.sqrt(10)))


def _log_ticks(set_ticks: Any, low: float, high: float, most: int) -> None:
    """Set at most so many ticks of a log axis: powers of ten, on a short axis their 2 and 5 fold too."""
    inset = (high / low) ** 0.06  # no label across the end of the axis
    low, high = low * inset, high / inset
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        marks = [(factor, power) for power in range(first, last + 1) for factor in factors]
        marks = [(f, p) for f, p in marks if low <= f * 10.0**p <= high]
        if len(marks) <= most:
            break
    marks = marks[:: -(-len(marks) // most)]
    labels = [f"$10^{{{p}}}$" if f == 1 else f"${f}\\cdot10^{{{p}}}$" for f, p in marks]
    set_ticks([f * 10.0**p for f, p in marks], labels=labels)


def _heat(axes: Any, values: np.ndarray, broken: np.ndarray, limits: tuple[float, float]) -> Any:
    from matplotlib.colors import LogNorm

    axes.set_facecolor(PAPER_GREY)
    shown = np.clip(values, *limits).T
    image = axes.imshow(shown, cmap=_GRADIENTS, norm=LogNorm(*limits), aspect="auto", interpolation="nearest")
    _mark(axes, broken.T)
    return image


def _mark(axes: Any, where: np.ndarray) -> None:
    """Paint cells of a map red."""
    from matplotlib.colors import ListedColormap

    if where.any():
        cells = np.ma.masked_where(~where, np.ones(where.shape))
        axes.imshow(cells, cmap=ListedColormap([ALARM]), aspect="auto", interpolation="nearest")


def _named(rows: int, pixels: float) -> range:
    """Return the rows of a map that have room for a name."""
    return range(0, rows, max(1, int(np.ceil(rows * 12.5 / pixels))))


def _name_rows(sheet: Sheet, axes: Any, names: Sequence[str], left: float, tall: float) -> None:
    """Name the rows of a map at its left; as plain text, since matplotlib takes long over ticks."""
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.5, -0.5)
    for row in _named(len(names), tall):
        top = _TOP + (row + 0.5) * tall / len(names)
        sheet.text(left - 6, top, _ending(names[row]), ha="right", fontsize=NAMES, color=INK)


def _step_ticks(axes: Any, steps: np.ndarray, pixels: float) -> None:
    count = min(len(steps), max(2, int(pixels / 66)))
    places = np.unique(np.linspace(0, len(steps) - 1, count).astype(int))
    axes.set_xticks(places, [f"{steps[place]:,}" for place in places])
    axes.set_xlabel("sampled optimizer step", fontsize=TEXT, color=INK, labelpad=1)


def _profile(axes: Any, values: np.ndarray, broken: np.ndarray, steps: np.ndarray, limits: tuple[float, float]) -> None:
    """Draw the first and the latest sample over depth; a cross at the edge where the latest cannot be drawn."""
    rows = np.arange(values.shape[1])
    if len(steps) > 1:
        axes.plot(values[0], rows, color=FAINT, linewidth=1.2, label=f"step {steps[0]:,}")
    axes.plot(values[-1], rows, color=LINE, linewidth=1.6, marker="o", markersize=2.5, label=f"step {steps[-1]:,}")
    low, high = limits[0] / 1.5, limits[1] * 1.5
    absent = rows[broken[-1] | ~np.isfinite(values[-1])]
    axes.plot(np.full(absent.size, low * 1.2), absent, "x", color=ALARM, markersize=5)
    axes.set(xscale="log", xlim=(low, high))
    _log_ticks(axes.set_xticks, low, high, most=4)
    axes.minorticks_off()
    axes.grid(axis="x", color=PAPER_GREY)
    axes.set_xlabel("standard deviation", fontsize=TEXT, color=INK, labelpad=1)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -36 / (axes.bbox.height)), "ncols": 2}
    axes.legend(**below, fontsize=NAMES, frameon=False, borderpad=0, handlelength=1.4, columnspacing=1.2)


_SLOTS = 240
_COUNTS = 116  # pixels for "12 of 512 dead"


def dead_units(shares: Mapping[str, np.ndarray], title: str = "Dead units") -> bytes:
    """Draw, for each layer, how often each of its channels was zero; those that always were are red.

    Args:
        shares: layer, in order of depth -> float `[C]`, share of the samples in which the channel was zero everywhere.
        title: what is drawn.
    """
    names = list(shares)
    note = "Input at the top. Channels from most to least often zero; red: zero in every sample."
    sheet, tall, left = _map_sheet(names, title, note)
    if not names:
        sheet.text(WIDTH / 2, _TOP + tall / 2, "no layer has units that can die", ha="center", fontsize=10)
        return sheet.png()
    wide = WIDTH - left - _COUNTS - 14
    axes = sheet.axes(left, _TOP, wide, tall)
    rows = np.stack([_in_slots(np.asarray(share, np.float64)) for share in shares.values()])
    image = _shares(axes, rows)
    _name_rows(sheet, axes, names, left, tall)
    _percents(axes.set_xticks, np.linspace(0, 1, 5), _SLOTS, -0.5)
    axes.set_xlabel("channels of the layer", fontsize=TEXT, color=INK, labelpad=1)
    _count_dead(axes, shares, tall)
    bar = sheet.colours(image, left, _TOP + tall + 44, wide, "share of the samples in which the channel was zero")
    _percents(bar.set_ticks, np.linspace(0, 1, 5))
    return sheet.png(_SHARES)


def _percents(set_ticks: Any, marks: np.ndarray, scale: float = 1.0, offset: float = 0.0) -> None:
    set_ticks(marks * scale + offset, labels=[f"{100 * mark:.0f} %" for mark in marks])


def _in_slots(share: np.ndarray) -> np.ndarray:
    """Return `[C]` in falling order, NaN last, stretched to the width of the map."""
    ordered = -np.sort(-share)
    return ordered[np.arange(_SLOTS) * share.size // _SLOTS] if share.size else np.full(_SLOTS, np.nan)


def _shares(axes: Any, rows: np.ndarray) -> Any:
    axes.set_facecolor(PAPER_GREY)
    image = axes.imshow(rows, cmap=_SHARES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    _mark(axes, rows >= 1)
    if len(rows) <= 60:
        axes.hlines(np.arange(1, len(rows)) - 0.5, -0.5, _SLOTS - 0.5, color="white", linewidth=0.8)
    return image


def _count_dead(axes: Any, shares: Mapping[str, np.ndarray], pixels: float) -> None:
    """Write at the right of each named row how many of its channels are dead."""
    values = list(shares.values())
    for row in _named(len(values), pixels):
        dead, units = int(np.sum(values[row] >= 1)), values[row].size
        style = {"color": ALARM, "weight": "bold"} if dead else {"color": SOFT}
        axes.text(_SLOTS + 2, row, f"{dead} of {units} dead", va="center", fontsize=NAMES, **style)
