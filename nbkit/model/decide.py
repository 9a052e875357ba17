"""Decisions and money: the threshold that costs least, and what right and wrong decisions cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadCriterion
from nbkit.model.intervals import Array, bootstrap, percentile_interval
from nbkit.model.outcome import Outcome, keep_groups, prepare
from nbkit.wording import suggest

BINARY_COSTS = ("false_positive", "false_negative", "true_positive", "true_negative")
REGRESSION_COSTS = ("over", "under")
STEPS = 200


@dataclass(frozen=True)
class Decision:
    """Where to draw the line.

    Attributes
    ----------
    threshold
        Rows from this probability on count as positive; it costs least on the given rows.
    low, high
        Its 95 % bootstrap interval.
    cost, cost_low, cost_high
        Cost per row at the threshold.
    theoretical
        The threshold that would be best if the probabilities were exact.
    curve
        Columns `threshold`, `cost_per_row`, `selection_rate`, `tp`, `fp`, `fn`, `tn`; rising thresholds, from
        everything selected to nothing.

    References
    ----------
    Elkan, C. (2001). The foundations of cost-sensitive learning. IJCAI 17, 973-978.
    """

    threshold: float
    low: float
    high: float
    cost: float
    cost_low: float
    cost_high: float
    theoretical: float
    curve: pd.DataFrame


def choose_threshold(
    y: Any,
    p: Any,
    costs: Mapping[str, float],
    *,
    positive: Any = None,
    seed: int = 0,
    draws: int = 500,
    groups: pd.Series | None = None,
) -> Decision:
    """Find the threshold with the lowest cost (binary).

    Parameters
    ----------
    y
        Truth.
    p
        Probability of the positive class.
    costs
        `false_positive`, `false_negative` and perhaps `true_positive`, `true_negative` (0): money per row, a gain is
        negative. Without any, both errors cost 1.
    positive
        The positive class.
    seed, draws, groups
        Of the bootstrap; rows of one group are drawn together.

    Raises
    ------
    BadCriterion
        If a cost is unknown or no number.

    Examples
    --------
    >>> decision = choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9], {"false_positive": 1, "false_negative": 3})
    >>> decision.threshold, decision.cost, decision.theoretical
    (0.6, 0.0, 0.25)
    """
    price = read_costs(costs, "binary")
    outcome = prepare(y, p, task="binary", positive=positive)
    grid = _list_thresholds(outcome.score)
    cell = np.searchsorted(grid, outcome.score, side="right") - 1  # the highest threshold that selects the row
    shape = (2, len(grid))
    counts = np.bincount(outcome.truth * len(grid) + cell, minlength=2 * len(grid)).reshape(shape)
    table = _count(counts[None])
    cost = _price(table, price)[0]
    best = _lowest(cost[None])[0]
    blocks = keep_groups(groups, outcome, len(y))
    if blocks is None:
        draw = np.random.default_rng(seed).multinomial(len(outcome), counts.ravel() / max(len(outcome), 1), size=draws)
    else:
        draw = _draw_groups(blocks, outcome.truth * len(grid) + cell, 2 * len(grid), draws, seed)
    costs_drawn = _price(_count(draw.reshape(-1, *shape)), price)
    low, high = percentile_interval(grid[_lowest(costs_drawn)]) if len(outcome) > 1 and draws else (np.nan, np.nan)
    cost_low, cost_high = percentile_interval(costs_drawn[:, best]) if len(outcome) > 1 and draws else (np.nan, np.nan)
    tp, fp, fn, tn = (part[0] for part in table)
    curve = pd.DataFrame(
        {
            "threshold": grid,
            "cost_per_row": cost,
            "selection_rate": (tp + fp) / max(len(outcome), 1),
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "tn": tn,
        }
    )
    return Decision(float(grid[best]), low, high, float(cost[best]), cost_low, cost_high, _balance(price), curve)


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
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold)
    cost = _price_outcome(outcome, costs)
    blocks = keep_groups(groups, outcome, len(y))
    mean = {"cost": lambda w: w @ cost / w.sum(axis=1)}
    low, high = percentile_interval(bootstrap(mean, len(cost), draws=draws, seed=seed, groups=blocks)["cost"])
    value = float(cost.mean()) if len(cost) else np.nan
    row = {"value": value, "low": low, "high": high, "n": len(cost), "better": "lower", "note": ""}
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
        Name to predictions of the same rows (today's rule, the dummy), decided at the same threshold. Binary: never
        acting and always acting are compared in any case.
    costs
        As in `price_rows`.

    Returns
    -------
    DataFrame
        Index `alternative`; columns `cost_per_row` (of the alternative), `model` (the model's), `difference` (model −
        alternative: below 0 the model is cheaper), `low`, `high` (of the difference, 95 %: both are priced on the same
        bootstrap resamples), `n` and `verdict`: "model is cheaper", "alternative is cheaper" or "cannot tell".

    References
    ----------
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall, chapter 16.

    Examples
    --------
    >>> table = compare_costs([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9], {}, {"false_positive": 1, "false_negative": 3})
    >>> table[["cost_per_row", "model", "difference"]].round(2).to_dict("index")["always acting"]
    {'cost_per_row': 0.5, 'model': 0.25, 'difference': -0.25}
    """
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold)
    options: dict[str, Any] = {"task": outcome.task, "positive": positive, "threshold": threshold}
    blocks = keep_groups(groups, outcome, len(y))
    constant = {"never acting": False, "always acting": True} if outcome.task == "binary" else {}
    priced = {
        name: _price_outcome(replace(outcome, label=np.full(len(outcome), acts)), costs)
        for name, acts in constant.items()
    }
    priced |= {name: _price_outcome(prepare(y, other, **options), costs) for name, other in others.items()}
    model = _price_outcome(outcome, costs)
    saved = {name: (lambda w, off=model - cost: w @ off / w.sum(axis=1)) for name, cost in priced.items()}
    resampled = bootstrap(saved, len(outcome), draws=draws, seed=seed, groups=blocks)
    rows = []
    for name, cost in priced.items():
        low, high = percentile_interval(resampled[name])
        verdict = "model is cheaper" if high < 0 else "alternative is cheaper" if low > 0 else "cannot tell"
        means = [float(part.mean()) if len(outcome) else np.nan for part in (cost, model, model - cost)]
        rows.append((name, *means, low, high, len(outcome), verdict))
    columns = ["alternative", "cost_per_row", "model", "difference", "low", "high", "n", "verdict"]
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


