"""Drift tests: how often a report on stable columns alarms, from 300 rows to a million, and what drift is seen."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nbkit.monitor import make_profile, measure_drift
from nbkit.monitor.distances import TESTS

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


FIVE, MANY = [f"k{k}" for k in range(5)], [f"k{k}" for k in range(200)]
POWER = {  # what drifts, its column in `draw_stable`, and how it is drawn in the window
    "a mean by half a standard deviation": ("c0", lambda rng, n: rng.normal(0.5, size=n)),
    "a lognormal by half of its spread": ("c1", lambda rng, n: rng.lognormal(1.0, 2, size=n)),
    "the shares of 5 categories": ("c2", lambda rng, n: rng.choice(FIVE, n, p=[0.4, 0.3, 0.1, 0.1, 0.1])),
    "the shares of 200 categories": ("c3", lambda rng, n: rng.choice(MANY, n, p=_tilt(200))),
    "5 % of new values": ("c2", lambda rng, n: np.where(rng.random(n) < 0.05, "new", rng.choice(FIVE, n))),
    "10 points more missing": ("c6", lambda rng, n: np.where(rng.random(n) < 0.4, np.nan, rng.normal(size=n))),
    "all values missing": ("c7", lambda rng, n: np.full(n, np.nan)),
    "a constant that became another": ("constant", lambda rng, n: np.full(n, 2.0)),
}


def _tilt(levels: int) -> Any:
    weight = np.exp(np.random.default_rng(0).normal(size=levels))
    return weight / weight.sum()


def count_seen(n: int, reports: int) -> dict[str, float]:
    """Return per drift the share of windows in which its column alarms, among 50, by the tests of notebook 11."""
    seen = dict.fromkeys(POWER, 0)
    for seed in range(reports):
        rng = np.random.default_rng([n, seed, 1])
        profile, stable = make_profile(draw_stable(rng, n)), draw_stable(rng, n)
        for what, (column, draw) in POWER.items():
            table = measure_drift(profile, stable.assign(**{column: draw(rng, n)}), DEFAULT)
            seen[what] += bool(table.loc[table["column"] == column, "level"].isin(["watch", "drift"]).any())
    return {what: count / reports for what, count in seen.items()}


def measure(options: Any = None) -> list[dict[str, Any]]:
    """Measure false alarms at every size, in blocks, power, and the error of the distance on heavy tails."""
    rows = []
    for n, reports in SIZES.items():
        for name, tests in {"psi, missing and unseen": DEFAULT, "all eight tests": EVERY}.items():
            rate, _ = count_false(n, reports, tests)
            rows.append(_row(f"reports on 50 stable columns that alarm, {n:,} rows, {name}", rate, reports))
    for n in (1_000, 5_000, 20_000):
        rate, _ = count_false_blocks(n, 60, EVERY)
        rows.append(
            _row(f"reports on 30 stable columns in blocks of 50 that alarm, {n:,} rows, all eight tests", rate, 60)
        )
    for n in (1_000, 10_000):
        for what, share in count_seen(n, 20).items():
            least = 0.8 if n == 10_000 else 0.0
            rows.append(
                {"what": f"seen: {what}, {n:,} rows", "measured": share, "limit": least, "holds": share >= least}
            )
    for sigma in (1, 2, 3):
        off = _error_of_distance(sigma)
        rows.append(
            {"what": f"distance on a lognormal of sigma {sigma}, a million rows, relative error", "measured": off}
        )
        rows[-1] |= {"limit": 0.02, "holds": off <= 0.02}
    return rows


def _row(what: str, rate: float, reports: int) -> dict[str, Any]:
    """Judge a rate of false alarms; one that 5 % would give in one of a hundred simulations holds."""
    holds = stats.binom.sf(round(rate * reports) - 1, reports, LIMIT) > 0.01
    return {"what": what, "measured": rate, "limit": LIMIT, "holds": bool(holds)}


def _error_of_distance(sigma: float, n: int = 1_000_000) -> float:
    rng = np.random.default_rng(int(sigma))
    reference, window = rng.lognormal(sigma=sigma, size=n), rng.lognormal(0.2, sigma, size=n)
    profile = make_profile(pd.DataFrame({"x": reference}))
    found = measure_drift(profile, pd.DataFrame({"x": window}), ["wasserstein"])["value"].iloc[0]
    true = stats.wasserstein_distance(reference, window) / reference.std()
    return abs(float(found) / true - 1)
