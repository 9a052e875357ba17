"""Shapley values of a fitted model, by the method that suits it; each is checked against the model's own output."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadModel
from nbkit.stats import Array, t_quantile

TOLERANCE, ROUNDING = 1e-3, 1e-9  # of the spread of the model's output; of its size
SLOW_ROWS, SLOW_BACKGROUND = 100, 20  # of the method that works for any model, each time
TIMES, PRECISE = (3, 6), 0.02  # it is done so often, until its error is so small a share of the spread
FEW_ROWS, PROBED = 12, 2  # rows that are explained however slow a model is, and that tell how slow it is
PROBE = 0.1  # the share of the budget that may be spent to find that out
CELLS = 1_000_000  # numbers that a model is given at once


@dataclass(frozen=True)
class Parts:
    """A fitted pipeline taken apart: the matrix that its last step reads, and where the columns come from."""

    last: Any
    matrix: pd.DataFrame
    sources: dict[str, list[str]]
    output: Callable[[Any], Array]  # of the matrix, (n, outputs)
    served: Array  # of the whole pipeline on the raw rows, (n, outputs)
    unit: str
    classes: list[Any]
    way: str
    given: Any = None  # what the last step reads, as it reads it: the matrix, or texts and categories

    def narrow(self, places: Array) -> "Parts":
        """Keep some rows, for a method that asks the model of the matrix."""
        return replace(self, matrix=self.matrix.iloc[places], served=self.served[places], given=None)

    def spread_sources(self, raw: list[str]) -> Array:
        """Return which share of each column of the matrix each raw column has: (columns, raw)."""
        sources = [self.sources[name] for name in self.matrix.columns]
        share = [[own.count(name) / max(len(own), 1) for name in raw] for own in sources]
        return np.array(share, dtype=float).reshape(len(sources), len(raw))


@dataclass(frozen=True)
class Found:
    """What a method gave, on the rows of `parts`."""

    method: str
    parts: Parts
    values: Array  # (n, columns, outputs)
    base: Array  # (outputs,)
    error: float
    sampling: float
    spared: float = 1.0  # how many times more would have been done with all the time it takes


def try_method(
    method: Any, parts: Parts, seed: int, background: int, budget_s: float = np.inf
) -> tuple[Found | None, str]:
    """Return what a method gives if it adds up and every column that moves anything is traced, else why not."""
    name, sampling, spared = method.__name__.removeprefix("by_"), 0.0, 1.0
    try:
        if method is by_permutation:
            parts, values, base, sampling, spared = _repeat_permutation(parts, seed, background, budget_s)
        else:
            values, base = method(parts, seed, background)
    except Exception as error:  # shap refuses a model in many ways
        return None, f"fails ({type(error).__name__}: {error})"
    gap, spread = float(np.abs(values.sum(axis=1) + base - parts.served).max()), find_spread(parts)
    bearable = max(TOLERANCE * spread, ROUNDING * float(np.abs(parts.served).max()), ROUNDING)
    if not gap <= bearable:
        return None, f"is off by {gap:.2g}"
    lost = [place for place, column in enumerate(parts.matrix.columns) if not parts.sources[column]]
    if lost and float(np.abs(values[:, lost]).sum(axis=1).max()) > bearable:
        names = ", ".join(map(str, parts.matrix.columns[lost[:3]]))
        return None, f"gives weight to columns of unknown origin ({names})"
    return Found(name, parts, values, base, gap, sampling, spared), ""


def find_spread(parts: Parts) -> float:
    """Return how far the output ranges over the rows."""
    return float(np.ptp(parts.served, axis=0).max())


def refuse(_: Any) -> Array:
    """Stand for the output of what is explained exactly or not at all.

    Raises
    ------
    BadModel
        If it is asked.
    """
    raise BadModel("it is not asked about single columns")


def by_permutation(parts: Parts, seed: int, around: Array) -> tuple[Array, Array]:
    """Explain any model by giving it the columns of a row in random order, and taking them away again.

    What is not given is that of each row of `around`. Where a column has the same value there nothing changes, so that
    the model is not asked.

    References
    ----------
    Strumbelj, E. and Kononenko, I. (2014). Explaining prediction models and individual predictions with feature
    contributions. Knowledge and Information Systems 41, 647-665.
    """
    matrix, rng = parts.matrix.to_numpy(dtype=float), np.random.default_rng(seed)
    rows, width = matrix.shape
    order = rng.permuted(np.tile(np.arange(width), (rows, 1)), axis=1)
    turn = np.argsort(order, axis=1)
    switched = np.concatenate([order, order[:, :-1]], axis=1)  # after the first step, with nothing given
    fresh = np.ones((rows, 2 * width, len(around)), dtype=bool)
    fresh[:, 1:] = np.take_along_axis(matrix, switched, axis=1)[:, :, None] != around.T[switched]
    row, step, other = np.nonzero(fresh)
    said = []
    for part in np.array_split(np.arange(len(row)), -(-len(row) * width // CELLS)):
        given = step[part, None] - turn[row[part]]
        known = (given > 0) & (given <= width)
        said.append(parts.output(np.where(known, matrix[row[part]], around[other[part]])))
    latest = np.where(fresh, np.cumsum(fresh).reshape(fresh.shape) - 1, 0)
    means = np.concatenate(said)[np.maximum.accumulate(latest, axis=1)].mean(axis=2)
    moved = np.diff(means, axis=1, append=means[:, :1])
    return np.take_along_axis((moved[:, :width] - moved[:, width:]) / 2, turn[:, :, None], axis=1), means[0, 0]


def _repeat_permutation(
    parts: Parts, seed: int, background: int, budget_s: float
) -> tuple[Parts, Array, Array, float, float]:
    """Explain a few rows by permutation several times, each time in other orders and against other rows.

    The sums meet the output by construction, whatever the values are. So the error is measured by how far independent
    repetitions lie apart (root mean square over rows, of the column and output where it is largest), with Student's t,
    as they are few: the true error is smaller in 9 of 10 draws. Rows and background are halved until they are within
    the budget, going by the time that a few rows take.
    """
    rng = np.random.default_rng(seed)
    whole = parts.matrix.to_numpy(dtype=float)
    rows, size = min(SLOW_ROWS, len(whole)), min(background, SLOW_BACKGROUND)
    places = rng.permutation(len(whole))
    cost, spent = _time_row(parts.narrow(np.sort(places[:PROBED])), seed, whole[:size], PROBE * budget_s)
    budget_s -= spent
    asked = rows * size
    while TIMES[0] * cost * rows * size > budget_s and rows > FEW_ROWS:
        rows, size = (max(rows // 2, FEW_ROWS), size) if rows >= 5 * size else (rows, size // 2)
    parts = parts.narrow(np.sort(places[:rows]))
    order = np.concatenate([rng.permutation(len(whole)) for _ in range(TIMES[1] * size // len(whole) + 1)])
    runs, error = list[tuple[Array, Array]](), float("inf")
    most = int(np.clip(budget_s / max(cost * rows * size, 1e-9), *TIMES))
    while len(runs) < TIMES[0] or (len(runs) < most and error > PRECISE * find_spread(parts)):
        around = whole[order[len(runs) * size : (len(runs) + 1) * size]]
        runs.append(by_permutation(parts, seed + len(runs), around))
        if len(runs) > 1:
            spread = np.var([values for values, _ in runs], axis=0, ddof=1) / len(runs)
            error = t_quantile(len(runs) - 1, 0.9) * float(np.sqrt(spread.mean(axis=0).max()))
    values, base = (np.mean([run[place] for run in runs], axis=0) for place in (0, 1))
    return parts, values, base, error, asked / (rows * size)


def _time_row(parts: Parts, seed: int, around: Array, bearable: float) -> tuple[float, float]:
    """Return the seconds of CPU that a row takes against another, as far as it is bearable to find out, and all spent.

    A first question may load what is loaded once, so that it is not counted.
    """
    clock, size = [time.process_time()], 1
    for _ in range(3):
        by_permutation(parts, seed, around[:size])
        clock.append(time.process_time())
        cost = max(clock[-1] - clock[-2], 1e-6) / size / len(parts.matrix)
        size = int(np.clip(bearable / cost / len(parts.matrix), 1, len(around)))
    return cost, clock[-1] - clock[0]