def _list_thresholds(score: Array) -> Array:
    """List thresholds between selecting everything (0) and nothing: the scores, at most `STEPS` of them."""
    values = np.unique(score)
    if len(values) > STEPS:
        values = np.unique(np.quantile(score, np.linspace(0, 1, STEPS), method="nearest"))
    top = float(np.nextafter(max(1.0, values[-1] if len(values) else 1.0), 2.0))
    return np.unique(np.r_[0.0, values, top])


def _draw_groups(groups: Array, cells: Array, size: int, draws: int, seed: int) -> Array:
    """Count the rows per cell in resamples of whole groups: (draws, size)."""
    codes, names = pd.factorize(groups, use_na_sentinel=False)
    units = len(names)
    held = np.bincount(codes * size + cells, minlength=units * size).reshape(units, size)
    rng = np.random.default_rng(seed)
    often = [np.bincount(rng.integers(0, units, units), minlength=units) for _ in range(draws)]
    return np.asarray(often).reshape(draws, units) @ held


def _count(counts: Array) -> tuple[Array, Array, Array, Array]:
    """Turn rows per (draw, truth, cell) into tp, fp, fn, tn per (draw, threshold)."""
    above = np.flip(np.cumsum(np.flip(counts, axis=2), axis=2), axis=2)
    total = counts.sum(axis=2)
    tp, fp = above[:, 1], above[:, 0]
    return tp, fp, total[:, 1:] - tp, total[:, :1] - fp


def _price(table: tuple[Array, Array, Array, Array], price: Mapping[str, float]) -> Any:
    tp, fp, fn, tn = table
    money = tp * price["true_positive"] + fp * price["false_positive"]
    money = money + fn * price["false_negative"] + tn * price["true_negative"]
    return money / np.maximum(tp + fp + fn + tn, 1)


def _lowest(cost: Array) -> Array:
    """Return where each row is lowest; of equals the highest threshold, which acts on the fewest."""
    return np.asarray(cost.shape[1] - 1 - np.argmin(np.flip(cost, axis=1), axis=1))


def _balance(price: Mapping[str, float]) -> float:
    act = price["false_positive"] - price["true_negative"]
    spare = price["false_negative"] - price["true_positive"]
    return float(np.clip(act / (act + spare), 0, 1)) if act + spare > 0 else np.nan


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
