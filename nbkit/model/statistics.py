"""The statistics behind the metrics: each turns an outcome into a function of row weights, so a bootstrap is cheap."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nbkit.model.predictions import Predictions
from nbkit.stats import Array

Weighted = Callable[[Array], Any]  # weights of shape (d, n) -> d values
EPSILON = float(np.finfo(float).eps)


def mean_of(loss: Array) -> Weighted:
    """Return the weighted mean of a number per row."""
    return lambda w: w @ loss / w.sum(axis=-1)


def _share(part: Array, whole: Array) -> Weighted:
    return lambda w: (w @ part.astype(float)) / (w @ whole.astype(float))


def _ranks(hit: Array, score: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Return weights of hits and of all rows, summed over runs of equal scores, highest first."""
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
    hits = hit[order].astype(float)

    def sums(w: Array) -> tuple[Array, Array]:
        w = w[:, order]
        return np.add.reduceat(w * hits, starts, axis=1), np.add.reduceat(w, starts, axis=1)

    return sums


def roc_auc(o: Predictions) -> Weighted:
    """Area under the ROC curve; multi-class: the mean over classes present, each against the rest."""
    if o.task == "binary":
        return _area(o.truth, o.score)
    areas = [_area(o.truth == code, o.score[:, code]) for code in np.unique(o.truth)]
    return lambda w: np.mean([area(w) for area in areas], axis=0)


def _area(hit: Array, score: Array) -> Weighted:
    ranks = _ranks(hit, score)

    def area(w: Array) -> Any:
        positive, every = ranks(w)
        negative = every - positive
        below = negative.sum(axis=1, keepdims=True) - np.cumsum(negative, axis=1)
        total = positive.sum(axis=1) * negative.sum(axis=1)
        return (positive * (below + negative / 2)).sum(axis=1) / np.where(total > 0, total, np.nan)

    return area


def average_precision(o: Predictions) -> Weighted:
    """Precision at each distinct score, weighted by the recall that it adds."""
    ranks = _ranks(o.truth, o.score)

    def area(w: Array) -> Any:
        positive, every = ranks(w)
        precision = np.cumsum(positive, axis=1) / np.maximum(np.cumsum(every, axis=1), EPSILON)
        total = positive.sum(axis=1)
        return (positive * precision).sum(axis=1) / np.where(total > 0, total, np.nan)

    return area


def log_loss(o: Predictions) -> Weighted:
    """Minus the mean logarithm of the probability of what was true."""
    p = np.where(o.truth, o.score, 1 - o.score) if o.task == "binary" else o.score[np.arange(len(o)), o.truth]
    return mean_of(-np.log(np.clip(p, EPSILON, 1)))


def brier(o: Predictions) -> Weighted:
    """Mean squared error of the probabilities; multi-class: summed over classes, in [0, 2]."""
    if o.task == "binary":
        return mean_of((o.score - o.truth) ** 2)
    return mean_of(((o.score - np.eye(o.score.shape[1])[o.truth]) ** 2).sum(axis=1))


def accuracy(o: Predictions) -> Weighted:
    """Share of rows whose label is the truth."""
    return mean_of((o.label == o.truth).astype(float))


def _per_class(o: Predictions) -> list[tuple[Array, Array]]:
    codes = range(2) if o.task == "binary" else range(len(o.classes))
    return [((o.truth == code).astype(float), (o.label == code).astype(float)) for code in codes]


def _mean_known(values: Array, least: int = 1) -> Any:
    known = np.isfinite(values)
    count = known.sum(axis=0)
    return np.where(count >= least, np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def balanced_accuracy(o: Predictions) -> Weighted:
    """Mean recall over the classes there are; undefined for one."""
    pairs = [(truth, truth * label) for truth, label in _per_class(o)]
    return lambda w: _mean_known(np.stack([(w @ both) / (w @ truth) for truth, both in pairs]), least=2)


def macro_f1(o: Predictions) -> Weighted:
    """F1 of each class that is true or predicted somewhere, averaged."""
    pairs = [(truth + label, 2 * truth * label) for truth, label in _per_class(o)]
    return lambda w: _mean_known(np.stack([(w @ both) / (w @ either) for either, both in pairs]))


def precision(o: Predictions) -> Weighted:
    """Share of hits among the rows selected; undefined if none is."""
    return _share(o.truth & o.label, o.label)


def recall(o: Predictions) -> Weighted:
    """Share of the rows selected among the hits; undefined if there are none."""
    return _share(o.truth & o.label, o.truth)


def f1(o: Predictions) -> Weighted:
    """Harmonic mean of precision and recall."""
    return _share(2.0 * (o.truth & o.label), 1.0 * o.truth + o.label)


def _off(o: Predictions) -> Array:
    return np.asarray(o.score - o.truth)


def mae(o: Predictions) -> Weighted:
    """Mean absolute error."""
    return mean_of(np.abs(_off(o)))


def rmse(o: Predictions) -> Weighted:
    """Root of the mean squared error."""
    squared = mean_of(_off(o) ** 2)
    return lambda w: np.sqrt(squared(w))


def median_ae(o: Predictions) -> Weighted:
    """Median absolute error."""
    size = np.abs(_off(o))
    order = np.argsort(size, kind="stable")
    size = size[order]

    def median(w: Array) -> Any:
        reached = np.cumsum(w[:, order], axis=1)
        half = reached[:, -1:] / 2
        return (size[(reached >= half).argmax(axis=1)] + size[(reached > half).argmax(axis=1)]) / 2

    return median


def mape(o: Predictions) -> Weighted:
    """Mean absolute error as a share of the truth, over rows whose truth is not 0."""
    known = o.truth != 0
    return _share(np.abs(_off(o)) / np.where(known, np.abs(o.truth), 1) * known, known)


def r2(o: Predictions) -> Weighted:
    """One minus the squared error over that of the mean; undefined for a constant truth."""
    squared, truth = _off(o) ** 2, o.truth - (o.truth.mean() if len(o) else 0)
    least = EPSILON * float(np.abs(o.truth).max(initial=0)) ** 2

    def explained(w: Array) -> Any:
        spread = w @ truth**2 - (w @ truth) ** 2 / w.sum(axis=1)
        return 1 - (w @ squared) / np.where(spread > least * w.sum(axis=1), spread, np.nan)

    return explained


def bias(o: Predictions) -> Weighted:
    """Mean of predicted minus true."""
    return mean_of(o.score - o.truth)
