"""The threshold: from which probability on it pays to act, judged by what that costs on rows not seen yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from nbkit.model.costs import read_costs
from nbkit.model.predictions import Predictions
from nbkit.stats import Array, percentile_interval

PRIOR = (3.0, 0.3)  # spread of shift and slope of the recalibration, in log-odds, before any case is seen
EVEN = 200  # cases at which measured and expected cost weigh the same
FEW = 10  # cases from which on a threshold may not cost more on the given rows than never or always acting
LEVELS = 2000  # thresholds in the bootstrap
SHOWN = 200  # thresholds in the curve
WEIGHTS = 2_000_000  # weights held at a time
CURVE = ["threshold", "cost_per_row", "selection_rate", "tp", "fp", "fn", "tn"]


@dataclass(frozen=True)
class Decision:
    """From which probability on to act.

    Attributes
    ----------
    threshold
        Rows from this probability on count as positive: the lowest cost to be expected on new rows, see
        `choose_threshold`. 0 means always acting, above 1 never acting.
    low, high
        Its 95 % bootstrap interval.
    cost, cost_low, cost_high
        Cost per row at the threshold on the given rows, with its 95 % bootstrap interval.
    theoretical
        The threshold that would be best if the probabilities were exact.
    curve
        Columns `threshold`, `cost_per_row` (measured), `selection_rate`, `tp`, `fp`, `fn`, `tn`; rising thresholds,
        from everything selected to nothing; at most about 200 of the distinct scores, always with the chosen one.

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

    @property
    def words(self) -> str:
        """What to do with a probability, in a few words.

        Examples
        --------
        >>> from nbkit.problem import Problem
        >>> choose_threshold(Predictions.align([0] * 9, [0.1] * 9, Problem("late", positive=1)), {}).words
        'never act'
        """
        if self.threshold > 1:
            return "never act"
        return "always act" if self.threshold <= 0 else f"act from a probability of {self.threshold:.2g} on"


