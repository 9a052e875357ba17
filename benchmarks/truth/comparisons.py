"""The best of many equal points: how often another is called worse."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from nbkit.model import Predictions, compare_with_best
from nbkit.problem import Problem

RUNS = 200
POINTS = (5, 10, 20)


def draw_points(count: int, n: int, rng: Any) -> tuple[Any, dict[str, Any]]:
    """Draw truth and predictions of equally good points that share most of what they know."""
    truth = rng.random(n) < 0.3
    shared = truth + rng.standard_normal(n)
    return truth, {f"p{number}": expit(shared + 0.5 * rng.standard_normal(n) - 1) for number in range(count)}


def count_false(count: int, n: int, runs: int, *, blocks: int = 0, metric: str = "roc_auc", seed: int = 0) -> float:
    """Return the share of sweeps of equal points in which one or more is called worse than the best."""
    rng, false = np.random.default_rng(seed), 0
    groups = pd.Series(np.arange(n) % blocks) if blocks else None
    for run in range(runs):
        truth, said = draw_points(count, n, rng)
        problem = Problem("y", positive=True, seed=run)
        models = {name: Predictions.align(truth, p, problem, blocks=groups) for name, p in said.items()}
        table = compare_with_best(models, metric).table
        false += bool((table["verdict"] == "worse").any())
    return false / runs


def measure(options: Any) -> list[dict[str, Any]]:
    """Measure false words of equal points, and the power to see one that is worse."""
    rows = []
    for count in POINTS:
        for n, blocks, metric in ((300, 0, "roc_auc"), (1000, 20, "roc_auc"), (300, 0, "brier")):
            share = count_false(count, n, RUNS, blocks=blocks, metric=metric)
            words = (
                f"{count} equal points, {metric}, {n} rows{f' in {blocks} blocks' if blocks else ''}: one called worse"
            )
            rows.append(
                {
                    "what": words,
                    "measured": share,
                    "limit": 0.05,
                    "holds": share <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / RUNS),
                }
            )
    return rows
