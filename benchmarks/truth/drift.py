"""Drift tests: how often a report on stable columns alarms, from 300 rows to a million, and what drift is seen."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.monitor import make_profile, measure_drift
from nbkit.monitor.drift import TESTS

SIZES = {300: 200, 1_000: 200, 10_000: 60, 100_000: 12, 1_000_000: 2}  # rows, and reports of each size
DEFAULT, EVERY = ("psi", "missing", "unseen"), tuple(TESTS)
LIMIT = 0.05


def draw_stable(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Draw 50 columns of mixed kinds whose law does not change."""
    laws = [
        lambda: rng.normal(size=n),
        lambda: rng.lognormal(sigma=2, size=n),
        lambda: rng.choice([f"k{k}" for k in range(5)], n),
        lambda: rng.choice([f"k{k}" for k in range(200)], n),
        lambda: rng.zipf(1.4, n).clip(max=10**9).astype(str),
        lambda: _draw_levels(rng, n, 5_000),
        lambda: np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
        lambda: rng.poisson(2, n),
        lambda: (rng.random(n) < 0.004).astype(int),
        lambda: rng.choice(["a", "b", None], n, p=[0.5, 0.495, 0.005]),
    ]
    columns = {f"c{place}": laws[place % len(laws)]() for place in range(48)}
    columns |= {
        "constant": np.ones(n),
        "when": pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, n, n), "s"),
    }
    return pd.DataFrame(columns)


def draw_blocks(rng: np.random.Generator, n: int, size: int = 50) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw 30 columns whose rows are alike within blocks, and the blocks."""
    block = np.arange(n) // size
    count = int(block[-1]) + 1
    shift = rng.normal(size=(count, 10))[block]
    numbers = {f"n{place}": 0.6 * shift[:, place] + 0.8 * rng.normal(size=n) for place in range(10)}
    weights = rng.dirichlet(np.full(12, 2.0), size=(count, 10))
    draws = (rng.random((n, 10, 1)) > weights[block].cumsum(axis=2)[:, :, :-1]).sum(axis=2)
    names = {f"k{place}": draws[:, place].astype(str) for place in range(10)}
    crew = rng.zipf(1.5, size=(count, 20, 10)).clip(max=10**9)
    ids = {f"i{place}": crew[block, rng.integers(0, 20, n), place].astype(str) for place in range(5)}
    out = rng.random((count, 5)) < 0.1  # a sensor that is out for a block
    gaps = {f"m{place}": np.where(out[block, place], np.nan, rng.normal(size=n)) for place in range(5)}
    return pd.DataFrame({**numbers, **names, **ids, **gaps}), block


def _draw_levels(rng: np.random.Generator, n: int, levels: int) -> Any:
    share = 1 / np.arange(1, levels + 1)
    return rng.choice(levels, n, p=share / share.sum()).astype(str)


def alarm(
    reference: pd.DataFrame, window: pd.DataFrame, tests: Any = DEFAULT, then: Any = None, now: Any = None
) -> Any:
    """Return the rows of a report that say watch or drift."""
    table = measure_drift(make_profile(reference, groups=then), window, tests, groups=now)
    return table[table["level"].isin(["watch", "drift"])]


def count_false(n: int, reports: int, tests: Any, share: float = 1.0) -> tuple[float, pd.DataFrame]:
    """Return the share of reports on stable columns that alarm, and the alarms."""
    found = []
    for seed in range(reports):
        rng = np.random.default_rng([n, seed])
        found.append(alarm(draw_stable(rng, n), draw_stable(rng, max(int(n * share), 1)), tests).assign(report=seed))
    alarms = pd.concat(found)
    return alarms["report"].nunique() / reports, alarms


def count_false_blocks(n: int, reports: int, tests: Any, share: float = 0.5) -> tuple[float, pd.DataFrame]:
    """Return the share of reports on stable blocks that alarm, and the alarms."""
    found = []
    for seed in range(reports):
        rng = np.random.default_rng([n, seed])
        (then, first), (now, second) = draw_blocks(rng, n), draw_blocks(rng, int(n * share))
        found.append(alarm(then, now, tests, first, second).assign(report=seed))
    alarms = pd.concat(found)
    return alarms["report"].nunique() / reports, alarms
