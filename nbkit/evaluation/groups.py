"""How groups fare: the rates that fairness is about, with intervals, and how far apart they are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nbkit.evaluation.slices import score_slices
from nbkit.model.costs import make_row
from nbkit.model.predictions import Predictions
from nbkit.slicing import cut_slices
from nbkit.stats import LEVEL, Z, bound_shares, normal_quantile, wilson_interval

COLUMNS = ["column", "group", "rate", "value", "low", "high", "n", "effective", "difference", "judged"]
SECONDARY = ("false_positive_rate", "precision")  # differ wherever base rates do: counted where certainly outside


def rates_by_group(predictions: Predictions, column: str, *, min_rows: int = 100) -> pd.DataFrame:
    """Compare the rates that fairness is about between groups (binary).

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
        Columns `group`, `rate` (base_rate, selection_rate, true_positive_rate, false_positive_rate, precision),
        `value`, `low`, `high` (Wilson, 95 %), `n` (rows under the rate), `effective` (independent rows that these are
        worth: n over the design effect of the blocks), `difference` (to the largest group), `judged`.

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
    largest = int(np.argmax(np.bincount(codes, minlength=len(names)))) if len(codes) else 0
    parts = []
    truth, label, every = o.truth.astype(bool), o.label.astype(bool), np.ones(len(o), dtype=bool)
    rates = {  # which rows are counted, among which
        "base_rate": (truth, every),
        "selection_rate": (label, every),
        "true_positive_rate": (label, truth),
        "false_positive_rate": (label, ~truth),
        "precision": (truth, label),
    }
    for rate, (hits, rows) in rates.items():
        blocks = None if o.blocks is None else o.blocks[rows]
        n, value, effective, low, high = bound_shares(hits[rows], codes[rows], len(names), blocks)
        columns = {"group": names, "rate": rate, "value": value, "low": low, "high": high}
        base = value[[largest]] if len(names) else value
        columns |= {"n": n, "effective": effective, "difference": value - base, "judged": n >= min_rows}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def compare_protected(
    predictions: Predictions, protected: Sequence[str], *, min_rows: int = 100, draws: int = 200
) -> pd.DataFrame:
    """Describe how the groups of each protected column fare.

    Parameters
    ----------
    predictions, min_rows, draws
        As in `nbkit.evaluation.score_slices`.
    protected
        Columns whose groups must be treated alike.

    Returns
    -------
    DataFrame
        column, group, rate (what is compared; the metric itself where there is no decision), value, low, high (95 %),
        n, effective (independent rows that these are worth; NaN of a metric), difference (to the largest group, or to
        the whole), judged (enough rows). `compare_groups` tells from it which groups are apart.

    Raises
    ------
    BadModel
        If a column is missing.
    """
    parts = []
    for column in protected:
        if predictions.task == "binary":
            table = rates_by_group(predictions, column, min_rows=min_rows)
        else:
            table = score_slices(predictions, [column], min_rows=min_rows, draws=draws)
            table = table.assign(rate=predictions.problem.metric, group=table["slice"], effective=np.nan)
            table["difference"] = table["value"] - table["overall"]
        parts.append(table.assign(column=column)[COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def compare_groups(rates: pd.DataFrame) -> pd.DataFrame:
    """Describe how far apart the judged groups are in each rate: the highest against the lowest.

    Parameters
    ----------
    rates
        From `rates_by_group`, or from `nbkit.evaluation.compare_protected` with several columns.

    Returns
    -------
    DataFrame
        One row per rate (and `column`, if there is one): `rate`, `lowest`, `highest` (groups), `lowest_value`,
        `highest_value`, `difference` (highest − lowest, in units of the rate) with `low`, `high`; `ratio` (lowest /
        highest, of shares) with `ratio_low`, `ratio_high`; `n` (rows in both), `groups` (judged) and `apart` (bool):
        whether the interval of the difference excludes 0.

    Notes
    -----
    The interval of a difference is Newcombe's, made of the intervals of its two parts; of a metric, whose intervals are
    bootstrapped, it is the same construction (Zou and Donner), scaled as if they were normal. Groups count as
    independent; where they share blocks that are alike, this is on the safe side. The ratio's interval is Katz's, on
    the logarithm. All are 95 % intervals of what is shown: the highest and the lowest of k groups were picked after
    looking, so each is made at 1 − 0.05 / (k (k − 1) / 2), which holds for every pair at once (Bonferroni).

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions. Statistics in
    Medicine 17, 873-890. Zou, G. Y. and Donner, A. (2008). Construction of confidence limits about effect measures.
    Statistics in Medicine 27, 1693-1702. Katz, D. et al. (1978). Obtaining confidence intervals for the risk ratio in
    cohort studies. Biometrics 34, 469-474. Dunn, O. J. (1961). Multiple comparisons among means. JASA 56, 52-64.
    """
    keys = [name for name in ("column", "rate") if name in rates.columns]
    rows = []
    for key, part in rates.groupby(keys, sort=False):
        judged = part[part["judged"].astype(bool) & part["value"].notna()]
        k = len(judged)
        if k < 2:
            rows.append((*key, "", "", *[np.nan] * 8, int(judged["n"].sum()), k, False))
            continue
        least, most = (judged.iloc[int(place)] for place in (judged["value"].argmin(), judged["value"].argmax()))
        level = 1 - (1 - LEVEL) / (k * (k - 1) / 2)
        ends = (least["value"], most["value"])
        gap, ratio = _newcombe(least, most, level), _katz(least, most, level)
        both = int(least["n"] + most["n"])
        rows.append((*key, least["group"], most["group"], *ends, *gap, *ratio, both, k, bool(gap[1] > 0)))
    columns = ["lowest", "highest", "lowest_value", "highest_value", "difference", "low", "high"]
    columns += ["ratio", "ratio_low", "ratio_high", "n", "groups", "apart"]
    return pd.DataFrame(rows, columns=[*keys, *columns]).astype({"apart": bool})


def judge_groups(gaps: pd.DataFrame, tolerance: Sequence[float] = (0.8, 1.25)) -> pd.DataFrame:
    """Hold the gaps between groups against a tolerance.

    Parameters
    ----------
    gaps
        From `compare_groups`, with `column`.
    tolerance
        The lowest and the highest ratio of one group's rate to another's that is acceptable.

    Returns
    -------
    DataFrame
        One row a column and judged rate (binary: the selection rate and the true positive rate, and of the others
        those that are certainly outside; else the metric): `column`, `rate`, `ratio` (lowest / highest), `low`, `high`
        (95 %, for the choice among all pairs), `verdict` (**pass** if the whole interval is within the tolerance,
        **fail** if none of it is, **not judged** if fewer than two groups have enough rows, else **inconclusive**)
        and `sentence`.

    References
    ----------
    Equal Employment Opportunity Commission (1978). Uniform guidelines on employee selection procedures, 29 CFR
    1607.4 D.
    """
    least = max(float(tolerance[0]), 1 / float(tolerance[1]))
    rows = []
    for row in gaps[gaps["rate"] != "base_rate"].to_dict("records"):
        head, what = (row["column"], row["rate"]), f"{str(row['rate']).replace('_', ' ')} by {row['column']}"
        if row["groups"] < 2:
            words = f"{what}: fewer than two groups have enough rows to be judged"
            rows.append((*head, np.nan, np.nan, np.nan, "not judged", words))
            continue
        ratio, low, high = row["ratio"], row["ratio_low"], row["ratio_high"]
        if np.isnan(ratio) and row["highest_value"] > 0:  # a metric: of its difference, as a share of the highest
            ratio, low, high = (1 - row[name] / row["highest_value"] for name in ("difference", "high", "low"))
        verdict = "pass" if low >= least else "fail" if high < least else "inconclusive"
        where = {"pass": "within", "fail": "outside", "inconclusive": "not shown to be within"}[verdict]
        ends = f"{row['lowest_value']:.3g} ({row['lowest']}) against {row['highest_value']:.3g} ({row['highest']})"
        limits = f"{where} the tolerance of {tolerance[0]:g} to {tolerance[1]:g}"
        words = f"{what}: {ends}, ratio {_describe_ratio(ratio, low, high)}, {limits}"
        rows.append((*head, ratio, low, high, verdict, words))
    table = pd.DataFrame(rows, columns=["column", "rate", "ratio", "low", "high", "verdict", "sentence"])
    return table[~table["rate"].isin(SECONDARY) | (table["verdict"] == "fail")].reset_index(drop=True)


def _describe_ratio(ratio: float, low: float, high: float) -> str:
    ends = [f"{end:.2f}" if np.isfinite(end) else "unknown" for end in (low, high)]
    return f"{ratio:.2f} ({ends[0]} to {ends[1]})" if np.isfinite(ratio) else "unknown"


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


def _limits(row: pd.Series, level: float) -> tuple[float, float]:
    """Return the interval of a rate at another level: Wilson's of a share, else the one there is, stretched."""
    if np.isfinite(row["effective"]):
        low, high = wilson_interval(row["value"] * row["effective"], row["effective"], level)
        return float(low), float(high)
    stretch = normal_quantile(level) / Z
    value = row["value"]
    return value + (row["low"] - value) * stretch, value + (row["high"] - value) * stretch


def _newcombe(least: pd.Series, most: pd.Series, level: float) -> tuple[float, float, float]:
    gap = most["value"] - least["value"]
    (least_low, least_high), (most_low, most_high) = _limits(least, level), _limits(most, level)
    down = np.hypot(most["value"] - most_low, least_high - least["value"])
    up = np.hypot(most_high - most["value"], least["value"] - least_low)
    return gap, gap - down, gap + up


def _katz(least: pd.Series, most: pd.Series, level: float) -> tuple[float, float, float]:
    if most["value"] == 0 or not np.isfinite(least["effective"]):
        return np.nan, np.nan, np.nan
    ratio = least["value"] / most["value"]
    if least["value"] == 0:
        return 0.0, 0.0, np.nan
    parts = [(1 - row["value"]) / (row["value"] * row["effective"]) for row in (least, most)]
    spread = normal_quantile(level) * np.sqrt(sum(parts))
    return ratio, ratio * np.exp(-spread), ratio * np.exp(spread)
