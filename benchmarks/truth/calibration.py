"""The calibration error: how often its interval holds the truth, and how often a perfect model passes or fails."""

from typing import Any

import numpy as np
from scipy.special import expit, logit

from nbkit.evaluation import judge, read_criteria
from nbkit.model import Predictions, score
from nbkit.model.ece import bin_scores
from nbkit.problem import Problem

RUNS = 500
KINDS = {
    "right": lambda p: p,
    "too extreme": lambda p: expit(0.5 * logit(p)),
    "a little too extreme": lambda p: expit(0.8 * logit(p)),
    "too low": lambda p: expit(logit(p) + 0.5),
    "much too low": lambda p: expit(logit(p) + 1.0),
    "off at the top": lambda p: np.where(p > np.quantile(p, 0.9), np.minimum(p + 0.2, 1), p),
}


def draw(kind: str, n: int, rng: Any, *, rare: bool = False) -> tuple[Any, Any, float]:
    """Draw truth and probabilities, and return the true error over the bins as well."""
    p = rng.beta(1, 30, n) if rare else rng.beta(2, 5, n)
    chance = KINDS[kind](p)
    place = bin_scores(p)
    return rng.random(n) < chance, p, float(np.abs(np.bincount(place, weights=chance - p)).sum() / n)


def count_coverage(kind: str, n: int, runs: int, *, rare: bool = False, seed: int = 0) -> float:
    """Return how often the interval holds the true error."""
    rng, held = np.random.default_rng(seed), 0
    for run in range(runs):
        y, p, error = draw(kind, n, rng, rare=rare)
        row = score(Predictions.align(y, p, Problem("y", positive=True, seed=run)), "ece").loc["ece"]
        held += row["low"] <= error + 1e-9 and error <= row["high"] + 1e-9
    return held / runs


def measure(options: Any, runs: int = RUNS) -> list[dict[str, Any]]:
    """Measure coverage and verdicts."""
    rows: list[dict[str, Any]] = []
    slack = 2 * np.sqrt(0.05 * 0.95 / runs)  # what chance takes in a simulation of so many runs
    for n, rare in ((100, False), (1000, False), (1000, True), (10_000, False)):
        for kind in KINDS:
            share = count_coverage(kind, n, runs, rare=rare)
            words = f"interval of the ece holds it, probabilities {kind}, {n:,} rows{', 3 % positives' if rare else ''}"
            rows.append({"what": words, "measured": share, "limit": 0.93, "holds": share >= 0.93 - slack})
    rng, criteria = np.random.default_rng(0), read_criteria({"ece": "<= 0.05"}, "binary")
    for n in (100, 1000, 5000):
        drawn = (draw("right", n, rng)[:2] for _ in range(runs // 2))
        scores = (score(Predictions.align(*each, Problem("y", positive=True)), "ece") for each in drawn)
        failed = float(np.mean([judge(criteria, each).at[0, "verdict"] == "fail" for each in scores]))
        words = f"a perfect model of {n:,} rows fails ece <= 0.05"
        rows.append({"what": words, "measured": failed, "limit": 0.05, "holds": failed <= 0.05})
    return rows
