"""How columns are distributed, for each class of the target or each third of a number."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from nbkit.pictures import Picture
from nbkit.plots.picture import COLOURS, INK, LINES, SHOWN, clip, finish, format_value, new_figure, tell_line, to_floats
from nbkit.problem import Problem

PANELS = 6  # of a picture
LEVELS, BARS = 10, 24  # levels and bins of a distribution
EPOCH = pd.Timestamp("1970-01-01", tz="UTC")


def draw_distributions(
    table: pd.DataFrame, columns: Sequence[str], problem: Problem, title: str, *,
    marks: Mapping[str, float] = MappingProxyType({}), unit: str = "share of rows",
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
        Names of numbers at which a line is drawn over each histogram, such as a threshold; one beyond it has an arrow.
    unit
        What is counted.
    """
    y = table[problem.target]
    if not problem.is_classification:
        y = pd.qcut(y.rank(method="first"), 3, labels=["lowest third", "middle third", "highest third"])
    levels = list(y.cat.categories) if not problem.is_classification else list(y.value_counts().index[: len(COLOURS)])
    names, words = [name for name in columns if name != problem.target][:PANELS], []
    lines = max(-(-len(names) // 2), 1)
    with new_figure(title, width=7.6, height=1.9 * lines + 0.8) as (figure, axes):
        figure.delaxes(axes)
        for place, name in enumerate(names):
            axes = figure.add_subplot(lines, min(len(names), 2), place + 1)
            labels, codes = _cut(table[name])
            for number, level in enumerate(levels):
                own = codes[(y == level).to_numpy()]
                share = np.bincount(own[own >= 0], minlength=len(labels)) / max(len(own), 1)
                style: Any = {"color": COLOURS[number], "linestyle": LINES[number], "linewidth": 1.3}
                axes.step(range(len(labels)), share, where="mid", label="" if place else str(level), **style)
                said = (f"{level}: {name} {each}, {part:.1%}" for each, part in zip(labels, share, strict=True))
                tell_line(axes, range(len(labels)), share, list(said))
                most = labels[int(share.argmax())] if len(labels) else "no value"
                words.append(f"{name}, {problem.target} {level}: most often {most} ({share.max(initial=0):.0%})")
            _draw_marks(axes, labels, marks)
            room = 5 if max(map(len, labels), default=0) < 8 else 3
            shown = range(0, len(labels), max(1, len(labels) // room))
            axes.set_xticks(list(shown), [clip(labels[each], 10) for each in shown], fontsize=8)
            axes.set_title(clip(name, 36), fontsize=9, loc="left")
            axes.tick_params(axis="y", labelsize=8)
        figure.supylabel(unit, fontsize=9)
        if names:
            figure.legend(loc="outside upper right", ncols=5, fontsize=8)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def _draw_marks(axes: Any, labels: Sequence[str], marks: Mapping[str, float]) -> None:
    """Draw a line with its name at each of some numbers, between the bins that begin with these labels."""
    for step, (name, at) in enumerate(sorted(marks.items(), key=lambda pair: pair[1])):
        starts = [float(each.replace(",", "")) for each in labels]
        across = float(np.interp(at, starts, range(len(starts)))) - 0.5
        axes.axvline(across, color=INK, linestyle="--", linewidth=0.9)
        words = f"{name} →" if at > 2 * starts[-1] - starts[-2] else name
        side = "right" if across > len(starts) / 2 else "left"
        axes.text(across, axes.get_ylim()[1] * (0.96 - 0.1 * step), f" {words} ", fontsize=8, ha=side)


def _cut(column: "pd.Series[Any]") -> tuple[list[str], Any]:
    """Return the labels of a column's bins or levels, and the place of each row among them; -1 if in none."""
    moments = pd.api.types.is_datetime64_any_dtype(column.dtype)
    if (moments or pd.api.types.is_numeric_dtype(column.dtype)) and column.nunique() > LEVELS:
        days = (pd.to_datetime(column, utc=True) - EPOCH) / pd.Timedelta("1D") if moments else column
        values = to_floats(days)
        low, high = np.nanquantile(values, [0.01, 0.99])
        edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
        places = np.clip(np.searchsorted(edges, np.nan_to_num(values), side="right") - 1, 0, BARS - 1)
        starts = [
            f"{EPOCH + pd.Timedelta(edge, 'D'):%Y-%m-%d}" if moments else format_value(edge) for edge in edges[:-1]
        ]
        return starts, np.where(np.isnan(values), -1, places)
    texts = column.astype(object).where(column.notna(), "missing").astype(str)
    counts = texts.value_counts().head(LEVELS)
    numeric = pd.to_numeric(counts.index.to_series(), errors="coerce")
    order = counts.index if numeric.isna().any() else numeric.sort_values().index
    return [str(level) for level in order], pd.Index(order).get_indexer(texts)
