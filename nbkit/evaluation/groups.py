"""How groups fare: the rates that fairness is about, with intervals, and how far apart they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.evaluation.words import describe_gap
from nbkit.model.costs import make_row
from nbkit.model.predictions import Predictions
from nbkit.slicing import cut_slices
from nbkit.stats import LEVEL, Array, Z, bound_means, bound_shares, normal_quantile, wilson_interval

COLUMNS = ["column", "group", "rate", "value", "low", "high", "n", "effective", "judged"]
SECONDARY = ("false_positive_rate", "precision")  # differ wherever base rates do: counted where certainly outside
SIGNED = ("calibration_gap", "bias")  # around 0: there is no ratio, so only whether groups are apart


def rates_by_group(predictions: Predictions, column: str, *, min_rows: int = 100) -> pd.DataFrame:
    """Measure what fairness is about in each group.

    Parameters
    ----------
    predictions
        With the raw rows; rows of one block (a day, a customer) are alike, which widens the intervals.
    column
        The group of each row; missing is a group, levels beyond the 30 most frequent are pooled.
    min_rows
        Groups in which fewer rows stand under a rate are shown and not judged.

    Returns
    -------
    DataFrame
        Columns `group`, `rate`, `value`, `low`, `high` (95 %: Wilson's of a share, Student's of a mean), `n` (rows
        under the rate), `effective` (independent rows that these are worth: n over the design effect of the blocks; NaN
        of a mean), `judged`. Rates of a binary problem: base_rate, selection_rate,
        true_positive_rate, false_positive_rate, precision, calibration_gap (the mean probability minus the share of
        cases); of classes: accuracy; of a regression: mae, bias (predicted minus true), in units of the target.

    Raises
    ------
    BadModel
        If the column is missing.

    References
    ----------
    Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data. Survey Methodology 24, 193-201. Dean, N. and Pagano, M. (2015). Evaluating
    confidence interval methods for binomial proportions in clustered surveys. Journal of Survey Statistics and
    Methodology 3, 484-503.
    """
    o = predictions
    labels = cut_slices(o.column(column, "to compare groups by"))
    codes, names = labels.cat.codes.to_numpy(), labels.cat.categories
    parts = []
    for rate, (values, rows) in list_rates(o).items():
        blocks = None if o.blocks is None else o.blocks[rows]
        bound = bound_means if values.dtype == float else bound_shares
        n, value, effective, low, high = bound(values[rows], codes[rows], len(names), blocks)
        columns = {"group": names, "rate": rate, "value": value, "low": low, "high": high}
        columns |= {"n": n, "effective": effective, "judged": n >= min_rows}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def list_rates(o: Predictions) -> dict[str, tuple[Array, Array]]:
    """Return for each rate what is averaged (bool: a share is counted), and among which rows."""
    every = np.ones(len(o), dtype=bool)
    if o.task == "multiclass":
        return {"accuracy": (o.label == o.truth, every)}
    if o.task == "regression":
        return {"mae": (np.abs(o.score - o.truth), every), "bias": (o.score - o.truth, every)}
    truth, label = o.truth.astype(bool), o.label.astype(bool)
    return {
        "base_rate": (truth, every),
        "selection_rate": (label, every),
        "true_positive_rate": (label, truth),
        "false_positive_rate": (label, ~truth),
        "precision": (truth, label),
        "calibration_gap": (o.score - truth, every),
    }


def compare_protected(predictions: Predictions, protected: Sequence[str], *, min_rows: int = 100) -> pd.DataFrame:
    """Measure how the groups of each protected column fare: `rates_by_group`, with a first column `column`.

    Parameters
    ----------
    predictions, min_rows
        As in `rates_by_group`.
    protected
        Columns whose groups must be treated alike.

    Raises
    ------
    BadModel
        If a column is missing.
    """
    parts = [rates_by_group(predictions, name, min_rows=min_rows).assign(column=name)[COLUMNS] for name in protected]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def compare_groups(rates: pd.DataFrame, predictions: Predictions | None = None) -> pd.DataFrame:
    """Describe how far apart the judged groups are in each rate: the highest against the lowest.

    Parameters
    ----------
    rates
        From `rates_by_group`, or from `nbkit.evaluation.compare_protected` with several columns.
    predictions
        Those of the rates, with `column`: where groups share blocks (all airports have the same bad days), what moves
        them together says nothing about their difference. Without, groups count as independent, which is safe there.

    Returns
    -------
    DataFrame
        One row per rate (and `column`, if there is one): `rate`, `lowest`, `highest` (groups), `lowest_value`,
        `highest_value`, `difference` (highest − lowest, in units of the rate) with `low`, `high`; `ratio` (lowest /
        highest; NaN of what lies around 0) with `ratio_low`, `ratio_high`; `n` (rows in both), `groups` (judged) and
        `apart` (bool): whether the interval of the difference excludes 0, and so that of the ratio 1.

    Notes
    -----
    Both intervals are made of those of the two parts, in the same way (MOVER): a difference is apart from 0 exactly
    where its ratio is apart from 1. All are 95 % intervals of what is shown: the highest and the lowest of k groups
    were picked after looking, so each is made at 1 − 0.05 / (k (k − 1) / 2), which holds for every pair at once
    (Bonferroni).

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions. Statistics in
    Medicine 17, 873-890. Zou, G. Y. (2007). Toward using confidence intervals to compare correlations. Psychological
    Methods 12, 399-413. Donner, A. and Zou, G. Y. (2012). Closed-form confidence intervals for functions of the normal
    mean and standard deviation. Statistical Methods in Medical Research 21, 347-359. Dunn, O. J. (1961). Multiple
    comparisons among means. JASA 56, 52-64.
    """
    keys = [name for name in ("column", "rate") if name in rates.columns]
    rows: list[tuple[Any, ...]] = []
    cut: dict[str, pd.Series] = {}
    for key, part in rates.groupby(keys, sort=False):
        judged = part[part["judged"].astype(bool) & part["value"].notna()].sort_values("n", kind="stable")
        k = len(judged)
        if k < 2:
            rows.append((*key, "", "", *[np.nan] * 8, int(judged["n"].sum()), k, False))
            continue
        least = judged.iloc[int(judged["value"].argmin())]  # of equals the smallest, of which least is known
        most = (rest := judged.drop(least.name)).iloc[int(rest["value"].argmax())]
        level = 1 - (1 - LEVEL) / (k * (k - 1) / 2)
        together = 0.0
        if predictions is not None and predictions.blocks is not None:
            name = str(least["column"])
            if name not in cut:
                cut[name] = cut_slices(predictions.column(name, "to compare groups by"))
            together = _correlate(predictions, cut[name], least, most)
        gap = _bound_gap(least, most, level, together)
        both = int(least["n"] + most["n"])
        rows.append((*key, least["group"], most["group"], least["value"], most["value"], *gap, both, k, gap[1] > 0))
    columns = ["lowest", "highest", "lowest_value", "highest_value", "difference", "low", "high"]
    columns += ["ratio", "ratio_low", "ratio_high", "n", "groups", "apart"]
    return pd.DataFrame(rows, columns=[*keys, *columns]).astype({"apart": bool})


def _correlate(o: Predictions, labels: pd.Series, least: pd.Series, most: pd.Series) -> float:
    """Return how much the errors of two groups' rates move together over the blocks that they share."""
    values, rows = list_rates(o)[least["rate"]]
    blocks = np.zeros(len(o), dtype=int) if o.blocks is None else o.blocks
    sums = []
    for each in (least, most):
        inside = np.flatnonzero(rows & (labels == each["group"]).to_numpy())
        off = values[inside] - each["value"]
        sums.append(np.bincount(blocks[inside], weights=off, minlength=int(blocks.max()) + 1))
    size = np.sqrt((sums[0] ** 2).sum() * (sums[1] ** 2).sum())
    return float((sums[0] * sums[1]).sum() / size) if size > 0 else 0.0


