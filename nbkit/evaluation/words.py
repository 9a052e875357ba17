"""What an evaluation says in sentences: groups and metrics, with no more digits than an interval allows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nbkit.wording import capitalize, describe, format_count, format_share

VERBS = {  # of a rate: what happens more often in a group with more of it
    "selection_rate": "a row is flagged",
    "true_positive_rate": "a real case is flagged",
    "false_positive_rate": "a row that is no case is flagged",
    "precision": "a flagged row is a real case",
    "accuracy": "the right class is given",
}
ERROR = "predictions are off"
OFF = "; too high and too low count alike"
FARTHEST = 100  # times the rows there are, beyond which nobody will have them
SURE = 0.7  # ROC AUC from which on a group is given away


def name_metric(metric: str) -> str:
    """Return a metric's name as it is said.

    Examples
    --------
    >>> name_metric("roc_auc"), name_metric("log_loss")
    ('ROC AUC', 'Log loss')
    """
    return capitalize(describe(metric).partition(" (")[0])


def describe_gap(row: Mapping[Any, Any], limit: float, verdict: str, unit: str = "") -> str:
    """Describe how the groups of a protected column differ in a rate.

    Parameters
    ----------
    row
        Of `compare_groups`, with `times` (highest / lowest) and its `low` and `high`, and `needed` rows.
    limit
        The highest ratio that is acceptable.
    verdict
        What the interval says about the limit.
    unit
        Of the target, where the rate is an error in it.
    """
    column, rate, share = row["column"], row["rate"], row["rate"] in VERBS
    if verdict == "not judged" and row["groups"] >= 2:
        return f"{column}: {VERBS.get(str(rate), ERROR)} in no group"
    if verdict == "not judged":
        return f"{column}: fewer than two groups have enough rows to compare their {str(rate).replace('_', ' ')}"
    ends = [format_share(row[name]) if share else f"{row[name]:.3g}" for name in ("highest_value", "lowest_value")]
    times = f"{row['times']:.2f}" if row["times"] < 1.1 else f"{row['times']:.2g}"
    far, how = ("often", "") if share else ("far", f" {unit}".rstrip() + OFF)
    often = f"{times} times as {far} as for {row['lowest']} ({' vs '.join(ends)}{how})"
    often = often.replace("inf times as often as", "at times, which never happens")
    low, high = (f"{end:.2g}" if np.isfinite(end) else "any number" for end in (row["low"], row["high"]))
    head = f"{column} {row['highest']}: {VERBS.get(str(rate), ERROR)} {often}"
    if verdict == "pass":
        return f"{head}; the interval ({low} to {high}) is within the limit of {limit:.3g}"
    beyond = "is beyond it" if verdict == "fail" else "reaches across it, so this is undecided"
    return f"{head}; the limit is {limit:.3g}, and the interval ({low} to {high}) {beyond}{_describe_need(row)}"


def _describe_need(row: Mapping[Any, Any]) -> str:
    if not np.isfinite(row["needed"]):
        return ""
    if row["needed"] > FARTHEST * row["n"]:
        return "; it is too near the limit for any number of rows in reach"
    return f"; about {format_count(float(format(row['needed'], '.2g')), 'row')} like these would settle it ({row['n']:,} so far)"
