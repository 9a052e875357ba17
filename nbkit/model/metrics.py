"""The metrics: one entry each, with a bootstrap interval on every value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadCriterion
from nbkit.model import statistics as st
from nbkit.model.ece import calibration_error
from nbkit.model.intervals import bootstrap
from nbkit.model.outcome import Outcome, check_task, infer_task, predict, prepare
from nbkit.model.statistics import Weighted
from nbkit.model.uncertainty import CLOSED, bound_draws, find_interval, find_lack, warn_of_few
from nbkit.wording import say_count, suggest


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
        Function of an `Outcome` that returns the weighted statistic.
    tasks
        What it can score.
    words
        What it says, for a layman.
    """

    name: str
    better: str
    needs: str
    function: Callable[[Outcome], Weighted]
    tasks: tuple[str, ...]
    words: str


BINARY, CLASSES, NUMBERS = ("binary",), ("binary", "multiclass"), ("regression",)

DECIDES = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "mae"}
METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        # name, better, needs, statistic, tasks, words
        Metric("roc_auc", "higher", "score", st.roc_auc, CLASSES, "the chance that a case outranks another"),
        Metric(
            "average_precision",
            "higher",
            "score",
            st.average_precision,
            BINARY,
            "precision over all cuts of a ranking",
        ),
        Metric("log_loss", "lower", "score", st.log_loss, CLASSES, "how surprised it is by the truth"),
        Metric("brier", "lower", "score", st.brier, CLASSES, "the mean squared error of the probabilities"),
        Metric("ece", "lower", "score", calibration_error, BINARY, "how far stated shares are from observed ones"),
        Metric("accuracy", "higher", "label", st.accuracy, CLASSES, "the share of right decisions"),
        Metric(
            "balanced_accuracy",
            "higher",
            "label",
            st.balanced_accuracy,
            CLASSES,
            "right decisions, classes alike",
        ),
        Metric("precision", "higher", "label", st.precision, BINARY, "of those flagged, the share that is right"),
        Metric("recall", "higher", "label", st.recall, BINARY, "of the cases there are, the share flagged"),
        Metric("f1", "higher", "label", st.f1, BINARY, "the harmonic mean of precision and recall"),
        Metric("macro_f1", "higher", "label", st.macro_f1, ("multiclass",), "F1 of each class, averaged"),
        Metric("mae", "lower", "value", st.mae, NUMBERS, "by how much a prediction is off, on average"),
        Metric("rmse", "lower", "value", st.rmse, NUMBERS, "by how much it is off, large errors counting more"),
        Metric("median_ae", "lower", "value", st.median_ae, NUMBERS, "half of the predictions are off by less"),
        Metric("mape", "lower", "value", st.mape, NUMBERS, "by which share of the truth it is off (zeros left out)"),
        Metric("r2", "higher", "value", st.r2, NUMBERS, "the share of the variation that it explains"),
        Metric("bias", "zero", "score", st.bias, BINARY + NUMBERS, "predicted minus true, on average"),
    )
}


def known_metrics(task: str) -> list[str]:
    """Return the names of the metrics for a task.

    Examples
    --------
    >>> known_metrics("regression")
    ['mae', 'rmse', 'median_ae', 'mape', 'r2', 'bias']
    """
    check_task(task)
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


