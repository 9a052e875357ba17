"""The metrics: one entry each, with a bootstrap interval on every value."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadCriterion
from nbkit.model.intervals import Array, bootstrap, percentile_interval
from nbkit.model.outcome import Outcome, check_task, infer_task, predict, prepare

Weighted = Callable[[Array], Any]  # weights of shape (d, n) -> d values
EPSILON = 1e-15
BINS = 10


@dataclass(frozen=True)
class Metric:
    """One way to score.

    Attributes
    ----------
    name
        As in params files.
    words
        What it says, for a layman.
    better
        "higher", "lower" or "zero" (the nearer to zero).
    needs
        "score" (probabilities), "label" (decisions at the threshold) or "value" (predicted numbers).
    functions
        Task to a function of an `Outcome` that returns the weighted statistic.
    """

    name: str
    words: str
    better: str
    needs: str
    functions: dict[str, Callable[[Outcome], Weighted]]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it can score."""
        return tuple(self.functions)


def known_metrics(task: str) -> list[str]:
    """Return the names of the metrics for a task.

    Examples
    --------
    >>> known_metrics("regression")
    ['mae', 'rmse', 'median_ae', 'mape', 'r2', 'bias']
    """
    check_task(task)
    return [name for name, metric in METRICS.items() if task in metric.functions]


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
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise BadCriterion(f"no metric {name!r} for {task}; {hint}There are {', '.join(known)}")


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
    """Score predictions with 95 % bootstrap percentile intervals.

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
        What the data cannot tell (ROC AUC of one class) is NaN with a note.

    References
    ----------
    Efron, B. (1979). Bootstrap methods: another look at the jackknife. Annals of Statistics 7, 1-26.

    Examples
    --------
    >>> scores = score_predictions([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8], ["roc_auc", "brier"], draws=0)
    >>> scores["value"].round(4).to_dict()
    {'roc_auc': 0.75, 'brier': 0.1925}
    """
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold)
    names = [metrics] if isinstance(metrics, str) else list(known_metrics(outcome.task) if metrics is None else metrics)
    statistics = {name: find_metric(name, outcome.task).functions[outcome.task](outcome) for name in names}
    blocks = None if groups is None else np.asarray(groups)[outcome.kept]
    resampled = bootstrap(statistics, len(outcome), draws=draws, seed=seed, groups=blocks)
    left_out = len(y) - len(outcome)
    rows = []
    for name in names:
        value = _point(statistics[name], outcome)
        low, high = percentile_interval(resampled[name]) if np.isfinite(value) else (np.nan, np.nan)
        rows.append((name, value, low, high, len(outcome), METRICS[name].better, _note(outcome, value, left_out)))
    table = pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n", "better", "note"])
    return table.astype({"value": float, "low": float, "high": float}).set_index("metric")


