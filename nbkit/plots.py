"""Pictures of tidy tables: inline SVG that reads on light and dark pages, with words for who cannot see it."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from nbkit.formats import Picture

INK = "#010203"  # drawn with this, replaced by currentColor
COLOURS = ("#2f7fd0", "#c8651b", "#2b9079", "#a95fb0", "#8a7a1f")  # at least 3:1 on white and on #111
MARKERS = ("o", "s", "^", "D", "v")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
HATCHES = ("", "//", "..", "xx", "--")
POINTS = 2000
STYLE: Any = {
    "svg.hashsalt": "nbkit",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "path.simplify_threshold": 1.0,
}


def to_picture(figure: Figure, alt: str, title: str = "") -> Picture:
    """Draw a matplotlib figure as a picture: the same figure gives the same bytes.

    Parameters
    ----------
    figure
        Any figure; what is drawn in `INK` follows the text colour of the page.
    alt
        What a reader who cannot see it is told, numbers included.
    title
        The finding; the figure's own title if empty.
    """
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"(\d+\.\d{2})\d+", r"\1", svg)
    if not title:
        title = figure.get_suptitle() or " · ".join(filter(None, (axes.get_title() for axes in figure.axes)))
    return Picture(svg.strip(), alt, title)


def save_picture(picture: Picture, path: str | Path) -> Path:
    """Write a picture as an SVG file that stands alone."""
    path = Path(path)
    path.write_text(picture.svg.replace("<svg ", '<svg color="#222" ', 1), encoding="utf-8")
    return path


def draw_bars(
    table: pd.DataFrame, x: str, y: str, title: str, *, low: str = "", high: str = "", unit: str = "", top: int = 20
) -> Picture:
    """Draw one horizontal bar per row, in the order of the table.

    Parameters
    ----------
    table
        Tidy rows.
    x, y
        Columns of names and of lengths.
    title
        The finding.
    low, high
        Columns of an interval.
    unit
        What the lengths are.
    top
        At most so many rows.
    """
    part = table.head(top)
    figure, axes = _start(title, height=max(1.6, 0.28 * len(part) + 1.0))
    names = [_clip(name) for name in part[x]]
    places = np.arange(len(part))
    colours = [COLOURS[0] if value >= 0 else COLOURS[1] for value in part[y].fillna(0)]
    axes.barh(places, part[y], color=colours, height=0.7)
    if low and high:
        _span(axes, part[low], part[high], places)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel(unit or y)
    if (part[y] < 0).any():
        axes.axvline(0, color=INK, linewidth=0.8)
    return _finish(figure, title, _list_numbers(part, x, y, low, high), len(table) - len(part))


def draw_lines(
    table: pd.DataFrame,
    x: str,
    y: str,
    title: str,
    *,
    by: str = "",
    low: str = "",
    high: str = "",
    unit: str = "",
    limit: float | None = None,
) -> Picture:
    """Draw lines over an ordered column, with a band where an interval is given.

    Parameters
    ----------
    table
        Tidy rows.
    x, y
        Columns: numbers, times or ordered names; values.
    title
        The finding.
    by
        Column that names the lines (at most five are drawn).
    low, high
        Columns of an interval.
    unit
        What the values are.
    limit
        A bound, drawn as a dotted line.
    """
    figure, axes = _start(title)
    words = []
    groups = list(table.groupby(by, sort=False)) if by else [("", table)]
    for place, (name, part) in enumerate(groups[: len(COLOURS)]):
        part = _thin(part)
        across = part[x] if pd.api.types.is_numeric_dtype(part[x]) else _steps(axes, table[x], part[x])
        style = {"color": COLOURS[place], "linestyle": LINES[place]}
        marker = MARKERS[place] if len(part) <= 40 else None
        axes.plot(across, part[y], label=str(name), marker=marker, markersize=4, **style)
        if low and high:
            axes.fill_between(across, part[low], part[high], color=COLOURS[place], alpha=0.2, linewidth=0)
        words.append((f"{_clip(name)}: " if by else "") + _range(part, x, y))
    if limit is not None:
        axes.axhline(limit, color=INK, linestyle=":", linewidth=1)
        words.append(f"The bound is {limit:g}")
    if by:
        axes.legend(loc="best")
    axes.set_xlabel(x.replace("_", " "))
    axes.set_ylabel(unit or y.replace("_", " "))
    return _finish(figure, title, "; ".join(words), len(groups) - len(COLOURS))


def draw_calibration(table: pd.DataFrame, title: str) -> Picture:
    """Draw `nbkit.model.calibration_table`: observed over predicted, with intervals and the diagonal."""
    figure, axes = _start(title, width=4.6, height=4.2)
    groups = list(table.groupby("class", sort=False)) if "class" in table else [("", table)]
    for place, (name, part) in enumerate(groups[: len(COLOURS)]):
        off = [(part["observed"] - part["low"]).clip(lower=0), (part["high"] - part["observed"]).clip(lower=0)]
        axes.errorbar(
            part["predicted"],
            part["observed"],
            yerr=off,
            color=COLOURS[place],
            linestyle=LINES[place],
            marker=MARKERS[place],
            markersize=4,
            label=str(name),
            capsize=2,
        )
    ends = [float(table[["predicted", "observed"]].min().min()), float(table[["predicted", "observed"]].max().max())]
    axes.plot(ends, ends, color=INK, linestyle=":", linewidth=1)
    if len(groups) > 1:
        axes.legend(loc="best")
    axes.set_xlabel("predicted")
    axes.set_ylabel("observed")
    pairs = [
        f"{said:.3g} predicted, {seen:.3g} observed"
        for said, seen in zip(table["predicted"], table["observed"], strict=True)
    ]
    return _finish(figure, title, "; ".join(pairs[:10]) + ". The dotted line is perfect calibration", len(pairs) - 10)


def draw_threshold(
    curve: pd.DataFrame, title: str, *, threshold: float, low: float = np.nan, high: float = np.nan, currency: str = ""
) -> Picture:
    """Draw the cost per row over the threshold, with the chosen one and its interval.

    Parameters
    ----------
    curve, threshold, low, high
        From `nbkit.model.choose_threshold`.
    title
        The finding.
    currency
        Of the costs.
    """
    figure, axes = _start(title)
    inside = curve[curve["threshold"] <= 1]
    axes.plot(inside["threshold"], inside["cost_per_row"], color=COLOURS[0])
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
    if np.isfinite(low) and np.isfinite(high):
        axes.axvspan(low, min(high, 1), color=COLOURS[1], alpha=0.2, linewidth=0)
    axes.set_xlabel("threshold")
    axes.set_ylabel(f"cost per row{f' ({currency})' if currency else ''}")
    costs = curve["cost_per_row"]
    words = (
        f"Cost per row is lowest, {costs.min():.3g} {currency}, at threshold {threshold:.3g}; selecting everything "
        f"costs {costs.iloc[0]:.3g}, nothing {costs.iloc[-1]:.3g}"
    )
    return _finish(figure, title, words)


def draw_heatmap(table: pd.DataFrame, x: str, y: str, value: str, title: str, *, unit: str = "") -> Picture:
    """Draw a table of numbers as cells, each with its number written in it.

    Parameters
    ----------
    table
        Tidy rows, one per cell.
    x, y, value
        Columns across, down, and of the numbers.
    title
        The finding.
    unit
        What the numbers are.
    """
    grid = table.pivot_table(index=y, columns=x, values=value, sort=False, aggfunc="first", observed=True)
    figure, axes = _start(
        title, width=max(3.0, 0.75 * grid.shape[1] + 1.8), height=max(2.0, 0.42 * grid.shape[0] + 1.3)
    )
    numbers = grid.to_numpy(dtype=float)
    top = np.nanmax(np.abs(numbers)) if np.isfinite(numbers).any() else 1.0
    for down, across in np.ndindex(*numbers.shape):
        cell = float(numbers[down, across])
        if np.isfinite(cell):
            shade = 0.08 + 0.5 * abs(cell) / (top or 1.0)
            colour = COLOURS[0] if cell >= 0 else COLOURS[1]
            axes.fill_between(
                [across - 0.48, across + 0.48], down - 0.48, down + 0.48, color=colour, alpha=shade, linewidth=0
            )
            axes.text(across, down, _number(cell), ha="center", va="center", fontsize=9)
    axes.set_xticks(range(grid.shape[1]), [_clip(name, 14) for name in grid.columns])
    axes.set_yticks(range(grid.shape[0]), [_clip(name) for name in grid.index])
    axes.set_xlim(-0.5, grid.shape[1] - 0.5)
    axes.set_ylim(grid.shape[0] - 0.5, -0.5)
    axes.set_xlabel(x.replace("_", " "))
    axes.set_ylabel(y.replace("_", " "))
    cells = [f"{row[y]}, {row[x]}: {_number(row[value])} {unit}".strip() for row in table.head(12).to_dict("records")]
    return _finish(figure, title, "; ".join(cells), len(table) - 12)


def draw_confusion(table: pd.DataFrame, title: str) -> Picture:
    """Draw `nbkit.model.confusion_table`: rows true, columns predicted, counts in the cells."""
    return draw_heatmap(table, "predicted", "actual", "n", title, unit="rows")


def draw_histograms(table: pd.DataFrame, value: str, title: str, *, by: str = "", bins: int = 30) -> Picture:
    """Draw the distribution of a column, or compare it between groups, as shares.

    Parameters
    ----------
    table
        Rows.
    value
        A column of numbers.
    title
        The finding.
    by
        Column that names the groups (at most five are drawn).
    bins
        Of equal width between the 0.5th and the 99.5th percentile.
    """
    figure, axes = _start(title)
    known = table[np.isfinite(table[value].to_numpy(dtype=float, na_value=np.nan))]
    every = known[value].to_numpy(dtype=float)
    ends = np.quantile(every, [0.005, 0.995]) if len(every) else np.array([0.0, 1.0])
    edges = np.linspace(ends[0], ends[1] if ends[1] > ends[0] else ends[0] + 1, bins + 1)
    groups = list(known.groupby(by, sort=True)) if by else [("", known)]
    words = []
    for place, (name, part) in enumerate(groups[: len(COLOURS)]):
        numbers = part[value].to_numpy(dtype=float)
        share = np.histogram(np.clip(numbers, edges[0], edges[-1]), edges)[0] / max(len(numbers), 1)
        axes.stairs(share, edges, color=COLOURS[place], linestyle=LINES[place], linewidth=1.5, label=str(name))
        axes.stairs(share, edges, color=COLOURS[place], fill=True, alpha=0.15)
        words.append(
            f"{f'{name}: ' if by else ''}{len(numbers):,} rows, median {np.median(numbers):.3g}, middle half "
            f"{np.quantile(numbers, 0.25):.3g} to {np.quantile(numbers, 0.75):.3g}"
        )
    if by:
        axes.legend(loc="best")
    axes.set_xlabel(value.replace("_", " "))
    axes.set_ylabel("share of rows")
    return _finish(figure, title, "; ".join(words) or "No rows", len(groups) - len(COLOURS))


def draw_dots(
    table: pd.DataFrame,
    x: str,
    y: str,
    title: str,
    *,
    low: str = "low",
    high: str = "high",
    reference: float | None = None,
    unit: str = "",
    top: int = 25,
) -> Picture:
    """Draw one dot with its interval per row, beside a reference.

    Parameters
    ----------
    table
        Tidy rows.
    x, y
        Columns of names and of values.
    title
        The finding.
    low, high
        Columns of the interval.
    reference
        A value to compare with, drawn as a dashed line.
    unit
        What the values are.
    top
        At most so many rows.
    """
    part = table.head(top)
    figure, axes = _start(title, height=max(1.6, 0.28 * len(part) + 1.0))
    places = np.arange(len(part))
    _span(axes, part[low], part[high], places, colour=COLOURS[0])
    axes.plot(part[y], places, linestyle="", marker="o", markersize=5, color=COLOURS[0])
    if reference is not None:
        axes.axvline(reference, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(places, [_clip(name) for name in part[x]])
    axes.invert_yaxis()
    axes.set_xlabel(unit or y.replace("_", " "))
    words = _list_numbers(part, x, y, low, high)
    return _finish(
        figure,
        title,
        words + (f". The reference is {reference:.3g}" if reference is not None else ""),
        len(table) - len(part),
    )


def draw_scatter(
    table: pd.DataFrame, x: str, y: str, title: str, *, diagonal: bool = False, points: int = 600, seed: int = 0
) -> Picture:
    """Draw a sample of rows as points.

    Parameters
    ----------
    table
        Rows.
    x, y
        Columns of numbers.
    title
        The finding.
    diagonal
        Draw where both are equal.
    points
        At most so many are drawn.
    seed
        For the sample.
    """
    known = table[[x, y]].astype(float).replace([np.inf, -np.inf], np.nan).dropna()
    sample = known.sample(min(points, len(known)), random_state=seed)
    figure, axes = _start(title)
    axes.plot(sample[x], sample[y], linestyle="", marker="o", markersize=3, alpha=0.6, color=COLOURS[0])
    if diagonal and len(known):
        ends = [float(known.min().min()), float(known.max().max())]
        axes.plot(ends, ends, color=INK, linestyle=":", linewidth=1)
    axes.set_xlabel(x.replace("_", " "))
    axes.set_ylabel(y.replace("_", " "))
    together = known[x].corr(known[y]) if len(known) > 1 and known.nunique().min() > 1 else np.nan
    words = f"{len(sample):,} of {len(table):,} rows; correlation {together:.2f}"
    return _finish(figure, title, words + (f"; {x} {_ends(known[x])}, {y} {_ends(known[y])}" if len(known) else ""))


# --- shared


def _start(title: str, *, width: float = 6.4, height: float = 3.4) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left", wrap=True)
    return figure, axes


def _finish(figure: Figure, title: str, words: str, more: int = 0) -> Picture:
    rest = f"; and {more} more" if more > 0 else ""
    return to_picture(figure, f"{title}. {words or 'No rows'}{rest}.", title)


def _span(axes: Axes, low: pd.Series, high: pd.Series, places: Any, colour: str = INK) -> None:
    axes.hlines(places, low.to_numpy(dtype=float), high.to_numpy(dtype=float), color=colour, linewidth=1.2)


def _steps(axes: Axes, every: pd.Series, own: pd.Series) -> Any:
    """Place names or times at steps of their order, or times where they are."""
    if pd.api.types.is_datetime64_any_dtype(own):
        return own.to_numpy()
    names = list(dict.fromkeys(every.astype(str)))
    shown = range(0, len(names), max(1, len(names) // 12))
    axes.set_xticks(list(shown), [_clip(names[place], 12) for place in shown])
    return [names.index(name) for name in own.astype(str)]


def _thin(part: pd.DataFrame, points: int = 400) -> pd.DataFrame:
    return part if len(part) <= points else part.iloc[np.unique(np.linspace(0, len(part) - 1, points).astype(int))]


def _clip(name: Any, width: int = 28) -> str:
    text = f"{name:g}" if isinstance(name, float) else str(name)
    text = text.replace("$", r"\$")
    return text if len(text) <= width else text[: width - 1] + "…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def _ends(values: pd.Series) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"


def _range(part: pd.DataFrame, x: str, y: str) -> str:
    known = part[part[y].notna()]
    if not len(known):
        return "no values"
    first, last = known.iloc[0], known.iloc[-1]
    least, most = known.iloc[int(known[y].argmin())], known.iloc[int(known[y].argmax())]
    return (
        f"{y.replace('_', ' ')} goes from {first[y]:.3g} ({_at(first[x])}) to {last[y]:.3g} ({_at(last[x])}), "
        f"lowest {least[y]:.3g} ({_at(least[x])}), highest {most[y]:.3g} ({_at(most[x])})"
    )


def _at(value: Any) -> str:
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else str(value.date())
        if isinstance(value, pd.Timestamp)
        else str(value)
    )


def _list_numbers(part: pd.DataFrame, x: str, y: str, low: str, high: str) -> str:
    rows: Sequence[dict[Any, Any]] = part.head(10).to_dict("records")
    words = [
        f"{row[x]} {row[y]:.3g}" + (f" ({row[low]:.3g} to {row[high]:.3g})" if low and high else "") for row in rows
    ]
    return "; ".join(words) + (f"; and {len(part) - 10} more" if len(part) > 10 else "")
