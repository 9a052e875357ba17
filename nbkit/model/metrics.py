"""The metrics: one entry each, with a bootstrap interval on every value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadCriterion
from nbkit.model import statistics as st
from nbkit.model.costs import price_rows, score_cost
from nbkit.model.ece import calibration_error
from nbkit.model.predictions import Predictions
from nbkit.model.statistics import Weighted, mean_of
from nbkit.model.uncertainty import CLOSED, bound_draws, find_interval, find_lack, warn_of_few
from nbkit.stats import bootstrap
from nbkit.wording import format_count, suggest


@dataclass(frozen=True)
class Metric:
    """One way to score.

    Attributes
    ----------
    name
        As in params files.
    better
        "higher", "lower" or "zero" (the nearer to zero).
    needs
        "score" (probabilities), "label" (decisions at the threshold) or "value" (predicted numbers).
    function
        Function of `Predictions` that returns the weighted statistic.
    tasks
        What it can score.
    words
        What it says, for a layman.
    within
        The least and the largest value there can be, at which intervals end.
    """

    name: str
    better: str
    needs: str
    function: Callable[[Predictions], Weighted]
    tasks: tuple[str, ...]
    words: str
    within: tuple[float, float] = (-np.inf, np.inf)

    def turn(self, values: Any) -> Any:
        """Turn values so that the higher is the better."""
        return values if self.better == "higher" else -abs(values) if self.better == "zero" else -values


BINARY, CLASSES, NUMBERS = ("binary",), ("binary", "multiclass"), ("regression",)

METRIC_ROWS = (  # name, better, needs, statistic, tasks, words
    Metric("roc_auc", "higher", "score", st.roc_auc, CLASSES, "the chance that a case is ranked above a non-case"),
    Metric("average_precision", "higher", "score", st.average_precision, BINARY,
           "the share of warnings that are right, over all thresholds"),
    Metric("log_loss", "lower", "score", st.log_loss, CLASSES, "how surprising the truth is"),
    Metric("brier", "lower", "score", st.brier, CLASSES, "the mean squared error of the probabilities"),
    Metric("ece", "lower", "score", calibration_error, BINARY, "how far probabilities are from observed shares"),
    Metric("accuracy", "higher", "label", st.accuracy, CLASSES, "the share of decisions that are right"),
    Metric("balanced_accuracy", "higher", "label", st.balanced_accuracy, CLASSES, "right decisions, classes alike"),
    Metric("precision", "higher", "label", st.precision, BINARY, "the share of warnings that are right"),
    Metric("recall", "higher", "label", st.recall, BINARY, "the share of cases that are found"),
    Metric("f1", "higher", "label", st.f1, BINARY, "the harmonic mean of precision and recall"),
    Metric("macro_f1", "higher", "label", st.macro_f1, ("multiclass",), "F1 of each class, averaged"),
    Metric("mae", "lower", "value", st.mae, NUMBERS, "how far predictions are off on average"),
    Metric("rmse", "lower", "value", st.rmse, NUMBERS, "how far they are off, large errors counting more"),
    Metric("median_ae", "lower", "value", st.median_ae, NUMBERS, "half of the predictions are off by less"),
    Metric("mape", "lower", "value", st.mape, NUMBERS, "how far they are off, relative to the truth (not zeros)"),
    Metric("r2", "higher", "value", st.r2, NUMBERS, "the share of the variation that is explained"),
    Metric("bias", "zero", "score", st.bias, BINARY + NUMBERS, "predicted minus true, on average"),
)  # fmt: skip
METRICS: dict[str, Metric] = {row.name: row for row in METRIC_ROWS}
MEASURES = {  # what criteria may also name: (better, words)
    "cost_per_row": ("lower", "what a decision costs on average"),
    "slice_gap": ("lower", "by how much predictions are off in the worst slice, beyond the whole"),
    "rate_ratio": ("higher", "the lowest rate of a group divided by the highest"),
}


def known_metrics(task: str) -> list[str]:
    """Return the names of the metrics for a task.

    Examples
    --------
    >>> known_metrics("regression")
    ['mae', 'rmse', 'median_ae', 'mape', 'r2', 'bias']
    """
    return [name for name, metric in METRICS.items() if task in metric.tasks]


def find_metric(name: str, task: str) -> Metric:
    """Return a metric, or say which is nearest.

    Raises
    ------
    BadCriterion
        If there is none of that name for the task.
    """
    known = known_metrics(task)
    if name in known:
        return METRICS[name]
    if name in METRICS:
        raise BadCriterion(f"{name!r} scores {' and '.join(METRICS[name].tasks)}, not {task}: use {', '.join(known)}")
    raise BadCriterion(f"no metric {name!r} for {task}{suggest(name, known)}")


def score(
    predictions: Predictions,
    metrics: Sequence[str] | str | None = None,
    *,
    costs: Mapping[Any, Any] | None = None,
    draws: int = 500,
) -> pd.DataFrame:
    """Score predictions with 95 % intervals.

    Parameters
    ----------
    predictions
        Truth and prediction of the same rows; a note says how many were left out because their truth is unknown.
    metrics
        Names from `known_metrics`; all of the task if None.
    costs
        As in `nbkit.model.price_rows`; a last row, ``cost_per_row``, says what a decision costs on average.
    draws
        Resamples of the bootstrap; with 0 there are no intervals.

    Returns
    -------
    DataFrame
        Index `metric`; columns `value`, `low`, `high`, `n` (rows), `better` (higher, lower, zero) and `note`.
        What the data cannot tell (ROC AUC of one class, an interval from fewer than five cases or blocks) is NaN with a
        note, and a note warns of few blocks. `nbkit.model.uncertainty.find_interval` says how intervals are made.

    References
    ----------
    Efron, B. (1979). Bootstrap methods: another look at the jackknife. Annals of Statistics 7, 1-26.

    Examples
    --------
    >>> from nbkit.problem import Problem
    >>> said = Predictions.align([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8], Problem("late"))
    >>> score(said, ["roc_auc", "brier"], draws=0)["value"].round(4).to_dict()
    {'roc_auc': 0.75, 'brier': 0.1925}
    """
    o, seed = predictions, predictions.problem.seed
    names = [metrics] if isinstance(metrics, str) else list(known_metrics(o.task) if metrics is None else metrics)
    statistics = {name: find_metric(name, o.task).function(o) for name in names}
    drawn = {name: statistics[name] for name in names if name not in CLOSED}
    resampled = bootstrap(drawn, len(o), draws=draws, seed=seed, groups=o.blocks)
    rows = []
    for name in names:
        value = _point(statistics[name], o)
        seen = resampled.get(name, np.zeros(draws if len(o) > 1 else 0))
        low, high = np.clip(find_interval(name, o, value, seen), *METRICS[name].within)
        why = getattr(statistics[name], "trouble", "") if np.isnan(value) or (draws and np.isnan(low)) else ""
        note = why or _note(name, o, value, unsure=bool(draws))  # a metric of a project's own says why itself
        rows.append((name, value, low, high, len(o), METRICS[name].better, note))
    table = pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n", "better", "note"])
    table = table.astype({"value": float, "low": float, "high": float}).set_index("metric")
    return table if costs is None else pd.concat([table, score_cost(o, costs, draws=draws)])


def compare(
    predictions: Predictions,
    reference: Predictions,
    metrics: Sequence[str] | str | None = None,
    *,
    costs: Mapping[Any, Any] | None = None,
    draws: int = 500,
) -> pd.DataFrame:
    """Compare predictions with others of the same rows, by a paired bootstrap: both are scored on the same resamples.

    Parameters
    ----------
    predictions, reference
        Of the same rows; each decides at its own threshold.
    metrics
        Names from `known_metrics`; the problem's own if None.
    costs
        As in `nbkit.model.price_rows`; a last row, ``cost_per_row``, compares what decisions cost.
    draws
        Resamples of the bootstrap.

    Returns
    -------
    DataFrame
        Index `metric`; columns `value`, `reference`, `difference` (value − reference), `low`, `high` (of the
        difference), `n`, `better`, `verdict`: "better", "worse" or "inconclusive", and `note` (why there is no
        interval). Where `better` is "zero" (bias) sizes are compared: `difference`, `low` and `high` are those of
        abs(value) − abs(reference), below 0 where the value is nearer to zero.

    Examples
    --------
    >>> from nbkit.problem import Problem
    >>> truth, problem = [1.0, 2.0, 3.0], Problem("price", "regression")
    >>> near, far = (Predictions.align(truth, said, problem) for said in ([0.5, 1.5, 2.5], [2.0, 3.0, 4.0]))
    >>> bias = compare(near, far, "bias").loc["bias"]
    >>> float(bias["difference"]), bias["verdict"]
    (-0.5, 'better')
    """
    problem = predictions.problem
    names = [metrics] if isinstance(metrics, str) else list([problem.metric] if metrics is None else metrics)
    known = {name: find_metric(name, problem.task) for name in names}
    pairs = {name: (metric.function(predictions), metric.function(reference)) for name, metric in known.items()}
    better = {name: metric.better for name, metric in known.items()}
    if costs is not None:
        pairs["cost_per_row"] = mean_of(price_rows(predictions, costs)), mean_of(price_rows(reference, costs))
        better["cost_per_row"] = "lower"
    differences = {name: _subtract(f, g, better[name]) for name, (f, g) in pairs.items()}
    n = len(predictions)
    resampled = bootstrap(differences, n, draws=draws, seed=problem.seed, groups=predictions.blocks)
    lack = find_lack("", predictions)  # a difference of shares needs cases, too
    rows = []
    for name, (f, g) in pairs.items():
        value, other = _point(f, predictions), _point(g, reference)
        difference = abs(value) - abs(other) if better[name] == "zero" else value - other
        low, high = (np.nan, np.nan) if lack else bound_draws(difference, resampled[name], predictions)
        why = getattr(f, "trouble", "") or getattr(g, "trouble", "") or _note(name, predictions, np.nan, unsure=False)
        note = lack if np.isfinite(difference) else why
        rows.append((name, value, other, difference, low, high, n, better[name], _judge(better[name], low, high), note))
    columns = ["metric", "value", "reference", "difference", "low", "high", "n", "better", "verdict", "note"]
    return pd.DataFrame(rows, columns=columns).set_index("metric")


def _subtract(a: Weighted, b: Weighted, better: str) -> Weighted:
    """Return a − b, or by how much a is farther from zero if that is what counts."""
    if better == "zero":
        return lambda w: np.abs(a(w)) - np.abs(b(w))
    return lambda w: a(w) - b(w)


def _judge(better: str, low: float, high: float) -> str:
    if not (low > 0 or high < 0):
        return "inconclusive"
    return "better" if (low > 0) == (better == "higher") else "worse"


def _point(statistic: Weighted, o: Predictions) -> float:
    if not len(o):
        return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(np.ones((1, len(o))))[0])
    return value if np.isfinite(value) else np.nan


def _note(name: str, o: Predictions, value: float, *, unsure: bool) -> str:
    notes = [f"{format_count(o.left_out, 'row')} without truth left out"] if o.left_out else []
    if not len(o):
        notes.append("no rows with truth")
    elif np.isnan(value):
        constant = len(np.unique(o.truth)) == 1
        what = "value" if o.task == "regression" else "class"
        notes.append(f"the truth has one {what} only" if constant else "not defined on these rows")
    elif unsure and (words := find_lack(name, o) or warn_of_few(o)):
        notes.append(words)
    return "; ".join(notes)


def measure_skill(predictions: Predictions) -> dict[str, float]:
    """Measure how near to perfect predictions are, on scales on which any two problems can be compared.

    Returns
    -------
    dict
        ``explained`` (the share of the target's variance that is explained: R², or the Brier skill of classes; 1 is
        perfect, 0 is a constant) and, for a binary task, ``roc_auc``. NaN where the target is constant.

    Examples
    --------
    >>> from nbkit.problem import Problem
    >>> measure_skill(Predictions.align([0, 0, 1, 1], [0.0, 0.5, 0.5, 1.0], Problem("late")))
    {'explained': 0.5, 'roc_auc': 0.875}
    """
    o = predictions
    truth = np.eye(o.score.shape[1])[o.truth] if o.task == "multiclass" else np.asarray(o.truth, dtype=float)
    total = float(((truth - truth.mean(axis=0)) ** 2).sum())
    with np.errstate(over="ignore"):
        skill = {"explained": 1 - float(((truth - o.score) ** 2).sum()) / total if total else np.nan}
    return skill | ({"roc_auc": _point(METRICS["roc_auc"].function(o), o)} if o.task == "binary" else {})
