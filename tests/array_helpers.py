"""The functions of the model room asked with bare arrays: short for tests of statistics."""

import numpy as np
import pandas as pd

import nbkit.evaluation as e
import nbkit.evaluation.groups as rates
import nbkit.model as m
import nbkit.model.costs as prices
from nbkit.model import Predictions
from nbkit.problem import Problem


def align(y, p, *, task=None, positive=None, threshold=0.5, groups=None, seed=0, rows=None, metric=""):
    """Lay arrays side by side; without a task, two values of truth are binary and a table is multi-class."""
    problem = Problem("target", task or infer_task(y, p, positive), positive, metric=metric, seed=seed)
    return Predictions.align(y, p, problem, threshold=threshold, blocks=groups, rows=rows)


def infer_task(y, p, positive=None):
    if np.ndim(p) == 2:
        return "multiclass"
    values = pd.Series(y).dropna().unique()
    return "binary" if positive is not None or (len(values) <= 2 and set(values) <= {0, 1}) else "regression"


def score_predictions(y, p, metrics=None, *, draws=500, **facts):
    return m.score(align(y, p, **facts), metrics, draws=draws)


def compare(y, p_reference, p, metrics=None, *, draws=500, threshold_reference=None, threshold=0.5, **facts):
    facts["task"] = facts.get("task") or infer_task(y, p, facts.get("positive"))
    cut = threshold if threshold_reference is None else threshold_reference
    reference = align(y, p_reference, threshold=cut, **facts)
    return m.compare(align(y, p, threshold=threshold, **facts), reference, metrics, draws=draws)


def compare_with_best(y, predictions, metric, *, draws=500, **facts):
    return m.compare_with_best({name: align(y, p, **facts) for name, p in predictions.items()}, metric, draws=draws)


def choose_threshold(y, p, costs, *, draws=500, **facts):
    return e.choose_threshold(align(y, p, task="binary", **facts), costs, draws=draws)


def tabulate_errors(y, p, costs, *, currency="", **facts):
    return e.tabulate_errors(align(y, p, **facts), costs, currency=currency)


def price_rows(y, p, costs, **facts):
    return prices.price_rows(align(y, p, **facts), costs)


def score_cost(y, p, costs, *, draws=500, **facts):
    return prices.score_cost(align(y, p, **facts), costs, draws=draws)


def compare_costs(y, p, others, costs, *, draws=500, thresholds=None, threshold=0.5, **facts):
    facts["task"] = facts.get("task") or infer_task(y, p)
    cuts = {name: (thresholds or {}).get(name, threshold) for name in others}
    rest = {name: align(y, other, threshold=cuts[name], **facts) for name, other in others.items()}
    return e.compare_costs(align(y, p, threshold=threshold, **facts), rest, costs, draws=draws)


def calibration_table(y, p, *, bins=10, **facts):
    return e.calibration_table(align(y, p, **facts), bins=bins)


def score_slices(frame, y, p, by, *, metric="", min_rows=100, bins=4, draws=200, **facts):
    told = align(y, p, rows=frame, metric=metric, **facts)
    return e.score_slices(told, by, min_rows=min_rows, bins=bins, draws=draws)


def rates_by_group(y, p, groups, *, min_rows=100, blocks=None, **facts):
    rows = pd.DataFrame({"group": np.asarray(groups)})
    told = align(y, p, task="binary", groups=blocks, rows=rows, **facts)
    return rates.rates_by_group(told, "group", min_rows=min_rows)


def compare_protected(frame, y, p, protected, *, metric="", **facts):
    return e.compare_protected(align(y, p, rows=frame, metric=metric, **facts), protected)
