"""Where it errs: every slice of the table, by the metric and by how far predictions are off there."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from nbkit.model.metrics import score
from nbkit.model.predictions import Predictions
from nbkit.model.weakness import judge_slices
from nbkit.wording import say_count

LEVELS = 30


def score_slices(
    predictions: Predictions,
    by: Sequence[str],
    *,
    metric: str = "",
    min_rows: int = 100,
    bins: int = 4,
    draws: int = 200,
) -> pd.DataFrame:
    """Score every slice of some columns.

    Parameters
    ----------
    predictions
        With the raw rows.
    by
        Columns; numbers with more than 12 distinct values and times are cut at their quantiles, levels beyond the 30
        most frequent are pooled, missing values are a slice.
    metric
        The problem's own if empty.
    min_rows
        Smaller slices are shown and not judged.
    bins
        Quantile bins of a number.
    draws
        Resamples of the bootstrap.

    Returns
    -------
    DataFrame
        Columns `column`, `slice`, `n`, `value`, `low`, `high` (of the metric, 95 % each), `overall`; and, comparable
        between slices, `bias_vs_whole` and `gap` (by how much predictions are off there beyond the whole), both with
        `_low` and `_high`, `judged` and `verdict`, see `nbkit.model.weakness.judge_slices`. The metric is shown
        and judges nothing: ROC AUC within a slice of a column that drives the outcome is lower by construction, as the
        slice holds less of what separates cases; an error in units of the target is larger where the target varies
        more.

    Raises
    ------
    BadModel
        If a column is missing.
    """
    o, metric = predictions, metric or predictions.problem.metric
    overall = score(o, metric, draws=0)["value"].iloc[0]
    rows, places = [], []
    for column in by:
        labels = cut_slices(o.column(column, "to slice by"), bins=bins)
        for label in labels.cat.categories:
            inside = np.flatnonzero((labels == label).to_numpy())
            seen = score(o.take(inside), metric, draws=draws).iloc[0]
            rows.append((column, label, seen["n"], seen["value"], seen["low"], seen["high"], overall))
            places.append(inside)
    table = pd.DataFrame(rows, columns=["column", "slice", "n", "value", "low", "high", "overall"])
    return table.join(judge_slices(o, places, min_rows=min_rows))


def worst_slices(slices: pd.DataFrame, k: int = 5) -> pd.DataFrame:
    """Return the slices in which predictions are off beyond chance, the most first.

    Parameters
    ----------
    slices
        From `score_slices`.
    k
        At most so many.

    Returns
    -------
    DataFrame
        Rows of `slices` whose verdict is "worse".
    """
    found = slices[slices["verdict"] == "worse"]
    return (
        found.sort_values(["gap_low", "column", "slice"], ascending=[False, True, True]).head(k).reset_index(drop=True)
    )


def slice_gap(slices: pd.DataFrame) -> pd.DataFrame:
    """Return by how much predictions are off in the worst slice, as one more row for a table of scores.

    Parameters
    ----------
    slices
        From `score_slices`.

    Returns
    -------
    DataFrame
        Index `metric` ("slice_gap"); columns `value` (the largest gap of a judged slice), `low`, `high` (of the largest
        gap there is: limits that hold for all slices together), `n`, `better`, `note` (which slice). The largest of
        many gaps is partly chance, so the value leans to the large side; the limits allow for it.
    """
    judged = slices[slices["judged"] & slices["gap"].notna()]
    row: dict[str, Any] = {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "better": "lower"}
    note = "no slice has enough rows"
    if len(judged):
        worst = judged.iloc[int(judged["gap"].to_numpy().argmax())]
        row |= {
            "value": worst["gap"],
            "low": judged["gap_low"].max(),
            "high": judged["gap_high"].max(),
            "n": int(worst["n"]),
        }
        note = f"{worst['column']} = {worst['slice']}"
    return pd.DataFrame([{**row, "note": note}], index=pd.Index(["slice_gap"], name="metric"))


def cut_slices(column: pd.Series, *, bins: int = 4) -> pd.Series:
    """Return a categorical column of slices: levels as they are, numbers and times cut at their quantiles.

    Parameters
    ----------
    column
        Any dtype.
    bins
        Quantile bins of numbers with more than 12 distinct values and of times.

    Returns
    -------
    Series of category
        Same index; the categories are strings, in order.

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
        labels = column.astype(object).map(_show)
        counts = labels[known].value_counts()
        names = list(counts.sort_index(key=_natural).index) if len(counts) <= LEVELS else list(counts.index[:LEVELS])
        if len(counts) > LEVELS:
            labels = labels.where(labels.isin(names), f"other ({say_count(len(counts) - LEVELS, 'level')})")
            names.append(f"other ({say_count(len(counts) - LEVELS, 'level')})")
    if not known.all():
        labels, names = labels.where(known, "missing"), [*names, "missing"]
    return pd.Series(pd.Categorical(labels, categories=list(dict.fromkeys(names))), index=column.index)


def _show(value: Any) -> str:
    return f"{value + 0.0:.15g}" if isinstance(value, float) else str(value)


def _natural(index: pd.Index) -> pd.Index:
    numbers = pd.to_numeric(index.to_series(), errors="coerce")
    return index if numbers.isna().any() else pd.Index(numbers)


def _cut_quantiles(column: pd.Series, bins: int) -> pd.Series:
    """Cut at quantiles; a value so frequent that two of them fall on it is a slice of its own."""
    time = pd.api.types.is_datetime64_any_dtype(column)
    values = column.astype("int64").astype(float).where(column.notna()) if time else column.astype("Float64")
    values = pd.Series(values.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    finite = values[np.isfinite(values)]
    edges, often = np.unique(np.quantile(finite, np.linspace(0, 1, bins + 1)), return_counts=True)
    frequent = edges[often > 1]
    rest = finite[~np.isin(finite, frequent)]
    if len(frequent) and len(rest):
        cuts = np.quantile(rest, np.linspace(0, 1, max(round(bins * len(rest) / len(finite)), 1) + 1))
        edges = np.unique(np.r_[cuts, frequent[(frequent > rest.min()) & (frequent < rest.max())]])

    def show(value: float) -> str:
        return str(pd.Timestamp(int(value), unit=column.dt.unit).date()) if time else f"{value:.4g}"

    place = np.clip(np.searchsorted(edges[1:-1], values, side="right"), 0, max(len(edges) - 2, 0))
    shown = [show(edge) for edge in edges]
    names = np.asarray([f"{low} to {high}" for low, high in pairwise(shown)] or shown, object)
    labels = pd.Series(names[place], index=column.index)
    for value in frequent:
        labels = labels.where(values != value, show(value))
    return labels
