"""How columns are distributed, for each class of the target or each third of a number."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from nbkit.pictures import Picture
from nbkit.plots.picture import COLOURS, INK, LINES, SHOWN, clip, finish, new_figure, tell_line, to_floats
from nbkit.problem import Problem

PANELS = 6  # of a picture
LEVELS, BARS = 10, 24  # levels and bins of a distribution
EPOCH = pd.Timestamp("1970-01-01", tz="UTC")


def draw_distributions(
    table: pd.DataFrame, columns: Sequence[str], problem: Problem, title: str, *,
    marks: Mapping[str, float] = MappingProxyType({}), unit: str = "",
) -> Picture:  # fmt: skip
    """Draw how columns are distributed for each class of the target, or each third of a number.

    Parameters
    ----------
    table
        Rows with the target.
    columns
        At most six are drawn: numbers and times as histograms between their first and last hundredth, anything else by
        its ten commonest values.
    problem
        What is predicted.
    title
        The finding.
    marks
        Names of numbers at which a line is drawn over each histogram, such as a threshold; of one beyond it, its name.
    unit
        What is counted: shares of the rows of each class, or of each third.
    """
    y = table[problem.target]
    if not problem.is_classification:
        y = pd.qcut(y.rank(method="first"), 3, labels=["lowest third", "middle third", "highest third"])
    levels = list(y.cat.categories) if not problem.is_classification else list(y.value_counts().index[: len(COLOURS)])
    names, words = [name for name in columns if name != problem.target][:PANELS], []
    lines = max(-(-len(names) // 2), 1)
    with new_figure(title, width=7.6, height=1.9 * lines + 0.8 + 0.15 * len(marks)) as (figure, axes):
        figure.delaxes(axes)
        for place, name in enumerate(names):
            axes = figure.add_subplot(lines, min(len(names), 2), place + 1)
            labels, codes, ticks, edges = _cut(table[name])
            for number, level in enumerate(levels):
                own = codes[(y == level).to_numpy()]
                share = np.bincount(own[own >= 0], minlength=len(labels)) / max(len(own), 1)
                style: Any = {"color": COLOURS[number], "linestyle": LINES[number], "linewidth": 1.3}
                axes.step(range(len(labels)), share, where="mid", label="" if place else str(level), **style)
                said = (f"{level}: {name} {each}, {part:.1%}" for each, part in zip(labels, share, strict=True))
                tell_line(axes, range(len(labels)), share, list(said))
                most = labels[int(share.argmax())] if len(labels) else "no value"
                words.append(f"{name}, {problem.target} {level}: most often {most} ({share.max(initial=0):.0%})")
            _draw_marks(axes, edges, marks)
            axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8)
            axes.set_title(clip(name, 36), fontsize=9, loc="left", pad=6 + 12 * len(marks))
            axes.tick_params(axis="y", labelsize=8)
        figure.supylabel(unit or f"share of each {'class' if problem.is_classification else 'third'}", fontsize=9)
        if names:
            figure.legend(loc="outside upper right", ncols=5, fontsize=8)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def _draw_marks(axes: Any, edges: Any, marks: Mapping[str, float]) -> None:
    """Draw a line at each of some numbers, its name above the histogram; of one beyond its ends the name alone."""
    ends = len(edges) - 1.5
    for step, (name, at) in enumerate(sorted(marks.items(), key=lambda pair: -pair[1])):
        across = float(np.interp(at, edges, np.arange(len(edges)))) - 0.5
        inside = edges[0] <= at <= edges[-1]
        if inside:
            axes.axvline(across, color=INK, linestyle="--", linewidth=0.9)
        words = name if inside else f"{name}, beyond this axis →" if at > edges[0] else f"← {name}, beyond this axis"
        style: Any = {"ha": "right" if across > ends / 2 else "left", "transform": axes.get_xaxis_transform()}
        axes.text(across, 1.03 + 0.12 * step, words, fontsize=8, **style)


def _cut(column: "pd.Series[Any]") -> tuple[list[str], Any, dict[float, str], Any]:
    """Return the labels of a column's bins or levels, each row's place among them (-1: in none), ticks, and edges."""
    moments = pd.api.types.is_datetime64_any_dtype(column.dtype)
    if (moments or pd.api.types.is_numeric_dtype(column.dtype)) and column.nunique() > LEVELS:
        days = (pd.to_datetime(column, utc=True) - EPOCH) / pd.Timedelta("1D") if moments else column
        return _cut_numbers(to_floats(days), moments=moments)
    texts = column.astype(object).where(column.notna(), "missing").astype(str)
    counts = texts.value_counts().head(LEVELS)
    numeric = pd.to_numeric(counts.index.to_series(), errors="coerce")
    order = counts.index if numeric.isna().any() else numeric.sort_values().index
    labels = [str(level) for level in order]
    room = 5 if max(map(len, labels), default=0) < 8 else 3
    ticks = {float(place): clip(labels[place], 10) for place in range(0, len(labels), max(1, len(labels) // room))}
    return labels, pd.Index(order).get_indexer(texts), ticks, []


def _cut_numbers(values: Any, *, moments: bool) -> tuple[list[str], Any, dict[float, str], Any]:
    """Cut numbers at round ones; the bins at the ends hold what lies beyond their first and last hundredth, too."""
    low, high = np.nanquantile(values, [0.01, 0.99])
    whole = bool((values[np.isfinite(values)] % 1 == 0).all())
    found = MaxNLocator(BARS, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high if high > low else low + 1)
    edges, width = np.asarray(found), found[1] - found[0]
    digits = max(0, -math.floor(math.log10(width) + 1e-9))
    names = [f"{EPOCH + pd.Timedelta(e, 'D'):%Y-%m-%d}" if moments else f"{e + 0.0:,.{digits}f}" for e in edges]
    labels = [f"{start} to {end}" for start, end in pairwise(names)]
    room, last, ends = 6 if max(map(len, names)) < 8 else 3, len(labels) - 1, {}
    stride = next(each for each in (1, 2, 4, 5, 10) if len(labels) / each <= room)
    if np.nanmin(values) < edges[0]:
        labels[0], ends[0.0] = f"below {names[1]}", f"<{names[1]}"
    if np.nanmax(values) > edges[-1]:
        labels[-1], ends[float(last)] = f"{names[-2]} and above", f"≥{names[-2]}"
    round_ones = [place for place, edge in enumerate(edges) if round(edge / width) % stride == 0]
    ticks = {place - 0.5: names[place] for place in round_ones if all(abs(place - end) > 2.5 for end in ends)} | ends
    places = np.clip(np.searchsorted(edges, np.nan_to_num(values), side="right") - 1, 0, last)
    return labels, np.where(np.isnan(values), -1, places), ticks, edges
