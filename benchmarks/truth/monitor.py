"""The monitor: how often a window gets the wrong decision, and that it never says ok where it could not have seen."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from nbkit.model import Predictions, score
from nbkit.monitor import decide, measure_performance
from nbkit.monitor.performance import TOLERANCE
from nbkit.problem import Problem

SIZES, REPORTS, REFERENCE = (50, 200, 1_000, 5_000), 60, 20_000
PROBLEM = Problem("y", positive=1)
WORLDS = {"nothing changed": 1.0, "a loss of twice the tolerance": 0.55, "the relation broke": 0.2}


def draw(rng: np.random.Generator, n: int, slope: float = 1.0, size: int = 1) -> tuple[Any, Any, Any]:
    """Draw labels, probabilities that are right where the slope is 1, and blocks of rows that are alike."""
    block = np.arange(n) // size
    x = rng.normal(0, 1.2, n) + (rng.normal(0, 0.9, block[-1] + 1)[block] if size > 1 else rng.normal(0, 0.9, n))
    truth = rng.random(n) < 1 / (1 + np.exp(-slope * x))
    return pd.Series(truth.astype(int)), pd.Series(1 / (1 + np.exp(-x))), pd.Series(block)


def count_decisions(n: int, slope: float, reports: int, size: int = 1) -> Counter[str]:
    """Return how often each decision comes on windows of n labelled rows."""
    found: Counter[str] = Counter()
    for seed in range(reports):
        rng = np.random.default_rng([n, seed, int(slope * 100), size])
        y, p, blocks = draw(rng, REFERENCE, size=size)
        then = score(Predictions.align(y, p, PROBLEM, blocks=blocks if size > 1 else None), draws=100)
        y, p, blocks = draw(rng, n, slope, size)
        table = measure_performance(Predictions.align(y, p, PROBLEM, blocks=blocks if size > 1 else None), then)
        found[decide(None, None, table, metric="roc_auc").decision] += 1
    return found


def measure_loss(slope: float) -> float:
    """Return the true relative loss of ROC AUC."""
    rng = np.random.default_rng(0)
    before, now = (roc_auc_score(*draw(rng, 400_000, each)[:2]) for each in (1.0, slope))
    return float(1 - now / before)


def measure(options: Any = None, reports: int = REPORTS) -> list[dict[str, Any]]:
    """Measure wrong decisions at every size, for single rows and for blocks of 25."""
    rows = []
    for size in (1, 25):
        for what, slope in WORLDS.items():
            loss = measure_loss(slope)
            for n in SIZES:
                if n < 8 * size:
                    continue
                found = count_decisions(n, slope, reports, size)
                said = f"{what}, {n:,} rows{f' in blocks of {size}' if size > 1 else ''}"
                wrong = found["retrain"] if loss <= TOLERANCE else found["ok"]
                name = "retrain" if loss <= TOLERANCE else "ok"
                rows.append(_row(f"{said}: {name}", wrong / reports, 0.05, at_most=True))
                if loss <= TOLERANCE:
                    rows.append(_row(f"{said}: look", found["look"] / reports, 0.05, at_most=True))
                elif n == max(SIZES):
                    rows.append(
                        _row(f"{said}: retrain or look", 1 - (found["ok"] + found["inconclusive"]) / reports, 0.8)
                    )
    return rows


def _row(what: str, measured: float, limit: float, *, at_most: bool = False) -> dict[str, Any]:
    slack = 2.33 * np.sqrt(limit * (1 - limit) / REPORTS)  # what chance adds in a simulation of so many windows
    holds = measured <= limit + slack if at_most else measured >= limit - slack
    return {"what": what, "measured": measured, "limit": limit, "holds": bool(holds)}
