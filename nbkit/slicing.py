"""Columns cut into slices: levels as they are, numbers and times at their quantiles."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from nbkit.wording import format_count

LEVELS = 30


def cut_slices(column: pd.Series, *, bins: int = 4, levels: int = LEVELS) -> pd.Series:
    """Return a categorical column of slices: levels as they are, numbers and times cut at their quantiles.

    Parameters
    ----------
    column
        Any dtype.
    bins
        Quantile bins of numbers with more than 12 distinct values and of times.
    levels
        So many levels are slices of their own, the most frequent; the others are one together.

    Returns
    -------
    Series of category
        Same index; the categories are strings, in order; rows without a value are "missing", or "no value" where that
        is a level.

    Examples
    --------
    >>> cut_slices(pd.Series(range(100))).cat.categories.tolist()
    ['0 to 24.75', '24.75 to 49.5', '49.5 to 74.25', '74.25 to 99']
    """
    known = column.notna()
    ordered = pd.api.types.is_datetime64_any_dtype(column) or (
        pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    )
    if ordered and column.nunique() > 12:
        labels = _cut_quantiles(column, bins)
        names = list(dict.fromkeys(labels[known].iloc[np.argsort(column[known].to_numpy(), kind="stable")]))
    else:
        texts = isinstance(column.dtype, pd.StringDtype)
        labels = column.astype(object) if texts else column.astype(object).map(_show)
        counts = labels[known].value_counts()
        names = list(counts.sort_index(key=_natural).index) if len(counts) <= levels else list(counts.index[:levels])
        if len(counts) > levels:
            labels = labels.where(labels.isin(names), f"other ({format_count(len(counts) - levels, 'level')})")
            names.append(f"other ({format_count(len(counts) - levels, 'level')})")
    if not known.all():
        gap = "missing" if "missing" not in names else "no value"  # a level may be called so
        labels, names = labels.where(known, gap), [*names, gap]
    return pd.Series(pd.Categorical(labels, categories=list(dict.fromkeys(names))), index=column.index)


def spell_edges(edges: Any, digits: int = 6) -> list[str]:
    """Write different numbers in so many digits, or as many as tell them apart.

    Examples
    --------
    >>> spell_edges([0.5, 24.75]), spell_edges([20230109.0, 20230117.0])
    (['0.5', '24.75'], ['20230109', '20230117'])
    """
    whole = len(f"{max(map(abs, edges), default=0.0):.0f}")
    least = max(digits, whole if whole <= 10 else 0)  # up to ten digits before the point no power of ten is written
    written = ([f"{edge:.{more}g}" for edge in edges] for more in range(least, 18))
    return next(names for names in written if len(set(names)) == len(names))


def _show(value: Any) -> str:
    return f"{value + 0.0:.15g}" if isinstance(value, float) else str(value)


def _natural(index: pd.Index) -> pd.Index:
    numbers = pd.to_numeric(index.to_series(), errors="coerce")
    return index if numbers.isna().any() else pd.Index(numbers)


def _cut_quantiles(column: pd.Series, bins: int) -> pd.Series:
    """Cut at quantiles; a value so frequent that two of them fall on it is a slice of its own.

    Times are cut at years or months where slices are as long, so that no end is the day of a single row, such as the
    birth date of a person.
    """
    time = pd.api.types.is_datetime64_any_dtype(column)
    unit: Any = "D"
    method: Any = "nearest" if time else "linear"
    if time:
        days = (column.max() - column.min()).days / bins
        unit = "Y" if days >= 366 else "M" if days >= 31 else "D"
        moments = column.dt.tz_localize(None).to_numpy().astype(f"datetime64[{unit}]")
        values = pd.Series(moments.astype("int64").astype(float), index=column.index).where(column.notna())
    else:
        values = pd.Series(column.astype("Float64").to_numpy(dtype=float, na_value=np.nan), index=column.index)
    finite = values[np.isfinite(values)]
    edges, often = np.unique(np.quantile(finite, np.linspace(0, 1, bins + 1), method=method), return_counts=True)
    frequent = edges[often > 1]
    rest = finite[~np.isin(finite, frequent)]
    if len(frequent) and len(rest):
        parts = np.linspace(0, 1, max(round(bins * len(rest) / len(finite)), 1) + 1)
        cuts = np.quantile(rest, parts, method=method)
        edges = np.unique(np.r_[cuts, frequent[(frequent > rest.min()) & (frequent < rest.max())]])

    ends = np.union1d(edges, frequent)
    told = list(map(str, ends.astype("int64").astype(f"datetime64[{unit}]"))) if time else spell_edges(ends, 4)
    show = dict(zip(ends, told, strict=True))
    place = np.clip(np.searchsorted(edges[1:-1], values, side="right"), 0, max(len(edges) - 2, 0))
    shown = [show[edge] for edge in edges]
    names = np.asarray([f"{low} to {high}" for low, high in pairwise(shown)] or shown, object)
    labels = pd.Series(names[place], index=column.index)
    for value in frequent:
        labels = labels.where(values != value, show[value])
    return labels