def compare(
    y: Any,
    p_a: Any,
    p_b: Any,
    metric: str | Sequence[str] = "roc_auc",
    *,
    task: str | None = None,
    positive: Any = None,
    threshold: float = 0.5,
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
        One name or several.
    task, positive, threshold, seed, draws, groups
        As in `score_predictions`.

    Returns
    -------
    DataFrame
        Index `metric`; columns `value_a`, `value_b`, `difference` (b − a), `low`, `high` (of the difference), `n`,
        `better`, and `verdict`: "b is better", "a is better" or "cannot tell".
    """
    task = task or infer_task(y, p_a, positive=positive)
    a = prepare(y, p_a, task=task, positive=positive, threshold=threshold)
    b = prepare(y, p_b, task=task, positive=positive, threshold=threshold)
    names = [metric] if isinstance(metric, str) else list(metric)
    pairs = {name: (find_metric(name, task).functions[task](a), METRICS[name].functions[task](b)) for name in names}
    blocks = None if groups is None else np.asarray(groups)[a.kept]
    differences = {name: (lambda w, f=f, g=g: g(w) - f(w)) for name, (f, g) in pairs.items()}
    resampled = bootstrap(differences, len(a), draws=draws, seed=seed, groups=blocks)
    rows = []
    for name, (f, g) in pairs.items():
        low, high = percentile_interval(resampled[name])
        first, second, better = _point(f, a), _point(g, b), METRICS[name].better
        rows.append((name, first, second, second - first, low, high, len(a), better, _tell(better, low, high)))
    columns = ["metric", "value_a", "value_b", "difference", "low", "high", "n", "better", "verdict"]
    return pd.DataFrame(rows, columns=columns).set_index("metric")


def _tell(better: str, low: float, high: float) -> str:
    if better == "zero" or not (low > 0 or high < 0):
        return "cannot tell"
    return "b is better" if (low > 0) == (better == "higher") else "a is better"


def _point(statistic: Weighted, outcome: Outcome) -> float:
    if not len(outcome):
        return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(np.ones((1, len(outcome))))[0])
    return value if np.isfinite(value) else np.nan


def _note(outcome: Outcome, value: float, left_out: int) -> str:
    notes = [f"{left_out} rows without truth left out"] if left_out else []
    if not len(outcome):
        notes.append("no rows with truth")
    elif np.isnan(value):
        constant = len(np.unique(outcome.truth)) == 1
        what = "value" if outcome.task == "regression" else "class"
        notes.append(f"the truth has one {what} only" if constant else "not defined on these rows")
    return "; ".join(notes)


# --- the statistics: each returns a function of weights of shape (d, n)


def _mean(loss: Array) -> Weighted:
    return lambda w: w @ loss / w.sum(axis=-1)


def _runs(score: Array) -> tuple[Array, Array]:
    """Return the order of falling scores and where each run of equal scores starts."""
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    return order, np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])


def _roc_auc_of(hit: Array, score: Array) -> Weighted:
    order, starts = _runs(score)
    hits = hit[order].astype(float)

    def area(w: Array) -> Any:
        w = w[:, order]
        positive, every = (np.add.reduceat(part, starts, axis=1) for part in (w * hits, w))
        negative = every - positive
        below = negative.sum(axis=1, keepdims=True) - np.cumsum(negative, axis=1)
        total = positive.sum(axis=1) * negative.sum(axis=1)
        return (positive * (below + negative / 2)).sum(axis=1) / np.where(total > 0, total, np.nan)

    return area


def _average_precision(o: Outcome) -> Weighted:
    order, starts = _runs(o.score)
    hits = o.truth[order].astype(float)

    def area(w: Array) -> Any:
        w = w[:, order]
        positive, every = (np.add.reduceat(part, starts, axis=1) for part in (w * hits, w))
        precision = np.cumsum(positive, axis=1) / np.maximum(np.cumsum(every, axis=1), EPSILON)
        total = positive.sum(axis=1)
        return (positive * precision).sum(axis=1) / np.where(total > 0, total, np.nan)

    return area


def _log_loss(o: Outcome) -> Weighted:
    p = np.where(o.truth, o.score, 1 - o.score) if o.task == "binary" else o.score[np.arange(len(o)), o.truth]
    return _mean(-np.log(np.clip(p, EPSILON, 1)))


def _brier(o: Outcome) -> Weighted:
    if o.task == "binary":
        return _mean((o.score - o.truth) ** 2)
    return _mean(((o.score - np.eye(o.score.shape[1])[o.truth]) ** 2).sum(axis=1))


def _accuracy(o: Outcome) -> Weighted:
    return _mean((o.label == o.truth).astype(float))


def _per_class(o: Outcome) -> list[tuple[Array, Array]]:
    codes = range(2) if o.task == "binary" else range(len(o.classes))
    return [((o.truth == code).astype(float), (o.label == code).astype(float)) for code in codes]


def _balanced_accuracy(o: Outcome) -> Weighted:
    pairs = [(truth, truth * label) for truth, label in _per_class(o)]

    def mean_recall(w: Array) -> Any:
        recalls = np.stack([(w @ both) / (w @ truth) for truth, both in pairs])
        known = np.isfinite(recalls)
        mean = np.where(known, recalls, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return np.where(known.sum(axis=0) > 1, mean, np.nan)

    return mean_recall


def _macro_f1(o: Outcome) -> Weighted:
    pairs = [(truth + label, 2 * truth * label) for truth, label in _per_class(o)]

    def mean_f1(w: Array) -> Any:
        scores = np.stack([(w @ both) / (w @ either) for either, both in pairs])
        known = np.isfinite(scores)
        return np.where(known, scores, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)

    return mean_f1


def _share(part: Array, whole: Array) -> Weighted:
    return lambda w: (w @ part.astype(float)) / (w @ whole.astype(float))


def _ece(o: Outcome) -> Weighted:
    order = np.argsort(o.score, kind="stable")
    starts = np.unique(np.arange(BINS) * len(o) // BINS) if len(o) else np.zeros(1, dtype=int)
    gaps = (o.score - o.truth)[order]
    return lambda w: np.abs(np.add.reduceat(w[:, order] * gaps, starts, axis=1)).sum(axis=1) / w.sum(axis=1)


def _ovr_auc(o: Outcome) -> Weighted:
    areas = [_roc_auc_of(o.truth == code, o.score[:, code]) for code in np.unique(o.truth)]
    return lambda w: np.mean([area(w) for area in areas], axis=0)


def _errors(o: Outcome) -> Array:
    return np.asarray(o.score - o.truth)


def _median_ae(o: Outcome) -> Weighted:
    size = np.abs(_errors(o))
    order = np.argsort(size, kind="stable")
    size = size[order]

    def median(w: Array) -> Any:
        reached = np.cumsum(w[:, order], axis=1)
        half = reached[:, -1:] / 2
        return (size[(reached >= half).argmax(axis=1)] + size[(reached > half).argmax(axis=1)]) / 2

    return median


def _mape(o: Outcome) -> Weighted:
    known = o.truth != 0
    return _share(np.abs(_errors(o)) / np.where(known, np.abs(o.truth), 1) * known, known)


def _r2(o: Outcome) -> Weighted:
    squared, truth = _errors(o) ** 2, o.truth - o.truth.mean() if len(o) else o.truth

    def explained(w: Array) -> Any:
        spread = w @ truth**2 - (w @ truth) ** 2 / w.sum(axis=1)
        return 1 - (w @ squared) / np.where(spread > EPSILON * max(1.0, float(truth @ truth)), spread, np.nan)

    return explained


def _root(inner: Weighted) -> Weighted:
    return lambda w: np.sqrt(inner(w))


def _bias(o: Outcome) -> Weighted:
    return _mean(_errors(o) if o.task == "regression" else o.score - o.truth)


def _both(function: Callable[[Outcome], Weighted]) -> dict[str, Callable[[Outcome], Weighted]]:
    return {"binary": function, "multiclass": function}


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "roc_auc",
            "the chance that a random case of the class is ranked above a random other",
            "higher",
            "score",
            {"binary": lambda o: _roc_auc_of(o.truth, o.score), "multiclass": _ovr_auc},
        ),
        Metric(
            "average_precision",
            "the mean precision over all ways to cut the ranking",
            "higher",
            "score",
            {"binary": _average_precision},
        ),
        Metric(
            "log_loss",
            "how surprised it is by the truth; sure and wrong costs most",
            "lower",
            "score",
            _both(_log_loss),
        ),
        Metric("brier", "the mean squared error of the probabilities", "lower", "score", _both(_brier)),
        Metric(
            "ece", "how far stated probabilities are from what happens, on average", "lower", "score", {"binary": _ece}
        ),
        Metric("accuracy", "the share of right decisions", "higher", "label", _both(_accuracy)),
        Metric(
            "balanced_accuracy",
            "the share of right decisions, each class counting the same",
            "higher",
            "label",
            _both(_balanced_accuracy),
        ),
        Metric(
            "precision",
            "of those it flags, the share that is right",
            "higher",
            "label",
            {"binary": lambda o: _share(o.truth & o.label, o.label)},
        ),
        Metric(
            "recall",
            "of the cases there are, the share that it flags",
            "higher",
            "label",
            {"binary": lambda o: _share(o.truth & o.label, o.truth)},
        ),
        Metric(
            "f1",
            "the harmonic mean of precision and recall",
            "higher",
            "label",
            {"binary": lambda o: _share(2.0 * (o.truth & o.label), 1.0 * o.truth + o.label)},
        ),
        Metric("macro_f1", "F1 of each class, averaged", "higher", "label", {"multiclass": _macro_f1}),
        Metric(
            "mae",
            "by how much a prediction is off, on average",
            "lower",
            "value",
            {"regression": lambda o: _mean(np.abs(_errors(o)))},
        ),
        Metric(
            "rmse",
            "by how much it is off, large errors counting more",
            "lower",
            "value",
            {"regression": lambda o: _root(_mean(_errors(o) ** 2))},
        ),
        Metric("median_ae", "half of the predictions are off by less", "lower", "value", {"regression": _median_ae}),
        Metric(
            "mape",
            "by which share of the true value it is off (true zeros left out)",
            "lower",
            "value",
            {"regression": _mape},
        ),
        Metric("r2", "the share of the variation that it explains", "higher", "value", {"regression": _r2}),
        Metric(
            "bias",
            "predicted minus true, on average: above zero it says too much",
            "zero",
            "score",
            {"binary": _bias, "regression": _bias},
        ),
    )
}