def choose_threshold(
    predictions: Predictions, costs: Mapping[str, float], *, draws: int = 500, given: float = -1.0
) -> Decision:
    """Choose the threshold with the lowest cost to be expected on new rows.

    Parameters
    ----------
    predictions
        Of rows that were neither learned from nor will be judged on (the valid split).
    costs
        `false_positive`, `false_negative` and perhaps `true_positive`, `true_negative` (0): money per row, a gain is
        negative. Without any, both errors cost 1.
    draws
        Resamples of the bootstrap.
    given
        A threshold that somebody has set; from 0 on it is taken in place of the best one, and priced in the same way.

    Returns
    -------
    Decision
        For a task without a threshold, one with NaN and an empty curve: the likeliest class, or the value, is it.

    Raises
    ------
    BadCriterion
        If a cost is unknown or no number.

    Notes
    -----
    Candidates are all distinct scores, acting always and acting never. Each is priced twice: as measured on the given
    rows, which is exact there and misleads where cases are rare; and as expected from the probabilities after a
    recalibration (a shift and a slope of their log-odds, shrunk towards 0 and 1, a ridge-penalized form of Platt's).
    The lowest weighted mean wins, the measured cost weighing cases / (cases + 200), a case being a row of the rarer
    class. From ten cases on, what costs more on the given rows than acting always or never is not a candidate. On new
    rows of simulated problems (prevalence 0.03 % to 50 %) this loses less of the saving that could be had than the
    cheapest score on the given rows, the formula or a bootstrap average do: `python -m benchmarks truth` shows it.

    References
    ----------
    Platt, J. (1999). Probabilistic outputs for support vector machines. Advances in Large Margin Classifiers, 61-74.
    Elkan, C. (2001). The foundations of cost-sensitive learning. IJCAI 17, 973-978.

    Examples
    --------
    >>> from nbkit.problem import Problem
    >>> said = Predictions.align([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9], Problem("late"))
    >>> decision = choose_threshold(said, {"false_positive": 1, "false_negative": 3})
    >>> decision.threshold, decision.cost, decision.theoretical
    (0.4, 0.25, 0.25)
    """
    o = predictions
    if o.task != "binary":
        nothing = dict.fromkeys(("threshold", "low", "high", "cost", "cost_low", "cost_high", "theoretical"), np.nan)
        return Decision(**nothing, curve=pd.DataFrame(columns=CURVE, dtype=float))
    price = read_costs(costs, "binary")
    truth, score, n = o.truth.astype(int), o.score, len(o)
    levels = _list_levels(score)
    cell = truth * len(levels) + np.searchsorted(levels, score, side="right") - 1  # the highest level that selects it
    counts = np.bincount(cell, minlength=2 * len(levels)).reshape(2, len(levels))
    best = int(_choose(counts[None].astype(float), levels, price)[0])
    if given >= 0:  # the lowest score that it acts on; it selects the same rows
        best = min(int(np.searchsorted(levels, given)), len(levels) - 1)
    table = tuple(part[0] for part in _count(counts[None]))
    cost = _price(table, price)
    keep = _thin(levels, score, SHOWN, best)
    columns = levels, cost, (table[0] + table[1]) / max(n, 1), *table
    curve = pd.DataFrame(dict(zip(CURVE, columns, strict=True))).iloc[keep].reset_index(drop=True)
    low, high, cost_low, cost_high = np.nan, np.nan, np.nan, np.nan
    if n > 1 and draws:
        coarse = levels[_thin(levels, score[truth == (truth.mean() < 0.5)], LEVELS, best)]
        place = int(np.searchsorted(coarse, levels[best]))
        found, spent = _redraw(truth, score, coarse, price, place, o.blocks, draws, o.problem.seed)
        (low, high), (cost_low, cost_high) = percentile_interval(coarse[found]), percentile_interval(spent)
    return Decision(
        given if given >= 0 else float(levels[best]),
        low,
        high,
        float(cost[best]),
        cost_low,
        cost_high,
        find_balance(price),
        curve,
    )


def find_balance(price: Mapping[str, float]) -> float:
    """Return the probability from which on acting pays if probabilities are exact; NaN where it never matters.

    Examples
    --------
    >>> find_balance(read_costs({"false_positive": 1, "false_negative": 4}, "binary"))
    0.2
    """
    act = price["false_positive"] - price["true_negative"]
    spare = price["false_negative"] - price["true_positive"]
    return float(np.clip(act / (act + spare), 0, 1)) if act + spare > 0 else np.nan


def _list_levels(score: Array) -> Array:
    """List the thresholds there are: all distinct scores, 0 (everything) and one above all (nothing)."""
    top = float(np.nextafter(max(1.0, score.max(initial=0.0)), 2.0))
    return np.unique(np.r_[0.0, score, top])


