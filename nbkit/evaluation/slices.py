"""Where it errs: every slice of the table, by the metric and by how far predictions are off there."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from nbkit.evaluation.cohorts import COHORT, Conditions, find_cohort
from nbkit.model.costs import make_row
from nbkit.model.metrics import score
from nbkit.model.predictions import Predictions
from nbkit.model.uncertainty import BLOCKS, CASES
from nbkit.slicing import cut_slices
from nbkit.stats import LEVEL, Array, t_quantile

BIAS = "bias_vs_whole"  # unlike the score `bias`, beyond what all rows together have
AND = " and "
COLUMNS = [BIAS, f"{BIAS}_low", f"{BIAS}_high", "gap", "gap_low", "gap_high", "judged", "verdict"]


def score_slices(
    predictions: Predictions,
    by: Sequence[str | tuple[str, Conditions]],
    *,
    metric: str = "",
    min_rows: int = 100,
    bins: int = 4,
    draws: int = 200,
    order: int = 1,
) -> pd.DataFrame:
    """Score every slice of some columns.

    Parameters
    ----------
    predictions
        With the raw rows.
    by
        Columns; numbers with more than 12 distinct values and times are cut at their quantiles, levels beyond the 30
        most frequent are pooled, missing values are a slice. Or cohorts: each a name and its conditions, see
        `nbkit.evaluation.find_cohort`; their `column` is "cohort", and order 2 does not cross them.
    metric
        The problem's own if empty.
    min_rows
        Smaller slices are shown and not judged.
    bins
        Quantile bins of a number.
    draws
        Resamples of the bootstrap.
    order
        2 also crosses the slices of every two columns, where enough rows are in both; their metric has no interval.

    Returns
    -------
    DataFrame
        Columns `column`, `slice` (of two: "carrier and hour", "EV and 5 to 9"), `n`, `value`, `low`, `high` (of the
        metric, 95 % each), `overall`; and, comparable between slices, `bias_vs_whole` and `gap` (by how much
        predictions are off there beyond the whole), both with `_low` and `_high`, `judged` and `verdict`, see
        `judge_slices`. The metric is shown
        and judges nothing: ROC AUC within a slice of a column that drives the outcome is lower by construction, as the
        slice holds less of what separates cases; an error in units of the target is larger where the target varies
        more.

    Raises
    ------
    BadModel
        If a column is missing.
    BadParameter
        If a condition of a cohort does not fit.
    """
    o, metric = predictions, metric or predictions.problem.metric
    overall = score(o, metric, draws=0)["value"].iloc[0]
    rows, places = [], []
    columns, cohorts = [each for each in by if isinstance(each, str)], [each for each in by if isinstance(each, tuple)]
    cut = {column: cut_slices(o.column(column, "to slice by"), bins=bins) for column in columns}
    found = {
        (column, str(label)): np.flatnonzero((labels == label).to_numpy())
        for column, labels in cut.items()
        for label in labels.cat.categories
    }
    for (one, a), (other, b) in combinations(found, 2) if order > 1 else ():
        both = np.intersect1d(found[one, a], found[other, b]) if one != other else np.empty(0, dtype=int)
        if len(both) >= min_rows:
            found[f"{one}{AND}{other}", f"{a}{AND}{b}"] = both
    raw = pd.DataFrame(index=o.index) if o.rows is None else o.rows
    found |= {(COHORT, name): np.flatnonzero(find_cohort(raw, conditions)) for name, conditions in cohorts}
    for (column, label), inside in found.items():
        seen = score(o.take(inside), metric, draws=0 if AND in column else draws).iloc[0]
        rows.append((column, label, seen["n"], seen["value"], seen["low"], seen["high"], overall))
        places.append(inside)
    table = pd.DataFrame(rows, columns=["column", "slice", "n", "value", "low", "high", "overall"])
    return table.join(judge_slices(o, places, min_rows=min_rows))


def worst_slices(slices: pd.DataFrame, k: int = 5) -> pd.DataFrame:
    """Return the slices in which predictions are off beyond chance, the most first; no row is in two of them.

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
    found = found.sort_values(["gap_low", "column", "slice"], ascending=[False, True, True], ignore_index=True)
    kept: list[tuple[int, dict[str, str]]] = []
    for place, (column, label) in enumerate(zip(found["column"], found["slice"], strict=True)):
        terms = dict(zip(str(column).split(AND), str(label).split(AND), strict=False))
        if all(any(terms.get(name, level) != level for name, level in other.items()) for _, other in kept):
            kept.append((place, terms))
    return found.loc[[place for place, _ in kept[:k]]].reset_index(drop=True)


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


def recalibrate(o: Predictions) -> tuple[Array, Array]:
    """Return truth and prediction as columns (one, or one a class), the prediction as it turns out on all rows.

    References
    ----------
    Zadrozny, B. and Elkan, C. (2002). Transforming classifier scores into accurate multiclass probability estimates.
    KDD 8, 694-699.
    """
    from sklearn.isotonic import IsotonicRegression

    if o.task == "multiclass":
        truth, score = np.eye(o.score.shape[1])[o.truth], o.score
    else:
        truth, score = np.asarray(o.truth, dtype=float)[:, None], o.score[:, None]
    if not len(o):
        return truth, score
    pairs = zip(score.T, truth.T, strict=True)
    fitted = [IsotonicRegression(out_of_bounds="clip").fit_transform(p, y) for p, y in pairs]
    return truth, np.stack(fitted, axis=1)


