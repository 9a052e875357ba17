"""Explanations: sampled attributions against exact Shapley values, and whether the error that is said is true."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import BaggingRegressor, HistGradientBoostingRegressor, StackingRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbkit.explanation import explain
from nbkit.problem import Problem

NAMES = ["a", "b", "c", "d"]
SEEDS = 5
MODELS = {
    "neighbors": lambda: make_pipeline(StandardScaler(), KNeighborsRegressor(20)),
    "a bag": lambda: BaggingRegressor(HistGradientBoostingRegressor(max_iter=20), 3, random_state=0),
    "a stack": lambda: StackingRegressor([("h", HistGradientBoostingRegressor(max_iter=20))], cv=2),
}


def draw(seed: int, n: int = 400) -> tuple[pd.DataFrame, Any]:
    """Draw four columns and a target in which they interact."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.normal(size=(n, 4)), columns=NAMES)
    return rows, rows["a"] * rows["b"] + np.abs(rows["c"]) + 0.3 * rows["d"] + 0.1 * rng.normal(size=n)


def exact(model: Any, rows: pd.DataFrame, explained: pd.DataFrame) -> pd.DataFrame:
    """Return the Shapley values by their definition, with all rows as background."""
    known = {
        subset: _expect(model, rows, explained, subset)
        for size in range(len(NAMES) + 1)
        for subset in itertools.combinations(NAMES, size)
    }
    values = {}
    for name in NAMES:
        total = np.zeros(len(explained))
        for subset in (each for each in known if name not in each):
            weight = (
                math.factorial(len(subset)) * math.factorial(len(NAMES) - len(subset) - 1) / math.factorial(len(NAMES))
            )
            more = tuple(sorted((*subset, name), key=NAMES.index))
            total += weight * (known[more] - known[subset])
        values[name] = total
    return pd.DataFrame(values, index=explained.index)


def _expect(model: Any, rows: pd.DataFrame, explained: pd.DataFrame, subset: tuple[str, ...]) -> Any:
    wide = pd.concat([rows] * len(explained), ignore_index=True)
    for name in subset:
        wide[name] = np.repeat(explained[name].to_numpy(), len(rows))
    return np.asarray(model.predict(wide)).reshape(len(explained), len(rows)).mean(axis=1)


def measure(options: Any = None, seeds: int = SEEDS) -> list[dict[str, Any]]:
    """Measure the true error of sampled attributions beside the one that is said."""
    rows = []
    for what, make in MODELS.items():
        ratios, shares = [], []
        for seed in range(seeds):
            table, y = draw(seed)
            model = make().fit(table, y)
            found = explain(model, table, Problem("y", "regression", seed=seed))
            some = found.values[NAMES].head(40)
            true = exact(model, table, table.loc[some.index])
            off = float(np.sqrt(((some - true) ** 2).mean(axis=0).max()))
            ratios.append(off / found.check.at[0, "sampling"])
            shares.append(off / found.check.at[0, "spread"])
        ratio = float(np.mean(ratios))
        rows.append(
            {
                "what": f"{what}: true error over the one said",
                "measured": ratio,
                "limit": 1.5,
                "holds": 0.5 < ratio < 1.5,
            }
        )
        rows.append(
            {"what": f"{what}: true error as a share of the spread", "measured": float(np.mean(shares)), "limit": 0.03}
        )
        rows[-1]["holds"] = rows[-1]["measured"] <= 0.03
    return rows
