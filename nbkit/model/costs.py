"""Money: what right and wrong decisions cost, row by row, in all, and against deciding otherwise."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadCriterion
from nbkit.model.predictions import Predictions
from nbkit.model.statistics import mean_of
from nbkit.model.uncertainty import find_interval, find_lack, warn_of_few
from nbkit.stats import Array, bootstrap
from nbkit.wording import suggest

BINARY_COSTS = ("false_positive", "false_negative", "true_positive", "true_negative")
REGRESSION_COSTS = ("over", "under")


def price_rows(predictions: Predictions, costs: Mapping[Any, Any]) -> Array:
    """Return what each decision costs: n floats.

    Parameters
    ----------
    predictions
        Of n rows.
    costs
        Binary: as in `choose_threshold`. Multi-class: true class to predicted class to cost; what is not named costs
        0 if right and 1 if wrong. Regression: `over` and `under`, cost per unit predicted too much or too little;
        without any, nothing costs anything.
    """
    o = predictions
    if o.task == "regression":
        price = read_costs(costs, "regression")
        off = o.score - o.truth
        return np.where(off > 0, off * price["over"], -off * price["under"])
    matrix = cost_matrix(costs, o.task, name_classes(o))
    return np.asarray(matrix[o.truth.astype(int), o.label.astype(int)])


def score_cost(predictions: Predictions, costs: Mapping[Any, Any], *, draws: int = 500) -> pd.DataFrame:
    """Score the cost per row, as one more row for the table of `nbkit.model.score`.

    Parameters
    ----------
    predictions, draws
        As in `nbkit.model.score`.
    costs
        As in `price_rows`.

    Returns
    -------
    DataFrame
        Index `metric` ("cost_per_row"); columns `value`, `low`, `high`, `n`, `better`, `note`.
    """
    o, cost = predictions, price_rows(predictions, costs)
    drawn = bootstrap({"cost": mean_of(cost)}, len(cost), draws=draws, seed=o.problem.seed, groups=o.blocks)["cost"]
    value = float(cost.mean()) if len(cost) else np.nan
    low, high = find_interval("cost_per_row", o, value, drawn)
    note = find_lack("cost_per_row", o) or warn_of_few(o)
    return make_row("cost_per_row", value, low, high, len(cost), better="lower", note=note)


def make_row(
    metric: str, value: float = np.nan, low: float = np.nan, high: float = np.nan, n: int = 0, *, better: str, note: str
) -> pd.DataFrame:
    """Make one more row for the table of `nbkit.model.score`."""
    row = {"value": value, "low": low, "high": high, "n": n, "better": better, "note": note}
    return pd.DataFrame([row], index=pd.Index([metric], name="metric"))


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


def name_classes(o: Predictions) -> list[Any]:
    """Return the classes by their codes."""
    return ["negative", "positive"] if o.task == "binary" else list(o.classes)


def cost_matrix(costs: Mapping[Any, Any], task: str, names: list[Any]) -> Array:
    """Return cost by (actual, predicted)."""
    if task == "binary":
        price = read_costs(costs, "binary")
        cells = ("true_negative", "false_positive", "false_negative", "true_positive")
        return np.array([price[cell] for cell in cells]).reshape(2, 2)
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
