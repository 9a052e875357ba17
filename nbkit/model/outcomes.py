"""What predictions lead to, for any task: the decision, its outcomes in rows and money, and how groups fare."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.model.costs import confusion_table, price_rows, read_costs
from nbkit.model.fairness import rates_by_group
from nbkit.model.metrics import DECIDES
from nbkit.model.slices import check_columns, score_slices
from nbkit.model.threshold import Decision, choose_threshold

GROUP_COLUMNS = ["column", "group", "rate", "value", "low", "high", "n", "effective", "difference", "judged"]
NO_CURVE = ["threshold", "cost_per_row", "selection_rate", "tp", "fp", "fn", "tn"]


def usual_metric(task: str) -> str:
    """Return the metric that decides where none is named.

    Examples
    --------
    >>> usual_metric("regression")
    'mae'
    """
    return DECIDES[task]


def set_decision(
    y: Any,
    p: Any,
    costs: Mapping[str, float],
    *,
    task: str,
    positive: Any = None,
    seed: int = 0,
    groups: "pd.Series[Any] | None" = None,
) -> Decision:
    """Decide from which probability on to act.

    Parameters
    ----------
    y, p
        Truth and predictions of rows that were neither learned from nor will be judged on (the valid split).
    costs
        As in `choose_threshold`; without any, both errors cost 1.
    task, positive, seed, groups
        As in `choose_threshold`.

    Returns
    -------
    Decision
        For a task without a threshold, one with NaN and an empty curve: the likeliest class, or the value, is it.
    """
    if task == "binary":
        return choose_threshold(y, p, costs, positive=positive, seed=seed, groups=groups)
    curve = pd.DataFrame(columns=NO_CURVE, dtype=float)
    return Decision(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, curve)


def tabulate_outcomes(
    y: Any,
    p: Any,
    costs: Mapping[str, float],
    *,
    task: str,
    positive: Any = None,
    threshold: float = 0.5,
    currency: str = "",
) -> pd.DataFrame:
    """Count what was said against what was true, in rows and in money.

    Returns
    -------
    DataFrame
        Classes: as `confusion_table`. Regression: ``outcome`` (too low, too high), ``n``, ``share``, ``mean_error``,
        ``cost``, ``currency``.
    """
    if task != "regression":
        return confusion_table(y, p, threshold=threshold, costs=costs, currency=currency, task=task, positive=positive)
    off = np.asarray(p, dtype=float) - np.asarray(y, dtype=float)
    price = np.asarray(price_rows(y, p, costs, task=task))
    rows = [
        {"outcome": name, "n": int(which.sum()), "share": float(which.mean()),
         "mean_error": float(off[which].mean()) if which.any() else 0.0, "cost": float(price[which].sum())}
        for name, which in (("too low", off < 0), ("too high", off >= 0))
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(currency=currency)


def compare_protected(
    frame: pd.DataFrame,
    y: Any,
    p: Any,
    protected: Sequence[str],
    *,
    metric: str,
    task: str,
    positive: Any = None,
    threshold: float = 0.5,
    min_rows: int = 100,
    seed: int = 0,
    draws: int = 200,
    groups: "pd.Series[Any] | None" = None,
) -> pd.DataFrame:
    """Say how the groups of each protected column fare.

    Parameters
    ----------
    frame
        The rows that were scored, with the protected columns.
    y, p, metric, task, positive, threshold, min_rows, seed, draws
        As in `nbkit.model.score_slices`.
    protected
        Columns whose groups must be treated alike.
    groups
        Rows of one of these are alike (a day, a customer): the intervals allow for it.

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
    check_columns(frame, protected, "to compare groups by")
    how: dict[str, Any] = {"positive": positive, "threshold": threshold, "min_rows": min_rows}
    parts = []
    for column in protected:
        if task == "binary":
            table = rates_by_group(y, p, frame[column], blocks=groups, **how)
        else:
            how |= {"metric": metric, "task": task, "seed": seed, "draws": draws, "groups": groups}
            table = score_slices(frame, y, p, [column], **how)
            off = table["value"] - table["overall"]
            table = table.rename(columns={"slice": "group"}).assign(rate=metric, effective=np.nan, difference=off)
        parts.append(table.assign(column=column)[GROUP_COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=GROUP_COLUMNS)


def describe_costs(costs: Mapping[str, Any], task: str, *, currency: str = "units") -> pd.DataFrame:
    """Return one row an error: its name, what it means, what it costs.

    Raises
    ------
    BadCriterion
        If a cost is unknown or no number.
    """
    if task == "multiclass":
        rows = [(f"{a} taken for {b}", float(c)) for a, row in costs.items() for b, c in row.items()]
        return pd.DataFrame(rows or [("any mistake", 1.0)], columns=["error", f"cost ({currency})"])
    priced = read_costs(costs, task)
    rows = [(name.replace("_", " "), priced[name]) for name in costs]
    return pd.DataFrame(rows, columns=["error", f"cost ({currency})"])
