"""What an evaluation says in sentences: groups and metrics, with no more digits than an interval allows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nbkit.wording import capitalize, describe, format_share

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
    beyond = "is beyond it" if verdict == "fail" else f"reaches across it: {describe_need(row['needed'], row['n'])}"
    return f"{head}; the limit is {limit:.3g}, and the interval ({low} to {high}) {beyond}"


def describe_need(needed: float, n: float) -> str:
    """State that more rows are needed to tell, about how many, or that no number in reach would do.

    Parameters
    ----------
    needed
        Rows at which the interval, which narrows with their root, would end at the bound. If the truth is the value of
        today, half of such draws tell; 57 % do over all that the truth may be, and hardly any where it is the bound
        itself. NaN if unknown.
    n
        The rows there are.

    Examples
    --------
    >>> describe_need(4123, 1000)
    'more rows are needed to tell: about 4,200 in place of 1,000 for an even chance if the value stays'
    >>> describe_need(200_000, 1000)
    'it is too near to tell in practice: more than 100 times the 1,000 rows would be needed'
    """
    if np.isnan(needed + n):
        return "more rows are needed to tell"
    if needed > FARTHEST * n:
        return f"it is too near to tell in practice: more than {FARTHEST} times the {n:,.0f} rows would be needed"
    step = 10 ** max(np.floor(np.log10(needed)) - 1, 0)
    many = step * np.ceil(needed / step)
    return f"more rows are needed to tell: about {many:,.0f} in place of {n:,.0f} for an even chance if the value stays"