def evaluate(
    model: Any,
    X: pd.DataFrame,
    y: pd.Series,
    metrics: Sequence[str] | None = None,
    *,
    task: str | None = None,
    positive: Any = None,
    threshold: float = 0.5,
    seed: int = 0,
    draws: int = 500,
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Score a fitted model with 95 % intervals.

    Parameters
    ----------
    model
        A fitted estimator or pipeline.
    X, y
        Rows and their truth.
    metrics
        Names from `known_metrics`; all of the task if None.
    task, positive
        Of the problem; guessed from the model and the truth if None.
    threshold, seed, draws, groups
        As in `score_predictions`.

    Returns
    -------
    DataFrame
        As `score_predictions`.
    """
    if task is None:
        classes = getattr(model, "classes_", None)
        task = infer_task(y, positive=positive) if classes is None else "binary" if len(classes) <= 2 else "multiclass"
    p = predict(model, X, task, positive)
    return score_predictions(
        y, p, metrics, task=task, positive=positive, threshold=threshold, seed=seed, draws=draws, groups=groups
    )


def score_predictions(
    y: Any,
    p: Any,
    metrics: Sequence[str] | str | None = None,
    *,
    task: str | None = None,
    positive: Any = None,
    threshold: float = 0.5,
    seed: int = 0,
    draws: int = 500,
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Score predictions with 95 % intervals.

    Parameters
    ----------
    y
        Truth; rows without it are left out, and `note` says how many.
    p
        Predictions, as `nbkit.model.predict` returns them.
    metrics
        Names from `known_metrics`; all of the task if None.
    task, positive
        Of the problem; guessed if None.
    threshold
        From this probability on a row counts as positive (binary).
    seed, draws
        Of the bootstrap; with ``draws=0`` no intervals.
    groups
        Rows of one group are resampled together (cluster bootstrap); honest where rows of a day are alike.

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
    >>> scores = score_predictions([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8], ["roc_auc", "brier"], draws=0)
    >>> scores["value"].round(4).to_dict()
    {'roc_auc': 0.75, 'brier': 0.1925}
    """
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold, groups=groups)
    return score_outcome(outcome, metrics, seed=seed, draws=draws, left_out=len(y) - len(outcome))


def score_outcome(
    outcome: Outcome, metrics: Sequence[str] | str | None, *, seed: int = 0, draws: int = 500, left_out: int = 0
) -> pd.DataFrame:
    """Score truth and prediction that are prepared, as `score_predictions` does; `left_out` rows had no truth."""
    names = [metrics] if isinstance(metrics, str) else list(known_metrics(outcome.task) if metrics is None else metrics)
    statistics = {name: find_metric(name, outcome.task).function(outcome) for name in names}
    drawn = {name: statistics[name] for name in names if name not in CLOSED}
    resampled = bootstrap(drawn, len(outcome), draws=draws, seed=seed, groups=outcome.blocks)
    rows = []
    for name in names:
        value = _point(statistics[name], outcome)
        seen = resampled.get(name, np.zeros(draws if len(outcome) > 1 else 0))
        low, high = find_interval(name, outcome, value, seen, seed=seed)
        note = _note(name, outcome, value, left_out, unsure=bool(draws))
        rows.append((name, value, low, high, len(outcome), METRICS[name].better, note))
    table = pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n", "better", "note"])
    return table.astype({"value": float, "low": float, "high": float}).set_index("metric")


