"""What decisions cost: against deciding otherwise, by kind of error, and as it was stated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.model.costs import cost_matrix, name_classes, price_rows, read_costs
from nbkit.model.predictions import Predictions
from nbkit.model.statistics import mean_of
from nbkit.model.uncertainty import bound_draws, find_lack
from nbkit.problem import Problem
from nbkit.stats import bootstrap


def compare_costs(
    predictions: Predictions, others: Mapping[str, Predictions], costs: Mapping[Any, Any], *, draws: int = 500
) -> pd.DataFrame:
    """Compare what the model's decisions cost with what deciding otherwise would, on the same rows.

    Parameters
    ----------
    predictions
        Of the model.
    others
        Name to predictions of the same rows (today's rule, the dummy), each deciding at its own threshold. Binary:
        never acting and always acting are compared in any case.
    costs
        As in `price_rows`.
    draws
        Resamples of the bootstrap.

    Returns
    -------
    DataFrame
        Index `alternative`; columns `cost_per_row` (of the alternative), `model` (the model's), `difference` (model −
        alternative: below 0 the model is cheaper), `low`, `high` (of the difference, 95 %: both are priced on the same
        bootstrap resamples), `n`, `verdict` on the model: "better" (cheaper), "worse" or "inconclusive", and `note`:
        why there are no limits, or that the model decides as never or always acting does.

    References
    ----------
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall, chapter 16.

    Examples
    --------
    >>> from nbkit.problem import Problem
    >>> said = Predictions.align([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9], Problem("late"))
    >>> table = compare_costs(said, {}, {"false_positive": 1, "false_negative": 3})
    >>> table[["cost_per_row", "model", "difference"]].round(2).to_dict("index")["always acting"]
    {'cost_per_row': 0.5, 'model': 0.25, 'difference': -0.25}
    """
    o, n = predictions, len(predictions)
    constant = {"never acting": False, "always acting": True} if o.task == "binary" else {}
    priced = {name: price_rows(replace(o, label=np.full(n, acts)), costs) for name, acts in constant.items()}
    priced |= {name: price_rows(other, costs) for name, other in others.items()}
    model = price_rows(o, costs)
    saved = {name: mean_of(model - cost) for name, cost in priced.items()}
    resampled = bootstrap(saved, n, draws=draws, seed=o.problem.seed, groups=o.blocks)
    lack = find_lack("cost_per_row", o)
    rows = []
    for name, cost in priced.items():
        off = float((model - cost).mean()) if n else np.nan
        low, high = (np.nan, np.nan) if lack else bound_draws(off, resampled[name], o)
        verdict = "better" if high < 0 else "worse" if low > 0 else "inconclusive"
        means = [float(part.mean()) if n else np.nan for part in (cost, model, model - cost)]
        same = name in constant and n and bool((o.label == constant[name]).all())
        note = f"the model {name.split()[0]} acts at the threshold that costs least" if same else lack
        rows.append((name, *means, low, high, n, verdict, note))
    columns = ["alternative", "cost_per_row", "model", "difference", "low", "high", "n", "verdict", "note"]
    return pd.DataFrame(rows, columns=columns).set_index("alternative")


def tabulate_errors(predictions: Predictions, costs: Mapping[Any, Any], *, currency: str = "") -> pd.DataFrame:
    """Count what was decided against what was true, in rows and in money.

    Parameters
    ----------
    predictions
        Of any task.
    costs
        As in `price_rows`.
    currency
        Kept in a column for those who print the table.

    Returns
    -------
    DataFrame
        Classes: columns `actual`, `predicted`, `n`, `share` (of all rows), `share_of_actual`, `cost_each`, `cost`,
        `currency`; binary also `outcome` ("true positive" …). Regression: `outcome` (too low, too high), `n`, `share`,
        `mean_error`, `cost`, `currency`.
    """
    o = predictions
    if o.task == "regression":
        off, price = o.score - o.truth, price_rows(o, costs)
        sides = [
            {"outcome": name, "n": int(which.sum()), "share": float(which.mean()),
             "mean_error": float(off[which].mean()) if which.any() else 0.0, "cost": float(price[which].sum())}
            for name, which in (("too low", off < 0), ("too high", off >= 0))
        ]  # fmt: skip
        return pd.DataFrame(sides).assign(currency=currency)
    names = name_classes(o)
    size, truth, label = len(names), o.truth.astype(int), o.label.astype(int)
    n = np.bincount(truth * size + label, minlength=size * size).reshape(size, size)
    actual, said = (index.ravel() for index in np.indices((size, size)))
    texts = {"actual": [str(names[code]) for code in actual], "predicted": [str(names[code]) for code in said]}
    with np.errstate(invalid="ignore"):
        of_actual = (n / n.sum(axis=1, keepdims=True)).ravel()
    table = pd.DataFrame({**texts, "n": n.ravel(), "share": n.ravel() / max(len(o), 1), "share_of_actual": of_actual})
    if o.task == "binary":
        table.insert(0, "outcome", ["true negative", "false positive", "false negative", "true positive"])
    each = cost_matrix(costs, o.task, names)[actual, said]
    return table.assign(cost_each=each, cost=each * table["n"], currency=currency)


def describe_costs(costs: Mapping[str, Any], problem: Problem, *, currency: str = "units") -> pd.DataFrame:
    """Return one row an error: its name, what it means, what it costs.

    Raises
    ------
    BadCriterion
        If a cost is unknown or no number.
    """
    if problem.task == "multiclass":
        rows = [(f"{a} taken for {b}", float(c)) for a, row in costs.items() for b, c in row.items()]
        return pd.DataFrame(rows or [("any mistake", 1.0)], columns=["error", f"cost ({currency})"])
    priced = read_costs(costs, problem.task)
    rows = [(name.replace("_", " "), priced[name]) for name in costs]
    return pd.DataFrame(rows, columns=["error", f"cost ({currency})"])
