"""What an evaluation says in sentences: groups, money, criteria, with no more digits than an interval allows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbkit.wording import format_count

VERBS = {  # of a rate: how a group with more of it fares
    "selection_rate": "is selected",
    "true_positive_rate": "is found when it is a case",
    "false_positive_rate": "is selected without being a case",
    "precision": "is a case when it is selected",
    "accuracy": "is given the right class",
}
ALL = 100  # times the rows there are, beyond which nobody will have them
STRONG = 0.7  # ROC AUC from which on a group is given away

TITLES = {"roc_auc": "ROC AUC", "brier": "Brier score", "ece": "Calibration error", "mae": "Mean absolute error",
          "rmse": "Root mean squared error", "median_ae": "Median absolute error", "mape": "Mean absolute percentage error",
          "r2": "R²", "f1": "F1", "macro_f1": "Macro F1", "slice_gap": "Weakest slice", "rate_ratio": "Ratio of selection rates"}  # fmt: skip


def name_metric(metric: str) -> str:
    """Return a metric's name as it is said.

    Examples
    --------
    >>> name_metric("roc_auc"), name_metric("log_loss")
    ('ROC AUC', 'Log loss')
    """
    return TITLES.get(metric, metric.replace("_", " ").capitalize())


def describe_gap(row: Mapping[str, Any], limit: float, verdict: str) -> str:
    """Describe how the groups of a protected column differ in a rate.

    Parameters
    ----------
    row
        Of `compare_groups`, with `times` (highest / lowest) and its `low` and `high`, and `needed` rows.
    limit
        The highest ratio that is acceptable.
    verdict
        What the interval says about the limit.
    """
    column, rate = row["column"], row["rate"]
    if verdict == "not judged":
        return f"{column}: fewer than two groups have enough rows to compare their {str(rate).replace('_', ' ')}"
    share = rate in VERBS
    ends = [
        f"{value:.0%}".replace("%", " %") if share else f"{value:.3g}"
        for value in (row["highest_value"], row["lowest_value"])
    ]
    times = f"{row['times']:.2g}" if np.isfinite(row["times"]) else "infinitely many"
    verb = VERBS.get(str(rate), "is off")
    often = f"{times} times as {'often' if share else 'far'} as"
    head = f"{column} {row['highest']} {verb} {often} {row['lowest']} ({ends[0]} vs {ends[1]})"
    span = " to ".join(f"{end:.2g}" if np.isfinite(end) else "any number" for end in (row["low"], row["high"]))
    tail = {
        "pass": f"the interval ({span}) is within the limit of {limit:.3g}",
        "fail": f"the limit is {limit:.3g}, and the interval ({span}) is beyond it",
        "inconclusive": f"the limit is {limit:.3g}, and the interval ({span}) reaches across it: inconclusive",
    }[verdict]
    return f"{head}; {tail}{_describe_need(row['needed'], row['n'])}"


def _describe_need(needed: float, n: int) -> str:
    if not np.isfinite(needed):
        return ""
    if needed > ALL * n:
        return ", and no number of rows in reach would decide it"
    rounded = float(f"{needed:.1g}" if needed < 1e3 else f"{needed:.2g}")
    return f", which about {format_count(rounded, 'row')} like these would decide (now {n:,})"


def describe_guess(column: str, value: float, low: float, high: float) -> str:
    """Describe how well the features give a group away."""
    if not np.isfinite(value):
        return f"{column}: fewer than two groups have enough rows to be guessed"
    said = f"ROC AUC {show(value, low, high)}"
    if np.isfinite(low) and low > STRONG:
        return (
            f"the other features give {column} away ({said}): leaving the column out would not hide it from the model"
        )
    if np.isfinite(low) and low > 0.5:
        return f"the other features tell something about {column} ({said})"
    return f"the other features are not shown to tell {column} ({said})"


def describe_price(
    column: str, rate: str, ratios: Sequence[float], extra: tuple[float, float, float], currency: str
) -> str:
    """Describe what thresholds by group achieve, and what they cost."""
    value, low, high = extra
    to = " to ".join(f"{ratio:.2f}" for ratio in ratios)
    head = (
        f"a threshold for each {column} brings the ratio of the {rate.replace('_', ' ')}s from {to} on the test split"
    )
    if low > 0 or high < 0:
        return f"{head} and {'costs' if low > 0 else 'saves'} {show(abs(value), min(abs(low), abs(high)), max(abs(low), abs(high)), currency)} a row"
    return f"{head}; what it costs is not shown to differ from nothing: {show(value, low, high, currency)} a row"


def show(value: float, low: float, high: float, *units: str) -> str:
    """Write a number with its interval, in no more digits than that allows.

    Examples
    --------
    >>> show(55021.3, 35111, 74002, "USD"), show(0.74216, 0.713, 0.7664), show(1.96, np.nan, np.nan)
    ('55,000 USD (35,000 to 74,000)', '0.742 (0.713 to 0.766)', '2.0 (interval unknown)')
    """
    width = high - low if np.isfinite(high - low) and high > low else max(abs(value), 1e-12)
    places = 1 - int(np.floor(np.log10(width)))

    def write(number: float) -> str:
        return f"{round(number, places) + 0.0:,.{max(places, 0)}f}"

    span = f"{write(low)} to {write(high)}" if np.isfinite(low + high) else "interval unknown"
    return " ".join([write(value), *filter(None, units), f"({span})"])
