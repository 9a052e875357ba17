"""How sure a value is: an interval that holds for few cases and few blocks, or the word that there are too few."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from nbkit.model.ece import find_ece_interval
from nbkit.model.predictions import Predictions
from nbkit.stats import Array, bound_shares, t_quantile
from nbkit.wording import format_count

CASES = 5  # of each class, below which nothing is said
BLOCKS = 5  # likewise of blocks
FEW = 20  # blocks below which the note says that they are few
PRIOR = 10  # cases that the spread of ROC AUC known from theory is worth
GRID = np.linspace(0.0005, 0.9995, 1999)

Interval = tuple[float, float]
UNKNOWN: Interval = (np.nan, np.nan)

SHARES: dict[str, Callable[[Predictions], tuple[Array, Array]]] = {  # (which rows are counted, among which)
    "accuracy": lambda o: (o.label == o.truth, np.ones(len(o), dtype=bool)),
    "precision": lambda o: (o.truth & o.label, o.label),
    "recall": lambda o: (o.truth & o.label, o.truth),
    "f1": lambda o: (o.truth & o.label, o.truth | o.label),  # Jaccard's index, of which F1 is a function
}
LOGARITHM = ("log_loss", "brier", "mae", "rmse", "median_ae", "mape", "cost_per_row")
LOGIT = ("average_precision",)
CLOSED = (*SHARES, "balanced_accuracy", "macro_f1", "roc_auc", "ece")  # need no bootstrap


def count_support(o: Predictions) -> tuple[int, int]:
    """Return how many rows, and how many blocks, hold the rarest class that there is (a regression: all of them)."""
    place = np.arange(len(o)) if o.blocks is None else o.blocks
    if not len(o):
        return 0, 0
    parts = [place] if o.task == "regression" else [place[o.truth == code] for code in np.unique(o.truth)]
    return min(len(part) for part in parts), min(len(np.unique(part)) for part in parts)


def find_freedom(o: Predictions) -> float:
    """Return the degrees of freedom of a standard error: of the rows, or blocks, that hold the rarest class.

    Blocks count for 0.6 of theirs, as their means are often skewed: with this share simulated intervals of mae, rmse
    and log loss over ten blocks hold in 93 to 97 % (`python -m benchmarks truth`).
    """
    units = count_support(o)[1]
    if o.blocks is not None:
        return max(0.6 * (units - 1), 1.0)
    return units - 1.0 if o.task == "regression" else 2.0 * units - 1  # the other class helps


def find_lack(name: str, o: Predictions) -> str:
    """Return why an interval cannot be given; empty if it can."""
    blocks = len(o) if o.blocks is None else len(np.unique(o.blocks))
    if o.blocks is not None and blocks < BLOCKS:
        return f"too few to say how sure: {format_count(blocks, 'block')}, {BLOCKS} needed"
    cases, held = count_support(o)
    if name in SHARES or name == "ece" or o.task == "regression":
        return ""
    if cases < CASES:
        return f"too few to say how sure: {format_count(cases, 'row')} of the rarest class, {CASES} needed"
    if o.blocks is not None and held < BLOCKS:
        return f"too few to say how sure: the rarest class is in {format_count(held, 'block')}, {BLOCKS} needed"
    return ""


def warn_of_few(o: Predictions) -> str:
    """Return a warning where blocks are few; empty elsewhere."""
    blocks = FEW if o.blocks is None else len(np.unique(o.blocks))
    return f"only {format_count(blocks, 'block')}: the interval is rough" if blocks < FEW else ""


def find_interval(name: str, o: Predictions, value: float, drawn: Array) -> Interval:
    """Return the 95 % interval of a metric.

    Parameters
    ----------
    name
        Of the metric.
    o
        Truth and prediction; rows of one block are alike.
    value
        Of the metric.
    drawn
        Its values on bootstrap resamples.

    Notes
    -----
    Shares (accuracy, precision, recall, and F1 by Jaccard's index) have Wilson's interval on as many independent rows
    as the blocks are worth; averages of shares over classes combine Wilson's; ROC AUC has the interval of all values
    whose spread, after Hanley and McNeil and drawn to the observed one, allows what was seen; the calibration error its
    own. Others have the bootstrap's standard error on the scale of their logarithm (losses), log-odds or as they are,
    with Student's t for as many blocks (rows) as hold the rarest class.

    References
    ----------
    Wilson, E. B. (1927). JASA 22, 209-212. Hanley, J. A. and McNeil, B. J. (1982). Radiology 143, 29-36. Newcombe, R.
    G. (2006). Statistics in Medicine 25, 559-573. Obuchowski, N. A. (1997). Biometrics 53, 567-578.
    """
    if not np.isfinite(value) or find_lack(name, o) or not len(drawn):
        return UNKNOWN
    if name in SHARES:
        low, high = _bound_share(*SHARES[name](o), o.blocks)
        return (2 * low / (1 + low), 2 * high / (1 + high)) if name == "f1" else (low, high)
    if o.constant and name in ("roc_auc", "balanced_accuracy"):  # on any rows that hold every class
        return value, value
    if name in ("balanced_accuracy", "macro_f1"):
        return _bound_average(name, o, value)
    if name == "roc_auc":
        return _bound_area(o, value)
    if name == "ece":
        return find_ece_interval(o)
    return bound_draws(value, drawn, o, scale=name)


def bound_draws(value: float, drawn: Array, o: Predictions, scale: str = "") -> Interval:
    """Return value ± t standard errors of its bootstrap values, on a scale fit for the metric."""
    known, units = drawn[np.isfinite(drawn)], count_support(o)[1]
    if not np.isfinite(value) or len(known) < max(len(drawn) / 2, 2) or units < 2:
        return UNKNOWN
    half = t_quantile(find_freedom(o)) * float(known.std(ddof=1)) * np.sqrt(units / (units - 1))
    if scale in LOGARITHM and value > 0:
        return value * float(np.exp(-half / value)), value * float(np.exp(half / value))
    if scale in LOGIT and 0 < value < 1:
        odds, half = np.log(value / (1 - value)), half / (value * (1 - value))
        low, high = (1 / (1 + np.exp(-(odds + sign * half))) for sign in (-1, 1))
        return float(low), float(high)
    return value - half, value + half


def _bound_share(hits: Array, among: Array, blocks: Array | None) -> Interval:
    one_group = np.zeros(int(among.sum()), dtype=int)
    *_, low, high = bound_shares(hits[among], one_group, 1, None if blocks is None else blocks[among])
    return float(low[0]), float(high[0])


def _bound_average(name: str, o: Predictions, value: float) -> Interval:
    """Combine the intervals of the classes (Zou and Donner)."""
    down, up = [], []
    codes = np.unique(o.truth) if name == "balanced_accuracy" else np.unique(np.r_[o.truth, o.label])
    for code in codes:
        truth, label = o.truth == code, o.label == code
        among = truth if name == "balanced_accuracy" else truth | label
        low, high = _bound_share(truth & label, among, o.blocks)
        one = (truth & label).sum() / among.sum()
        if name == "macro_f1":
            low, high, one = (2 * part / (1 + part) for part in (low, high, one))
        down.append(one - low)
        up.append(high - one)
    return value - float(np.linalg.norm(down)) / len(codes), value + float(np.linalg.norm(up)) / len(codes)


def _bound_area(o: Predictions, value: float) -> Interval:
    codes = [True] if o.task == "binary" else list(np.unique(o.truth))
    area, low, high = np.transpose([_bound_one_area(o, code) for code in codes])
    down, up = float(np.mean(area - low)), float(np.mean(high - area))  # they may rise together
    return max(value - down, 0.0), min(value + up, 1.0)


def _bound_one_area(o: Predictions, code: Any) -> tuple[float, float, float]:
    hit = o.truth == code
    score = o.score if o.task == "binary" else o.score[:, code]
    cases, others = int(hit.sum()), int((~hit).sum())
    ranks, inner, outer = (pd.Series(part).rank().to_numpy() for part in (score, score[hit], score[~hit]))
    place = np.empty(len(score))
    place[hit] = (ranks[hit] - inner) / others  # share of the others below it
    place[~hit] = 1 - (ranks[~hit] - outer) / cases
    area = float(place[hit].mean())
    pull = (place - area) / np.where(hit, cases, others)
    if o.blocks is None:
        seen = sum((pull[some] ** 2).sum() * n / max(n - 1, 1) for some, n in ((hit, cases), (~hit, others)))
        units = min(cases, others)
    else:
        blocks = np.bincount(o.blocks, weights=pull)
        units = min(len(np.unique(o.blocks[hit])), len(np.unique(o.blocks[~hit])))
        seen = float((blocks**2).sum()) * len(blocks) / max(len(blocks) - 1, 1)
    edge = 0.5 / (cases * others)
    usual = float(_spread_area(np.clip(area, edge, 1 - edge), cases, others))
    ratio = seen / usual
    ratio = max(ratio if o.blocks is not None else 0.0, (units * ratio + PRIOR) / (units + PRIOR))
    free = units - 1 if o.blocks is not None else units + PRIOR - 1
    inside = GRID[(area - GRID) ** 2 <= t_quantile(free) ** 2 * ratio * _spread_area(GRID, cases, others)]
    low, high = (float(inside[0]), float(inside[-1])) if len(inside) else (area, area)
    return area, 0.0 if area == 0 else min(low, area), 1.0 if area == 1 else max(high, area)


def _spread_area(area: Any, cases: int, others: int) -> Any:
    """Return the variance of ROC AUC after Hanley and McNeil."""
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    return (area * (1 - area) + (cases - 1) * (first - area**2) + (others - 1) * (second - area**2)) / (cases * others)
