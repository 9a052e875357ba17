"""The answer of an evaluation in at most four numbers with their sentences: what it saves, finds and gets right."""

import math
from typing import Any

import numpy as np
import pandas as pd

from nbkit.contract import ColumnRule
from nbkit.model.metrics import compare, score
from nbkit.model.predictions import Predictions
from nbkit.wording import format_count, format_estimate, format_share

LEADS = {"better": "the model is better", "worse": "the model is worse", "inconclusive": "the difference may be chance"}

WORDS = {  # metric to what it is, its unit, and its sentence
    "recall": ("cases found", "share", "{share} of cases{event} are found"),
    "precision": ("warnings right", "share", "{share} of warnings are right"),
    "accuracy": ("classes right", "share", "{share} are given the right class{event}"),
    "mae": ("typical error", "", "Predictions{event} are off by {share} on average"),
}


def state_answer(
    predictions: Predictions, today: Predictions, alternatives: pd.DataFrame, *, name: str = "today's rule",
    currency: str = "units", target: ColumnRule | None = None, draws: int = 500,
) -> pd.DataFrame:  # fmt: skip
    """Answer what the model is worth on the rows of the test split.

    Parameters
    ----------
    predictions, today
        Of the model and of what is done today, each deciding at its own best threshold.
    alternatives
        From `compare_costs`, with a row `name`; without that row, or where nothing costs anything, money is left out.
    name
        What is done today.
    currency
        Of the costs.
    target
        What the contract says of the target: its meaning, and of a regression its unit.
    draws
        Resamples behind an interval.

    Returns
    -------
    DataFrame
        At most four rows: `what`, `value`, `low`, `high` (95 %), `unit`, `sentence`. Money saved per row and in the
        period; binary: the shares of cases found and of warnings that are right; regression: the mean absolute error;
        classes: the share given the right class.
    """
    o = predictions
    meaning = f" ({target.description})" if target and target.description else ""
    unit = target.unit if target else ""
    rows = _list_money(o, alternatives.to_dict("index").get(name), name, currency)
    for metric in {"binary": ["recall", "precision"], "multiclass": ["accuracy"], "regression": ["mae"]}[o.task]:
        mine, pair = score(o, metric, draws=draws).iloc[0], compare(o, today, metric, draws=draws).iloc[0]
        limits = float(mine["value"]), float(mine["low"]), float(mine["high"])
        then, lead = float(pair["reference"]), LEADS[str(pair["verdict"])]
        what, kind, words = WORDS[metric]
        said = format_estimate(*limits, unit) if metric == "mae" else format_share(*limits)
        before = (format_estimate if metric == "mae" else format_share)(then, *limits[1:]).partition(" (")[0]
        words = words.format(share=said, event=meaning) + f" ({name}: {before}; {lead})" * math.isfinite(then)
        if metric == "precision":
            words += f"; {format_share(float(np.mean(o.label)))} of all rows get a warning"
            words = words if o.label.any() else "No row gets a warning"
        rows.append((what, *limits, kind or unit, words))
    return pd.DataFrame(rows, columns=["what", "value", "low", "high", "unit", "sentence"])


def describe_basis(o: Predictions) -> str:
    """Describe which rows these are: how many, and of which time."""
    rows = f"{format_count(len(o), 'row')} of the test {'period' if o.problem.time else 'split'}"
    if o.rows is None or o.problem.time not in o.rows or not len(o):
        return rows
    first, last = (pd.Timestamp(end) for end in pd.to_datetime(o.rows[o.problem.time]).agg(["min", "max"]))
    if (first.year, first.month) == (last.year, last.month) and first.day == 1 and last.day == last.days_in_month:
        return f"{rows}, {first:%B %Y}"
    return f"{rows}, {first.day} {first:%B %Y} to {last.day} {last:%B %Y}"


def _list_money(o: Predictions, row: Any, name: str, currency: str) -> list[tuple[Any, ...]]:
    if row is None or not (row["cost_per_row"] or row["model"]):
        return []
    own, rows = f"{name} at its own best threshold" if o.task == "binary" else name, []
    for what, many, basis in (("per row", 1, "a row"), ("in the period", len(o), f"on the {describe_basis(o)}")):
        value, low, high = (0.0 - many * float(row[each]) for each in ("difference", "high", "low"))
        words = f"is not shown to save anything against {own}: {format_estimate(value, low, high, currency, basis)}"
        if low > 0:
            words = f"saves {format_estimate(value, low, high, currency, basis)}, against {own}"
        elif high < 0:
            words = f"costs {format_estimate(-value, -high, -low, currency, basis)} more than {own}"
        rows.append((f"saved {what}", value, low, high, currency, f"The model {words}"))
    return rows
