"""The expected calibration error: one definition for scores, criteria, gates and the calibration table."""

from typing import Any

import numpy as np
from scipy.special import erf

from nbkit.model.predictions import Predictions
from nbkit.stats import Array

BINS = 10
DRAWS = 2000  # simulated errors behind the interval
TAIL = 0.05
MOST = 1.0  # the error of probabilities cannot be larger


def bin_scores(score: Array, bins: int = BINS) -> Array:
    """Return the bin of each score, from 0: at most `bins` of equally many rows, equal scores in one.

    Examples
    --------
    >>> bin_scores(np.array([0.2, 0.2, 0.9, 0.2, 0.2])).tolist()
    [0, 0, 1, 0, 0]
    """
    if not len(score):
        return np.empty(0, dtype=int)
    edges = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    return np.unique(np.searchsorted(edges, score, side="right"), return_inverse=True)[1]


class Gaps:
    """Sums per bin of an outcome, for any weights of its rows."""

    def __init__(self, o: Predictions) -> None:
        self.place = bin_scores(o.score)
        self.order = np.argsort(self.place, kind="stable")
        self.starts = np.flatnonzero(np.diff(self.place[self.order], prepend=-1))
        self.off = (o.truth - o.score)[self.order]
        self.noise = (o.score * (1 - o.score))[self.order]
        self.inflation = np.ones(len(self.starts)) if o.blocks is None else self._inflate(o)

    def _inflate(self, o: Predictions) -> Array:
        """Return by how much rows that are alike widen the spread of each bin's gap, at least 1."""
        sums = self.sum_blocks(o)
        alone = np.add.reduceat(self.noise, self.starts)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (sums**2).sum(axis=0) / alone
        return np.asarray(np.where(alone > 0, np.maximum(ratio, 1.0), 1.0))

    def sum_blocks(self, o: Predictions) -> Array:
        """Return what each block adds to the sum of each bin, about the bin's own gap: (blocks, bins)."""
        off = o.truth - o.score
        mean = np.bincount(self.place, weights=off) / np.bincount(self.place)
        codes = np.asarray(o.blocks)
        size, bins = int(codes.max()) + 1, len(self.starts)
        sums = np.bincount(codes * bins + self.place, weights=off - mean[self.place], minlength=size * bins)
        return np.asarray(sums.reshape(size, bins) * np.sqrt(size / max(size - 1, 1)))

    def measure(self, w: Array) -> tuple[Array, Array, Array]:
        """Return the share of each bin, its gap (observed − predicted) and its spread if p is right: (d, bins)."""
        w = w[:, self.order]
        rows, gap, noise = (np.add.reduceat(part, self.starts, axis=1) for part in (w, w * self.off, w * self.noise))
        some = np.where(rows > 0, rows, 1.0)
        return rows / w.sum(axis=1, keepdims=True), gap / some, np.sqrt(noise * self.inflation) / some


def calibration_error(o: Predictions) -> Any:
    """Mean gap of predicted and observed over 10 bins of equally many rows, less what chance alone makes of it."""
    if not len(o):
        return lambda w: np.full(len(w), np.nan)
    gaps = Gaps(o)
    return lambda w: _remove_noise(*gaps.measure(w))


def find_ece_interval(o: Predictions) -> tuple[float, float]:
    """Return the 95 % interval of the expected calibration error (binary).

    Parameters
    ----------
    o
        Truth and probabilities; rows of one block are alike.

    Notes
    -----
    An error is inside if the sum of absolute gaps that was seen is not unusual for it: simulated with the gaps nearest
    to the observed ones that have this error, and with the chance of binomial counts (of blocks, where rows are alike).
    At an error of 0 only a sum that is too large counts as unusual, so that probabilities which are right have 0 inside
    in 95 of 100 samples; further up both tails do.

    References
    ----------
    Chuang, C.-S. and Lai, T. L. (2000). Hybrid resampling methods for confidence intervals. Statistica Sinica 10, 1-50.
    """
    gaps = Gaps(o)
    share, gap, spread = (part[0] for part in gaps.measure(np.ones((1, len(o)))))
    size, total = np.abs(gap), float(share @ np.abs(gap))
    luck = _simulate(o, gaps, share)
    usual = float(share @ spread) * np.sqrt(2 / np.pi)
    sign = np.where(gap < 0, -1.0, 1.0)
    moments = np.ones(len(o)), o.score * (1 - o.score), 1 - 2 * o.score
    rows, noise, lean = (np.add.reduceat(part[gaps.order], gaps.starts) for part in moments)
    alike = 0.0 if o.blocks is None else (gaps.sum_blocks(o) ** 2).sum(axis=0) / rows**2

    def tail(error: float) -> tuple[float, float]:
        part = sign * _scale(size, share, error)
        chance = np.maximum(noise + part * lean - rows * part**2, 0.02 * noise)  # of truths that are off by so much
        seen = np.abs(part + luck * np.sqrt(np.maximum(chance / rows**2, alike))) @ share
        return float((seen >= total - 1e-12).mean()), float((seen <= total + 1e-12).mean())

    def allow(error: float) -> float:
        return TAIL / 2 * min(1.0, error / usual) if usual > 0 else TAIL / 2

    low = _bisect(lambda error: tail(error)[0] >= TAIL - allow(error), 0.0, total)
    high = _bisect(lambda error: tail(error)[1] < allow(error), total, MOST)
    return low, max(high, low)