def _limits(row: pd.Series, level: float) -> tuple[float, float]:
    """Return the interval of a rate at another level: Wilson's of a share, else the one there is, stretched."""
    if np.isfinite(row["effective"]):
        low, high = wilson_interval(row["value"] * row["effective"], row["effective"], level)
        return float(low), float(high)
    stretch = normal_quantile(level) / Z
    value = row["value"]
    return value + (row["low"] - value) * stretch, value + (row["high"] - value) * stretch


def _bound_gap(least: pd.Series, most: pd.Series, level: float, together: float) -> tuple[float, ...]:
    """Return the difference and the ratio of two rates, each with its limits."""
    a, b = float(least["value"]), float(most["value"])
    (a_low, a_high), (b_low, b_high) = _limits(least, level), _limits(most, level)
    near, far = (a_high - a, b - b_low), (a - a_low, b_high - b)  # towards each other, away from each other
    down, up = (float(np.sqrt(x**2 + y**2 - 2 * together * x * y)) for x, y in (near, far))
    gap = b - a, b - a - down, b - a + up
    if least["rate"] in SIGNED or b <= 0 or not np.isfinite(down + up):
        return *gap, np.nan, np.nan, np.nan
    ends = []
    for (x, y), sign in ((far, -1), (near, 1)):  # where a - ratio * b leaves 0 by as much as chance allows
        square, middle, rest = b**2 - y**2, a * b - together * x * y, a**2 - x**2
        root = float(np.sqrt(max(middle**2 - square * rest, 0.0)))
        end = (middle + root) / square if square > 0 else np.inf
        ends.append(rest / max(middle + root, 1e-300) if sign < 0 else end)
    return *gap, a / b, max(min(ends[0], a / b), 0.0) if a > 0 else 0.0, ends[1]


