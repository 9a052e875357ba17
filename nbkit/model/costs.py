"""Money: what right and wrong decisions cost, row by row, in all, and against deciding otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadCriterion
from nbkit.model.intervals import Array, bootstrap
from nbkit.model.outcome import Outcome, prepare
from nbkit.model.uncertainty import bound_draws, find_interval, find_lack, warn_of_few
from nbkit.wording import suggest

BINARY_COSTS = ("false_positive", "false_negative", "true_positive", "true_negative")
REGRESSION_COSTS = ("over", "under")


def price_rows(
    y: Any,
    p: Any,
    costs: Mapping[Any, Any],
    *,
    task: str | None = None,
    positive: Any = None,
    threshold: float = 0.5,
) -> Array:
    """Return what each decision costs.

    Parameters
    ----------
    y, p, task, positive, threshold
        As in `nbkit.model.score_predictions`.
    costs
        Binary: as in `choose_threshold`. Multi-class: true class to predicted class to cost; what is not named costs
        0 if right and 1 if wrong. Regression: `over` and `under`, cost per unit predicted too much or too little;
        without any, nothing costs anything.

    Returns
    -------
    array of n floats
        Of the rows with known truth.
    """
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold)
    return _price_outcome(outcome, costs)


def score_cost(
    y: Any,
    p: Any,
    costs: Mapping[Any, Any],
    *,
    task: str | None = None,
    positive: Any = None,
    threshold: float = 0.5,
    seed: int = 0,
    draws: int = 500,
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Score the cost per row, as one more row for the table of `nbkit.model.evaluate`.

    Parameters
    ----------
    y, p, task, positive, threshold, seed, draws, groups
        As in `nbkit.model.score_predictions`.
    costs
        As in `price_rows`.

    Returns
    -------
    DataFrame
        Index `metric` ("cost_per_row"); columns `value`, `low`, `high`, `n`, `better`, `note`.
    """
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold, groups=groups)
    cost = _price_outcome(outcome, costs)
    mean = {"cost": lambda w: w @ cost / w.sum(axis=1)}
    drawn = bootstrap(mean, len(cost), draws=draws, seed=seed, groups=outcome.blocks)["cost"]
    value = float(cost.mean()) if len(cost) else np.nan
    low, high = find_interval("cost_per_row", outcome, value, drawn)
    note = find_lack("cost_per_row", outcome) or warn_of_few(outcome)
    row = {"value": value, "low": low, "high": high, "n": len(cost), "better": "lower", "note": note}
    return pd.DataFrame([row], index=pd.Index(["cost_per_row"], name="metric"))


