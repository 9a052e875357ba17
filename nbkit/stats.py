"""How far a number may be off: Wilson intervals for shares, the bootstrap for everything else."""

from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

Array = npt.NDArray[Any]
LEVEL = 0.95
Z = 1.959963984540054  # the normal quantile of 97.5 %
TOLERANCE = 0.05  # relative loss of a score that is agreed to be bearable
ALPHA = 0.01  # chance that a window is called worse where nothing was lost
DETECTABLE = NormalDist().inv_cdf(1 - ALPHA) + NormalDist().inv_cdf(0.8)  # standard errors: seen in 80 % of cases
MATERIAL = {"ece": 0.02, "bias": 0.02}  # of probabilities: smaller losses are bearable whatever the reference
CELLS = 2_000_000  # weights held at a time


def normal_quantile(level: float) -> float:
    """Return how many standard deviations to either side hold `level` of a normal distribution.

    Examples
    --------
    >>> round(normal_quantile(0.95), 4), round(normal_quantile(1 - 0.05 / 3), 4)
    (1.96, 2.394)
    """
    return NormalDist().inv_cdf((1 + level) / 2)


def t_quantile(free: float, level: float = LEVEL) -> float:
    """Return how many standard errors to either side hold `level` if the error itself has `free` degrees of freedom.

    Examples
    --------
    >>> round(t_quantile(4), 3), round(t_quantile(np.inf), 3)
    (2.776, 1.96)
    """
    return float(stdtrit(free, (1 + level) / 2)) if np.isfinite(free) else normal_quantile(level)


