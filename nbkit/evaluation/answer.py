"""The answer of an evaluation in at most four numbers with their sentences: what it saves, finds and gets right."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.evaluation.words import show
from nbkit.model.metrics import compare, score
from nbkit.model.predictions import Predictions
from nbkit.wording import format_count

COLUMNS = ["what", "value", "low", "high", "unit", "sentence"]
LIKE = {"regression": "mae", "multiclass": "accuracy"}


def answer(
    predictions: Predictions, today: Predictions, alternatives: pd.DataFrame, *, name: str = "today's rule",
    currency: str = "units", draws: int = 500,
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
    draws
        Resamples behind an interval.

    Returns
    -------
    DataFrame
        At most four rows: `what`, `value`, `low`, `high` (95 %), `unit`, `sentence`. Money saved per row and in the
        period; binary: the shares of cases found and of warnings that are right; regression: the mean absolute error;
        classes: the share given the right class.
    """
    o, rows = predictions, _list_money(predictions, alternatives, name, currency)
    if o.task == "binary":
        found = score(o, ["recall", "precision"], draws=draws).to_dict("index")
        then = score(today, ["recall", "precision"], draws=0)["value"]
        for metric, what in (("recall", "cases found"), ("precision", "warnings right")):
            limits = _limits(found[metric])
            words = f"{_percent(*limits)} of {what.split()[0]} are {what.split()[1]} ({name}: {_percent(then[metric])})"
            rows.append((what, *limits, "share", words))
        return pd.DataFrame(rows, columns=COLUMNS)
    metric = LIKE[o.task]
    limits = _limits(score(o, metric, draws=draws).to_dict("index")[metric])
    pair: dict[str, Any] = compare(o, today, metric, draws=draws).to_dict("index")[metric]
    lead = {"better": "the model is better", "worse": "the model is worse"}.get(
        pair["verdict"], "the lead may be chance"
    )
    if o.task == "regression":
        off, unit = show(*limits), f"units of {o.problem.target}"
        then = show(float(pair["reference"]), *limits[1:]).split()[0]
        rows.append(
            (
                "typical error",
                *limits,
                unit,
                f"Predictions are off by {off} {unit} on average, {name} by {then}: {lead}",
            )
        )
    else:
        words = f"{_percent(*limits)} are given the right class, {_percent(float(pair['reference']))} by {name}: {lead}"
        rows.append(("classes right", *limits, "share", words))
    return pd.DataFrame(rows, columns=COLUMNS)


def _limits(row: Any) -> tuple[float, float, float]:
    return float(row["value"]), float(row["low"]), float(row["high"])


def _list_money(o: Predictions, alternatives: pd.DataFrame, name: str, currency: str) -> list[tuple[Any, ...]]:
    row = alternatives.to_dict("index").get(name)
    if row is None or not (row["cost_per_row"] or row["model"]):
        return []
    own = f"{name} at its own best threshold" if o.task == "binary" else name
    found = []
    for what, many, basis in (
        ("saved per row", 1, "a row"),
        ("saved in the period", len(o), f"on the {describe_basis(o)}"),
    ):
        value, low, high = (-many * float(row[each]) for each in ("difference", "high", "low"))
        said = show(value, low, high, currency, basis)
        words = f"The model is not shown to save or cost anything against {own}: {said}"
        if low > 0:
            words = f"The model saves {said}, against {own}"
        elif high < 0:
            words = f"The model costs {show(-value, -high, -low, currency, basis)} more than {own}"
        found.append((what, value, low, high, currency, words))
    return found


def describe_basis(o: Predictions) -> str:
    """Describe which rows these are: how many, and of which time."""
    rows = (
        f"{format_count(len(o), 'row')} of the test period"
        if o.problem.time
        else f"{format_count(len(o), 'row')} of the test split"
    )
    if o.rows is None or o.problem.time not in o.rows or not len(o):
        return rows
    first, last = (pd.to_datetime(o.rows[o.problem.time]).agg(end) for end in ("min", "max"))
    if (first.year, first.month) == (last.year, last.month) and first.day == 1 and last.day == last.days_in_month:
        return f"{rows}, {first:%B %Y}"
    return f"{rows}, {first.day} {first:%B %Y} to {last.day} {last:%B %Y}"


def _percent(value: float, low: float = np.nan, high: float = np.nan) -> str:
    if not np.isfinite(value):
        return "an unknown share"
    return (
        show(100 * value, 100 * low, 100 * high, "%") if np.isfinite(low + high) else f"{value:.0%}".replace("%", " %")
    )