def compare(
    y: Any,
    p_a: Any,
    p_b: Any,
    metric: str | Sequence[str] = "",
    *,
    task: str | None = None,
    positive: Any = None,
    threshold: float = 0.5,
    threshold_a: float | None = None,
    seed: int = 0,
    draws: int = 500,
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Compare two models on the same rows, by a paired bootstrap: both are scored on the same resamples.

    Parameters
    ----------
    y
        Truth.
    p_a, p_b
        Predictions of the two models, as `nbkit.model.predict` returns them.
    metric
        One name or several; the usual one of the task if empty.
    task, positive, threshold, seed, draws, groups
        As in `score_predictions`.
    threshold_a
        Where model a decides, if not where b does: a rule in use is judged at its own best threshold.

    Returns
    -------
    DataFrame
        Index `metric`; columns `value_a`, `value_b`, `difference` (b − a), `low`, `high` (of the difference), `n`,
        `better`, `verdict`: "b is better", "a is better" or "cannot tell", and `note` (why there is no interval). Where
        `better` is "zero" (bias) sizes are compared: `difference`, `low` and `high` are those of abs(b) − abs(a), below
        0 where b is nearer to zero.

    Examples
    --------
    >>> bias = compare([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [0.5, 1.5, 2.5], "bias", task="regression").loc["bias"]
    >>> float(bias["difference"]), bias["verdict"]
    (-0.5, 'b is better')
    """
    task = task or infer_task(y, p_a, positive=positive)
    how: dict[str, Any] = {"task": task, "positive": positive, "groups": groups}
    a = prepare(y, p_a, threshold=threshold if threshold_a is None else threshold_a, **how)
    b = prepare(y, p_b, threshold=threshold, **how)
    names = [metric or DECIDES[task]] if isinstance(metric, str) else list(metric)
    pairs = {name: (find_metric(name, task).function(a), METRICS[name].function(b)) for name in names}
    differences = {name: _subtract(f, g, METRICS[name].better) for name, (f, g) in pairs.items()}
    resampled = bootstrap(differences, len(a), draws=draws, seed=seed, groups=a.blocks)
    rows = []
    for name, (f, g) in pairs.items():
        first, second, better = _point(f, a), _point(g, b), METRICS[name].better
        difference = abs(second) - abs(first) if better == "zero" else second - first
        lack = find_lack("", a)  # a difference of shares needs cases, too
        low, high = (np.nan, np.nan) if lack else bound_draws(difference, resampled[name], a)
        note = lack if np.isfinite(difference) else _note(name, a, np.nan, 0, unsure=False)
        rows.append((name, first, second, difference, low, high, len(a), better, _tell(better, low, high), note))
    columns = ["metric", "value_a", "value_b", "difference", "low", "high", "n", "better", "verdict", "note"]
    return pd.DataFrame(rows, columns=columns).set_index("metric")


def _subtract(a: Weighted, b: Weighted, better: str) -> Weighted:
    """Return b − a, or by how much b is farther from zero if that is what counts."""
    if better == "zero":
        return lambda w: np.abs(b(w)) - np.abs(a(w))
    return lambda w: b(w) - a(w)


def _tell(better: str, low: float, high: float) -> str:
    if not (low > 0 or high < 0):
        return "cannot tell"
    return "b is better" if (low > 0) == (better == "higher") else "a is better"


def _point(statistic: Weighted, outcome: Outcome) -> float:
    if not len(outcome):
        return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(np.ones((1, len(outcome))))[0])
    return value if np.isfinite(value) else np.nan


def _note(name: str, outcome: Outcome, value: float, left_out: int, *, unsure: bool) -> str:
    notes = [f"{say_count(left_out, 'row')} without truth left out"] if left_out else []
    if not len(outcome):
        notes.append("no rows with truth")
    elif np.isnan(value):
        constant = len(np.unique(outcome.truth)) == 1
        what = "value" if outcome.task == "regression" else "class"
        notes.append(f"the truth has one {what} only" if constant else "not defined on these rows")
    elif unsure and (words := find_lack(name, outcome) or warn_of_few(outcome)):
        notes.append(words)
    return "; ".join(notes)


def measure_skill(y: Any, p: Any, *, task: str, positive: Any = None) -> dict[str, float]:
    """Measure how near to perfect predictions are, on scales on which any two problems can be compared.

    Parameters
    ----------
    y, p, task, positive
        As in `score_predictions`.

    Returns
    -------
    dict
        ``explained`` (the share of the target's variance that is explained: R², or the Brier skill of classes; 1 is
        perfect, 0 is a constant) and, for a binary task, ``roc_auc``. NaN where the target is constant.

    Examples
    --------
    >>> measure_skill([0, 0, 1, 1], [0.0, 0.5, 0.5, 1.0], task="binary")
    {'explained': 0.5, 'roc_auc': 0.875}
    """
    o = prepare(y, p, task=task, positive=positive)
    truth = np.eye(o.score.shape[1])[o.truth] if task == "multiclass" else np.asarray(o.truth, dtype=float)
    total = float(((truth - truth.mean(axis=0)) ** 2).sum())
    with np.errstate(over="ignore"):
        skill = {"explained": 1 - float(((truth - o.score) ** 2).sum()) / total if total else np.nan}
    return skill | ({"roc_auc": _point(METRICS["roc_auc"].function(o), o)} if task == "binary" else {})