def judge_groups(gaps: pd.DataFrame, tolerance: Sequence[float] = (0.8, 1.25), *, unit: str = "") -> pd.DataFrame:
    """Hold the gaps between groups against a tolerance.

    Parameters
    ----------
    gaps
        From `compare_groups`, with `column`.
    tolerance
        The lowest and the highest ratio of one group's rate to another's that is acceptable.
    unit
        Of the target of a regression.

    Returns
    -------
    DataFrame
        One row a column and judged rate (binary: the selection rate and the true positive rate, and of the others
        those that are certainly outside; else the accuracy or the mae): `column`, `rate`, `ratio` (highest / lowest),
        `low`, `high` (95 %, for the choice among all pairs), `verdict` (**pass** if the whole interval is within the
        tolerance, **fail** if none of it is, **not judged** if fewer than two groups have enough rows, else
        **inconclusive**), `needed` (rows at which, if the ratio stays, the interval would no longer reach across the
        limit; NaN if it is decided) and `sentence`.

    References
    ----------
    Equal Employment Opportunity Commission (1978). Uniform guidelines on employee selection procedures, 29 CFR
    1607.4 D.
    """
    limit = min(float(tolerance[1]), 1 / float(tolerance[0]))
    rows = []
    for row in gaps[~gaps["rate"].isin(["base_rate", *SIGNED])].to_dict("records"):
        with np.errstate(divide="ignore"):
            ratio, low, high = 1 / np.array([row[name] for name in ("ratio", "ratio_high", "ratio_low")])
        verdict = "pass" if high <= limit else "fail" if low > limit else "inconclusive"
        verdict = "not judged" if row["groups"] < 2 or not row["highest_value"] > 0 else verdict
        away = np.log(ratio / limit) if np.isfinite(ratio) else np.nan
        reach = np.log(ratio / low) if away > 0 else np.log(high / ratio)
        needed = row["n"] * (reach / away) ** 2 if verdict == "inconclusive" and away else np.nan
        words = describe_gap(row | {"times": ratio, "low": low, "high": high, "needed": needed}, limit, verdict, unit)
        rows.append((row["column"], row["rate"], ratio, low, high, verdict, needed, words))
    columns = ["column", "rate", "ratio", "low", "high", "verdict", "needed", "sentence"]
    table = pd.DataFrame(rows, columns=columns)
    return table[~table["rate"].isin(SECONDARY) | (table["verdict"] == "fail")].reset_index(drop=True)


def rate_ratio(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the smallest ratio of selection rates, as one more row for the table of `nbkit.model.score`.

    Parameters
    ----------
    gaps
        From `compare_groups`.

    Returns
    -------
    DataFrame
        Index `metric` ("rate_ratio"); columns `value` (the share acted on in the least favoured group over that in the
        most favoured one, of the protected column where it is smallest), `low`, `high`, `n`, `better`, `note` (which).

    References
    ----------
    Equal Employment Opportunity Commission (1978). Uniform guidelines on employee selection procedures, 29 CFR
    1607.4 D: below four fifths counts as evidence of adverse impact.
    """
    known = gaps[(gaps["rate"] == "selection_rate") & gaps["ratio"].notna()]
    if not len(known):
        note = "no two groups of a protected column have enough rows, or nothing is decided"
        return make_row("rate_ratio", better="higher", note=note)
    least = known.iloc[int(known["ratio"].to_numpy().argmin())]
    note = f"{least['column'] + ': ' if 'column' in known else ''}{least['lowest']} against {least['highest']}"
    limits = least["ratio"], least["ratio_low"], least["ratio_high"]
    return make_row("rate_ratio", *limits, int(least["n"]), better="higher", note=note)