def _bisect(after: Any, low: float, high: float) -> float:
    """Return where a condition, once true, stays true; `low` or `high` if that is at an end."""
    if after(low):
        return low
    if not after(high):
        return high
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if after(middle) else (middle, high)
    return (low + high) / 2


def _scale(size: Array, share: Array, error: float) -> Array:
    """Return the gaps nearest to those observed whose weighted sum is `error`: all moved alike, none below 0."""
    order = np.argsort(-size)
    weight, part = np.cumsum(share[order]), np.cumsum((share * size)[order])
    move = (part - error) / weight  # if the largest 1, 2, … stay above 0
    last = np.r_[size[order][1:], 0.0]
    fits = np.flatnonzero(move >= last - 1e-15)
    step = move[fits[0]] if len(fits) else move[-1]
    return np.asarray(np.maximum(size - step, 0.0))


def _simulate(o: Predictions, gaps: Gaps, share: Array) -> Array:
    """Draw gaps of probabilities that are right, in units of their spread: (draws, bins)."""
    rng, bins = np.random.default_rng(o.problem.seed), len(share)
    if o.blocks is not None:
        sums = gaps.sum_blocks(o)
        own = np.sqrt((sums**2).sum(axis=0))
        luck = rng.standard_normal((DRAWS, len(sums))) @ (sums / np.where(own > 0, own, 1.0))
        free = max(len(sums) - 1, 1)
        luck = np.where(own > 0, luck, rng.standard_normal((DRAWS, bins)))
        return np.asarray(luck / np.sqrt(rng.chisquare(free, (DRAWS, 1)) / free))
    mean = np.add.reduceat(o.score[gaps.order], gaps.starts)
    noise = np.add.reduceat(gaps.noise, gaps.starts)
    with np.errstate(divide="ignore", invalid="ignore"):  # a binomial with the mean and the spread of unequal chances
        chance = np.clip(np.where(mean > 0, 1 - noise / mean, 0.0), 0.0, 1.0)
        trials = np.where(chance > 0, np.maximum(np.round(mean / chance), 1), 0).astype(int)
    counts = rng.binomial(trials, chance, (DRAWS, bins)) + rng.random((DRAWS, bins)) - 0.5
    return np.asarray((counts - trials * chance) / np.sqrt(np.maximum(trials * chance * (1 - chance), 1e-12)))


def _remove_noise(share: Array, gap: Array, spread: Array) -> Array:
    """Return the error whose expected sum of absolute gaps is the one observed, 0 where chance makes as much: (d,)."""
    size = np.abs(gap)
    total = (share * size).sum(axis=1)
    low, high = np.zeros(len(size)), size.max(axis=1)  # by how much the gaps are shrunk
    for _ in range(40):
        middle = (low + high) / 2
        above = (share * _fold(np.maximum(size - middle[:, None], 0), spread)).sum(axis=1) > total
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    error = (share * np.maximum(size - high[:, None], 0)).sum(axis=1)
    return np.asarray(np.where(error > 1e-12, error, 0.0))


def _fold(mean: Array, spread: Array) -> Array:
    """Return the expected absolute value of a normal variable."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, mean / spread, np.inf)
    folded = spread * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2) + mean * erf(z / np.sqrt(2))
    return np.asarray(np.where(spread > 0, folded, mean))