def count_effective(hits: Array, codes: Array, alike: Array, value: Array) -> Array:
    """Return how many independent rows those of each group are worth: n over the design effect of its blocks.

    Less where blocks are few, so that an interval made with the normal quantile is as wide as with Student's t.

    Parameters
    ----------
    hits, codes, alike
        Of each row: whether it counts, its group (from 0), its block (from 0).
    value
        The share of hits in each group.

    References
    ----------
    Kish, L. (1965). Survey Sampling. Wiley, section 5.4. Korn, E. L. and Graubard, B. I. (1998). Confidence intervals
    for proportions with small expected number of positive counts estimated from survey data. Survey Methodology 24,
    193-201.
    """
    size, blocks = len(value), int(alike.max(initial=-1)) + 1
    cell, shape = codes.astype(int) * blocks + alike, (size, blocks)
    n = np.bincount(codes, minlength=size).astype(float)
    off = np.bincount(cell, weights=hits - value[codes], minlength=size * blocks).reshape(shape)
    units = (np.bincount(cell, minlength=size * blocks).reshape(shape) > 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        clustered = (off**2).sum(axis=1) * units / (units - 1) / n**2
        effect = clustered / (value * (1 - value) / (n - 1))
    known = np.isfinite(effect)  # not where all are equal: there, count blocks
    few = (Z / stdtrit(np.where(units > 1, units - 1.0, np.nan), (1 + LEVEL) / 2)) ** 2
    return np.asarray(np.where(known, n / np.maximum(effect, 1.0), units.astype(float)) * few)


def wilson_interval(count: npt.ArrayLike, n: npt.ArrayLike, level: float = LEVEL) -> tuple[Array, Array]:
    """Return the score interval of a share.

    Parameters
    ----------
    count, n
        Hits and trials; broadcast against each other.
    level
        How sure, 95 % if not given.

    Returns
    -------
    tuple of arrays
        Lower and upper limits in [0, 1]; NaN where `n` is 0.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. JASA 22, 209-212.

    Examples
    --------
    >>> low, high = wilson_interval(8, 10)
    >>> f"{low:.3f} {high:.3f}"
    '0.490 0.943'
    """
    hits, trials = np.asarray(count, dtype=float), np.asarray(n, dtype=float)
    z = normal_quantile(level)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / trials
        middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
        half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def bound_shares(
    hits: Array, codes: Array, size: int, blocks: Array | None = None
) -> tuple[Array, Array, Array, Array, Array]:
    """Return the share of hits in each group, with Wilson's interval on as many rows as its blocks are worth.

    Parameters
    ----------
    hits, codes
        Of each row: whether it counts, its group (from 0).
    size
        How many groups there are.
    blocks
        The block of each row (from 0), whose rows are alike; None: rows are independent.

    Returns
    -------
    tuple of arrays
        The rows of each group, the share of hits, the independent rows that these are worth, and both limits.
    """
    n = np.bincount(codes, minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.bincount(codes, weights=hits, minlength=size) / n
        effective = n / 1.0 if blocks is None else count_effective(hits, codes, blocks, value)
        low, high = wilson_interval(value * effective, effective)
    return n, value, effective, low, high


def bound_means(
    values: Array, codes: Array, size: int, blocks: Array | None = None
) -> tuple[Array, Array, Array, Array, Array]:
    """Return the mean of each group, with Student's interval of as many blocks (rows) as the group has.

    Parameters
    ----------
    values, codes, size, blocks
        As in `bound_shares`, with numbers in place of hits.

    Returns
    -------
    tuple of arrays
        As `bound_shares`; in place of independent rows NaN, as the spread is measured and not known from the mean.

    Examples
    --------
    >>> n, mean, _, low, high = bound_means(np.array([1.0, 2, 3, 4]), np.zeros(4, int), 1)
    >>> f"{mean[0]} {low[0]:.2f} {high[0]:.2f}"
    '2.5 0.45 4.55'
    """
    n = np.bincount(codes, minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(codes, weights=values, minlength=size) / n
        off: Array = values - mean[codes]
        squares: Array
        units: Array = n
        if blocks is None:
            squares = np.bincount(codes, weights=off**2, minlength=size)
        else:
            shape = (size, int(blocks.max(initial=-1)) + 1)
            cell = codes.astype(int) * shape[1] + blocks
            squares = (np.bincount(cell, weights=off, minlength=shape[0] * shape[1]).reshape(shape) ** 2).sum(axis=1)
            units = (np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape) > 0).sum(axis=1)
        spread = squares * units / (units - 1)
        half = stdtrit(np.where(units > 1, units - 1.0, np.nan), (1 + LEVEL) / 2) * np.sqrt(spread) / n
    return n, mean, np.full(size, np.nan), mean - half, mean + half


def draw_weights(n: int, draws: int, seed: int, groups: pd.Series | Array | None = None) -> Iterator[Array]:
    """Yield bootstrap resamples as counts per row, some draws at a time.

    Parameters
    ----------
    n
        Rows.
    draws
        Resamples in all.
    seed
        Same seed, same resamples.
    groups
        Rows of one group are drawn together (the cluster bootstrap): give the day, the customer, the machine, where
        rows of one are alike. Without it rows count as independent.

    Yields
    ------
    array of shape (some draws, n)
        How often each row was drawn.
    """
    rng = np.random.default_rng(seed)
    codes = np.arange(n) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]
    units = int(codes.max()) + 1 if n else 0
    step = max(1, CELLS // max(n, 1))
    for start in range(0, draws, step):
        counts = [np.bincount(rng.integers(0, units, units), minlength=units) for _ in range(min(step, draws - start))]
        yield np.asarray(counts, dtype=float)[:, codes] if groups is not None else np.asarray(counts, dtype=float)


def bootstrap(
    statistics: Mapping[str, Callable[[Array], Any]],
    n: int,
    *,
    draws: int = 500,
    seed: int = 0,
    groups: pd.Series | Array | None = None,
) -> dict[str, Array]:
    """Evaluate weighted statistics on the same resamples.

    Parameters
    ----------
    statistics
        Name to a function of weights of shape (d, n) that returns d values.
    n, draws, seed, groups
        As in `draw_weights`.

    Returns
    -------
    dict
        Name to `draws` values.
    """
    parts: dict[str, list[Array]] = {name: [] for name in statistics}
    with np.errstate(divide="ignore", invalid="ignore"):
        for weights in draw_weights(n, draws if n > 1 else 0, seed, groups):
            for name, statistic in statistics.items():
                parts[name].append(statistic(weights))
    return {name: np.concatenate(values) if values else np.empty(0) for name, values in parts.items()}


def percentile_interval(values: Array, level: float = LEVEL) -> tuple[float, float]:
    """Return the middle `level` of bootstrap values; NaN where fewer than half of the draws gave a number.

    Examples
    --------
    >>> low, high = percentile_interval(np.arange(1001.0))
    >>> round(low), round(high)
    (25, 975)
    """
    known = values[np.isfinite(values)]
    if not len(known) or len(known) < len(values) / 2:
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
