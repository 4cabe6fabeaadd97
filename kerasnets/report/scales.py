"""Numbers, names and ticks of axes."""

from typing import TYPE_CHECKING

import numpy as np

from kerasnets.report.picture import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_LONGEST_NAME = 18
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: float) -> str:
    """Return ten to a whole exponent as people write it: 0.001, 1, 1,000, 10⁻⁵."""
    if -3 <= exponent <= 3:
        return f"{10.0**exponent:,g}"
    return f"10{f'{exponent:g}'.translate(_SUPERSCRIPTS)}"


def number(value: float) -> str:
    """Return a number of an axis: 0.25, 1,200, 10⁻⁵, 2·10⁻⁵."""
    if value and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        factor = "" if float(mantissa) == 1 else f"{float(mantissa):g}·"
        return f"{factor}{power(int(exponent))}"
    return f"{value:,.10g}".replace("-", "−")


def log10(values: np.ndarray) -> np.ndarray:
    """Return log10 of positive values, NaN elsewhere."""
    return np.log10(np.where(values > 0, values, np.nan).astype(np.float64))


def layer(name: str) -> str:
    """Return a variable's or activation's layer as it stands beside an axis."""
    short = name.removesuffix("/kernel").removesuffix("_conv").removesuffix("_relu").removeprefix("inception_")
    return shortened(short, _LONGEST_NAME)


def spread(count: int, most: int) -> list[int]:
    """Return at most so many evenly spaced places of `count`, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def stride(count: int, most: int) -> list[int]:
    """Return at most so many places of `count`, every nth from the first on, and the last."""
    step = -(-count // most)
    return [*(place for place in range(0, count, step) if count - 1 - place >= step), count - 1]


def percent(axis: "Axis") -> None:
    """Label an axis of shares: 2 %, 2.5 %."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value * 100, 6):g} %"))


def logarithmic(axes: "Axes") -> None:
    """Make the vertical axis logarithmic, with ticks at powers of ten, and between them where there are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(float(f"{value:.3g}"))))
    axes.yaxis.set_minor_formatter(NullFormatter())