def compare_costs(
    y: Any,
    p: Any,
    others: Mapping[str, Any],
    costs: Mapping[Any, Any],
    *,
    task: str | None = None,
    positive: Any = None,
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
    draws: int = 500,
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Compare what the model's decisions cost with what deciding otherwise would, on the same rows.

    Parameters
    ----------
    y, p, task, positive, threshold, seed, draws, groups
        As in `nbkit.model.score_predictions`.
    others
        Name to predictions of the same rows (today's rule, the dummy). Binary: never acting and always acting are
        compared in any case.
    thresholds
        Where those decide, by name; where the model does if one is left out.
    costs
        As in `price_rows`.

    Returns
    -------
    DataFrame
        Index `alternative`; columns `cost_per_row` (of the alternative), `model` (the model's), `difference` (model −
        alternative: below 0 the model is cheaper), `low`, `high` (of the difference, 95 %: both are priced on the same
        bootstrap resamples), `n`, `verdict`: "model is cheaper", "alternative is cheaper" or "cannot tell", and `note`:
        why there are no limits, or that the model decides as never or always acting does.

    References
    ----------
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall, chapter 16.

    Examples
    --------
    >>> table = compare_costs([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9], {}, {"false_positive": 1, "false_negative": 3})
    >>> table[["cost_per_row", "model", "difference"]].round(2).to_dict("index")["always acting"]
    {'cost_per_row': 0.5, 'model': 0.25, 'difference': -0.25}
    """
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold, groups=groups)
    options: dict[str, Any] = {"task": outcome.task, "positive": positive}
    cuts = {name: (thresholds or {}).get(name, threshold) for name in others}
    constant = {"never acting": False, "always acting": True} if outcome.task == "binary" else {}
    priced = {
        name: _price_outcome(replace(outcome, label=np.full(len(outcome), acts)), costs)
        for name, acts in constant.items()
    }
    priced |= {
        name: _price_outcome(prepare(y, other, threshold=cuts[name], **options), costs)
        for name, other in others.items()
    }
    model = _price_outcome(outcome, costs)
    saved = {name: (lambda w, off=model - cost: w @ off / w.sum(axis=1)) for name, cost in priced.items()}
    resampled = bootstrap(saved, len(outcome), draws=draws, seed=seed, groups=outcome.blocks)
    lack = find_lack("cost_per_row", outcome)
    rows = []
    for name, cost in priced.items():
        off = float((model - cost).mean()) if len(outcome) else np.nan
        low, high = (np.nan, np.nan) if lack else bound_draws(off, resampled[name], outcome)
        verdict = "model is cheaper" if high < 0 else "alternative is cheaper" if low > 0 else "cannot tell"
        means = [float(part.mean()) if len(outcome) else np.nan for part in (cost, model, model - cost)]
        same = name in constant and len(outcome) and bool((outcome.label == constant[name]).all())
        note = f"the model {name.split()[0]} acts at the threshold that costs least" if same else lack
        rows.append((name, *means, low, high, len(outcome), verdict, note))
    columns = ["alternative", "cost_per_row", "model", "difference", "low", "high", "n", "verdict", "note"]
    return pd.DataFrame(rows, columns=columns).set_index("alternative")


def confusion_table(
    y: Any,
    p: Any,
    *,
    threshold: float = 0.5,
    costs: Mapping[Any, Any] | None = None,
    currency: str = "",
    task: str | None = None,
    positive: Any = None,
) -> pd.DataFrame:
    """Count what was decided against what was true, in rows and in money (binary and multi-class).

    Parameters
    ----------
    y, p, threshold, task, positive
        As in `nbkit.model.score_predictions`.
    costs
        As in `price_rows`; without it no money.
    currency
        Kept in a column for those who print the table.

    Returns
    -------
    DataFrame
        Columns `actual`, `predicted`, `n`, `share` (of all rows), `share_of_actual`; binary also `outcome` ("true
        positive" …); with costs also `cost_each`, `cost` and `currency`.
    """
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold)
    if outcome.task == "regression":
        raise BadCriterion("a regression decides nothing, so it has no confusion table; use score_cost")
    names = ["negative", "positive"] if outcome.task == "binary" else list(outcome.classes)
    size, truth, label = len(names), outcome.truth.astype(int), outcome.label.astype(int)
    n = np.bincount(truth * size + label, minlength=size * size).reshape(size, size)
    actual, said = (index.ravel() for index in np.indices((size, size)))
    with np.errstate(invalid="ignore"):
        rows = {
            "actual": [str(names[code]) for code in actual],
            "predicted": [str(names[code]) for code in said],
            "n": n.ravel(),
            "share": n.ravel() / max(len(outcome), 1),
            "share_of_actual": (n / n.sum(axis=1, keepdims=True)).ravel(),
        }
    table = pd.DataFrame(rows)
    if outcome.task == "binary":
        table.insert(0, "outcome", ["true negative", "false positive", "false negative", "true positive"])
    if costs is not None:
        each = _cost_matrix(costs, outcome.task, names)[actual, said]
        table = table.assign(cost_each=each, cost=each * table["n"], currency=currency)
    return table


def read_costs(costs: Mapping[Any, Any], task: str) -> dict[str, float]:
    """Return the costs by name, 0 where one is not given; an unknown name is refused with the nearest.

    Without any, both errors of a binary decision cost 1, as any mistake between classes does; what it costs to be off
    by a unit has no such default, so it is 0.

    Examples
    --------
    >>> read_costs({}, "binary")["false_negative"], read_costs({"over": 2}, "regression")
    (1.0, {'over': 2.0, 'under': 0.0})
    """
    known = BINARY_COSTS if task == "binary" else REGRESSION_COSTS
    for name, value in costs.items():
        if name not in known:
            raise BadCriterion(f"no cost {name!r} for {task}{suggest(name, known)}")
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            raise BadCriterion(f"the cost {name!r} is {value!r}; it must be a number, a gain is negative")
    given = costs or ({"false_positive": 1, "false_negative": 1} if task == "binary" else {})
    return {name: float(given.get(name, 0.0)) for name in known}


def _price_outcome(outcome: Outcome, costs: Mapping[Any, Any]) -> Array:
    if outcome.task == "regression":
        price = read_costs(costs, "regression")
        off = outcome.score - outcome.truth
        return np.where(off > 0, off * price["over"], -off * price["under"])
    names = ["negative", "positive"] if outcome.task == "binary" else list(outcome.classes)
    matrix = _cost_matrix(costs, outcome.task, names)
    return np.asarray(matrix[outcome.truth.astype(int), outcome.label.astype(int)])


def _cost_matrix(costs: Mapping[Any, Any], task: str, names: list[Any]) -> Array:
    """Return cost by (actual, predicted)."""
    if task == "binary":
        price = read_costs(costs, "binary")
        return np.array(
            [[price["true_negative"], price["false_positive"]], [price["false_negative"], price["true_positive"]]]
        )
    matrix = 1.0 - np.eye(len(names))
    place = {str(name): code for code, name in enumerate(names)}
    for actual, row in costs.items():
        if not isinstance(row, Mapping):
            raise BadCriterion(f"multi-class costs are written true class: {{predicted class: cost}}; got {row!r}")
        for said, value in row.items():
            for name in (actual, said):
                if str(name) not in place:
                    raise BadCriterion(f"a cost names class {name!r}; there are {', '.join(place)}")
            matrix[place[str(actual)], place[str(said)]] = float(value)
    return matrix
