"""Where it errs: every slice of the table, by the metric and by how far predictions are off there."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nbkit.columns import cut_slices
from nbkit.evaluation.weakness import judge_slices
from nbkit.model.costs import make_row
from nbkit.model.metrics import score
from nbkit.model.predictions import Predictions


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
        `_low` and `_high`, `judged` and `verdict`, see `nbkit.evaluation.weakness.judge_slices`. The metric is shown
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
    return found.sort_values(["gap_low", "column", "slice"], ascending=[False, True, True], ignore_index=True).head(k)


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
    if not len(judged):
        return make_row("slice_gap", better="lower", note="no slice has enough rows")
    worst = judged.iloc[int(judged["gap"].to_numpy().argmax())]
    limits, note = (judged["gap_low"].max(), judged["gap_high"].max()), f"{worst['column']} = {worst['slice']}"
    return make_row("slice_gap", worst["gap"], *limits, int(worst["n"]), better="lower", note=note)