def judge_slices(o: Predictions, slices: list[Array], *, min_rows: int) -> pd.DataFrame:
    """Judge for each slice whether predictions are off there.

    Parameters
    ----------
    o
        Truth and prediction of all rows.
    slices
        Positions of the rows of each slice.
    min_rows
        Smaller slices are not judged.

    Returns
    -------
    DataFrame
        One row a slice: `bias_vs_whole` (predicted − true on average, beyond that of all rows; NaN of many classes),
        `gap` (by how much predictions are off there: the root of the squared error, or Brier score, that moving them in
        this slice and drawing them together would save), both with limits that hold for all slices together, 95 %;
        `judged`, and `verdict`:
        "worse", "not worse" (nothing found) or "too few".

    Notes
    -----
    For each slice two means are tested: of the residual, and of the residual times the standardized prediction (are
    high ones too high and low ones too low?). Both are 0 in every slice of a perfect model, however hard the slice is.
    A slice is worse only if it is so twice: as predicted, and as the predictions turn out on all rows (isotonic
    regression), so that what is wrong everywhere is not held against a slice; the smaller of the two gaps is shown.
    Levels are 0.05 over the number of tests (Bonferroni); the spread is the larger one of the blocks' and of that which
    right probabilities imply, with Student's t and a correction for skewness (Cornish and Fisher).

    References
    ----------
    Hébert-Johnson, Ú. et al. (2018). Multicalibration: calibration for the (computationally-identifiable) masses. ICML
    35, 1939-1948. Dunn, O. J. (1961). Multiple comparisons among means. JASA 56, 52-64.
    """
    truth, said = recalibrate(o)
    judged = [_is_enough(o, inside, said[inside], min_rows) for inside in slices]
    tests = 2 * truth.shape[1] * max(sum(judged), 1)
    raw = o.score if o.task == "multiclass" else o.score[:, None]
    rows = []
    for inside, enough in zip(slices, judged, strict=True):
        blocks = None if o.blocks is None else o.blocks[inside]
        looks = [_look(o.task, truth[inside], q[inside], blocks, tests if enough else 0) for q in (said, raw)]
        rows.append(min(looks, key=lambda look: (look[4], look[3]) if enough else (look[3],)))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"judged": bool})


def _is_enough(o: Predictions, inside: Array, said: Array, min_rows: int) -> bool:
    if len(inside) < max(min_rows, 2) or (o.blocks is not None and len(np.unique(o.blocks[inside])) < BLOCKS):
        return False
    return o.task != "binary" or bool(min(said.sum(), (1 - said).sum()) >= CASES)


def _look(task: str, truth: Array, said: Array, blocks: Array | None, tests: int) -> tuple[Any, ...]:
    parts = []  # what is off: mean, nearest to 0, farthest
    bias = (np.nan, np.nan, np.nan)
    for y, q in zip(truth.T, said.T, strict=True):
        lean = (q - q.mean()) / q.std() if len(q) and q.std() > 1e-9 else np.zeros(len(q))
        chance = np.clip(q, 0, 1) if task != "regression" else None
        mean, low, high = _bound(y - q, np.ones(len(q)), chance, blocks, max(tests, 1))
        parts.append((abs(mean), max(low, -high, 0.0), max(-low, high)))
        bias = (-mean, -high, -low) if task != "multiclass" else bias
        mean, low, high = _bound(y - q, lean, chance, blocks, max(tests, 1))
        parts.append((max(-mean, 0.0), max(-high, 0.0), max(-low, 0.0)))  # too timid is not worse
    gap, near, far = (float(np.linalg.norm(part)) for part in zip(*parts, strict=True))
    if not tests:
        return bias[0], np.nan, np.nan, gap, np.nan, np.nan, False, "too few"
    return *bias, gap, near, far, True, "worse" if near > 0 else "not worse"


def _bound(
    off: Array, weight: Array, chance: Array | None, blocks: Array | None, tests: int
) -> tuple[float, float, float]:
    """Return the weighted mean of residuals and its limits at a level for so many tests."""
    n, each = len(off), off * weight
    if n < 2 or not weight.any():
        return (float(each.mean()) if n else np.nan), 0.0, 0.0
    mean = float(each.mean())
    units = np.arange(n) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    sums = np.bincount(units, weights=each - mean)
    free = len(sums) - 1
    spread = float((sums**2).sum()) * len(sums) / max(free, 1)
    skew = 0.0
    if chance is not None:
        noise = chance * (1 - chance)
        implied = float((noise * weight**2).sum())
        skew = float((noise * (1 - 2 * chance) * weight**3).sum()) / max(implied, spread, 1e-100) ** 1.5
        spread = max(spread, implied)
    t, error = t_quantile(max(free, 1), 1 - (1 - LEVEL) / tests), np.sqrt(spread) / n
    tilt = skew * (t**2 - 1) / 6
    return mean, mean - max(t + tilt, 0.5 * t) * error, mean + max(t - tilt, 0.5 * t) * error