def _thin(levels: Array, score: Array, size: int, best: int) -> Array:
    """Return positions of about `size` levels: half even over all, half over some scores, and the chosen one."""
    last = len(levels) - 1
    if last < size:
        return np.arange(last + 1)
    even = np.linspace(0, last, size // 2).round().astype(int)
    among = np.sort(np.searchsorted(levels, score))
    part = among[np.linspace(0, len(among) - 1, min(size // 2, len(among))).round().astype(int)] if len(among) else even
    return np.unique(np.r_[even, part, best])


def _choose(counts: Array, levels: Array, price: Mapping[str, float]) -> Array:
    """Return for each count of rows (draws, 2, levels) the position of the threshold to take."""
    rows = counts.sum(axis=1)
    chance = _recalibrate(counts, levels)
    measured = _price(_count(counts), price)
    expected = _price(_count(np.stack([rows * (1 - chance), rows * chance], axis=1)), price)
    cases = counts.sum(axis=2).min(axis=1)
    weight = (cases / (cases + EVEN))[:, None]
    mixed = weight * measured + (1 - weight) * expected
    ends = measured[:, [0, -1]].min(axis=1, keepdims=True)
    beaten = (cases[:, None] >= FEW) & (measured > ends + 1e-12 * (1 + np.abs(ends)))
    return _lowest(np.where(beaten, np.inf, mixed))


def _recalibrate(counts: Array, levels: Array) -> Array:
    """Return the chance of a case at each level after a penalized shift and slope of the log-odds: (draws, levels)."""
    hits, rows = counts[:, 1], counts.sum(axis=1)
    edge = 0.5 / max(float(rows.sum(axis=1).max()), 1.0)
    odds = logit(np.clip(levels, edge, 1 - edge))
    off = odds - (rows.sum(axis=0) @ odds) / max(float(rows.sum()), 1.0)
    shift, slope = np.zeros((2, len(counts), 1))
    ridge = [1 / size**2 for size in PRIOR]
    for _ in range(50):
        chance = expit(odds + shift + slope * off)
        left, weight = hits - rows * chance, rows * chance * (1 - chance)
        a, b, c = (part.sum(axis=1, keepdims=True) for part in (weight, weight * off, weight * off**2))
        a, c = a + ridge[0], c + ridge[1]
        g = left.sum(axis=1, keepdims=True) - ridge[0] * shift
        h = (left @ off)[:, None] - ridge[1] * slope
        step = np.stack([(c * g - b * h), (a * h - b * g)]) / (a * c - b**2)
        step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(axis=0), 1e-300))
        shift, slope = shift + step[0], slope + step[1]
        if np.abs(step).max(initial=0) < 1e-7:
            break
    return np.asarray(expit(odds + shift + slope * off))


def _redraw(
    truth: Array, score: Array, levels: Array, price: Mapping[str, float], best: int, blocks: Any, draws: int, seed: int
) -> tuple[Array, Array]:
    """Choose again on bootstrap resamples; return the positions chosen, and the costs at the position `best`."""
    rng, size = np.random.default_rng(seed), 2 * len(levels)
    cell = np.searchsorted(levels, score, side="right") - 1 + truth * len(levels)
    share, units = np.bincount(cell, minlength=size) / len(truth), 0 if blocks is None else int(blocks.max()) + 1
    found, spent = [], []
    step = max(1, WEIGHTS // size)
    for start in range(0, draws, step):
        some = min(step, draws - start)
        if blocks is None:
            counts = rng.multinomial(len(truth), share, size=some)
        else:
            often = [np.bincount(rng.integers(0, units, units), minlength=units)[blocks] for _ in range(some)]
            counts = np.stack([np.bincount(cell, weights=weights, minlength=size) for weights in often])
        counts = counts.reshape(some, 2, len(levels)).astype(float)
        found.append(_choose(counts, levels, price))
        spent.append(_price(_count(counts), price)[:, best])
    return np.concatenate(found), np.concatenate(spent)


def _count(counts: Array) -> tuple[Array, Array, Array, Array]:
    """Turn rows per (draw, truth, level) into tp, fp, fn, tn per (draw, threshold)."""
    above = np.flip(np.cumsum(np.flip(counts, axis=2), axis=2), axis=2)
    total = counts.sum(axis=2)
    tp, fp = above[:, 1], above[:, 0]
    return tp, fp, total[:, 1:] - tp, total[:, :1] - fp


def _price(table: Any, price: Mapping[str, float]) -> Any:
    tp, fp, fn, tn = table
    money = tp * price["true_positive"] + fp * price["false_positive"]
    money = money + fn * price["false_negative"] + tn * price["true_negative"]
    return money / np.maximum(tp + fp + fn + tn, 1)


def _lowest(cost: Array) -> Array:
    """Return where each row is lowest; of equals (but for rounding) the highest threshold, which acts on the fewest."""
    least = cost.min(axis=1, keepdims=True)
    near = cost <= least + 1e-12 * (1 + np.abs(least))
    return np.asarray(cost.shape[1] - 1 - np.argmax(np.flip(near, axis=1), axis=1))
