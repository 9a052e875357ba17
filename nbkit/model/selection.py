"""What may be said of the best of many models: which others it cannot be told from, and how flattered it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import erfc

from nbkit.model.intervals import Array, bootstrap, t_quantile
from nbkit.model.metrics import METRICS, find_metric
from nbkit.model.outcome import prepare
from nbkit.model.uncertainty import find_freedom, find_lack

TOGETHER = 0.96  # not LEVEL: the farthest of few draws is itself uncertain, and 6 % of sweeps would err at 300 rows


@dataclass(frozen=True)
class Selection:
    """The best of several models on the same rows.

    Attributes
    ----------
    best
        Its name.
    table
        Index `model`, the best first; columns `value`, `difference` (by how much the best is better, in units of the
        metric), `low`, `high` (of the difference; the 95 % hold for all pairs of models together, whichever turns out
        the best), `share` (of the resamples in which the model is the best) and `verdict` ("best", "worse" or "cannot
        tell"). Of models that are equally good, one or more is called worse in at most 5 % of cases.
    optimism
        By how much the best value is better than the model would do on other rows, because it was picked for being
        the best on these; in units of the metric.
    """

    best: str
    table: pd.DataFrame
    optimism: float


def compare_with_best(
    y: Any,
    predictions: Mapping[str, Any],
    metric: str,
    *,
    task: str,
    positive: Any = None,
    threshold: float = 0.5,
    seed: int = 0,
    draws: int = 500,
    groups: "pd.Series[Any] | None" = None,
) -> Selection:
    """Compare many models with the best of them, all scored on the same resamples.

    Parameters
    ----------
    y
        Truth.
    predictions
        Name to predictions for the rows of `y`, as `nbkit.model.predict` returns them.
    metric, task, positive, threshold, seed, draws, groups
        As in `nbkit.model.compare`.

    References
    ----------
    Hsu, J. C. (1996). Multiple Comparisons: Theory and Methods. Chapman & Hall, chapters 4 and 5 (the best is picked on
    the same rows, hence the limits of all pairwise comparisons). Tibshirani, R. J. and
    Tibshirani, R. (2009). A bias correction for the minimum error rate in cross-validation. Annals of Applied
    Statistics 3, 822-829.

    Examples
    --------
    >>> truth = np.arange(40.0)
    >>> said = {"near": truth + 1, "far": truth + 9, "nearly": truth + 1 + np.tile([0.1, -0.1], 20)}
    >>> found = compare_with_best(truth, said, "mae", task="regression")
    >>> found.best, found.table["verdict"].to_dict()
    ('near', {'near': 'best', 'nearly': 'cannot tell', 'far': 'worse'})
    """
    outcomes = {
        name: prepare(y, said, task=task, positive=positive, threshold=threshold, groups=groups)
        for name, said in predictions.items()
    }
    first = next(iter(outcomes.values()))
    statistics = {name: find_metric(metric, task).function(outcome) for name, outcome in outcomes.items()}
    drawn = bootstrap(statistics, len(first), draws=draws, seed=seed, groups=first.blocks)
    values = {name: float(statistic(np.ones((1, len(first))))[0]) for name, statistic in statistics.items()}
    better = METRICS[metric].better
    score = _turn(np.array(list(values.values())), better)
    resampled = _turn(np.stack([drawn[name] for name in values], axis=1), better)
    free = 0.0 if find_lack("", first) else find_freedom(first)
    return _select(list(values), np.array(list(values.values())), score, resampled, free)


def _turn(values: Array, better: str) -> Array:
    """Turn values so that the higher is the better."""
    return values if better == "higher" else -np.abs(values) if better == "zero" else -values


def _select(names: list[str], values: Array, score: Array, resampled: Array, free: float) -> Selection:
    top = int(np.nanargmax(score))
    known = resampled[np.isfinite(resampled).all(axis=1)]
    difference = score[top] - score
    half = _find_width(score, known, top, free)
    low, high = difference - half, difference + half
    winners = np.argmax(known, axis=1) if len(known) else np.empty(0, dtype=int)
    bias = known - score
    flattery = float(np.mean(bias[np.arange(len(known)), winners]) - np.mean(bias)) if len(known) else np.nan
    verdict = np.where(low > 0, "worse", "cannot tell")
    verdict[top] = "best"
    table = pd.DataFrame(
        {
            "value": values,
            "difference": difference,
            "low": low,
            "high": high,
            "share": np.bincount(winners, minlength=len(names)) / max(len(known), 1),
            "verdict": verdict,
        },
        index=pd.Index(names, name="model"),
    )
    order = np.argsort(difference, kind="stable")
    order = np.concatenate([[top], order[order != top]])
    return Selection(names[top], table.iloc[order], max(flattery, 0.0))


def _find_width(score: Array, resampled: Array, top: int, free: float) -> Array:
    """Return half the width of limits of the differences to `top` that hold for all pairs of models together."""
    if len(resampled) < 2 or not free:
        return np.full(len(score), np.nan)
    bias = resampled - score
    far = np.zeros(len(resampled))
    for place in range(len(score) - 1):
        off = bias[:, place + 1 :] - bias[:, [place]]
        spread = off.std(axis=0, ddof=1)
        far = np.maximum(far, (np.abs(off[:, spread > 0]) / spread[spread > 0]).max(axis=1, initial=0.0))
    by_chance = erfc(np.quantile(far, TOGETHER) / np.sqrt(2))
    errors = t_quantile(free, 1 - by_chance)  # as far out in the tail, by Student's t
    return np.asarray(errors * np.sqrt(1 + 1 / free) * (bias - bias[:, [top]]).std(axis=0, ddof=1))
