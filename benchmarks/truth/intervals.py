"""Intervals of the metrics: how often they hold the truth, from five cases and ten blocks on."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from nbkit.model import Predictions, known_metrics, score
from nbkit.problem import Problem

RUNS = 200
CASES = (
    (50, 0.1, 0),
    (50, 0.5, 0),
    (500, 0.01, 0),
    (500, 0.2, 0),
    (3000, 0.01, 0),
    (600, 0.2, 10),
    (600, 0.2, 30),
    (3000, 0.01, 30),
)
THRESHOLD = {0.01: 0.05, 0.1: 0.2, 0.2: 0.3, 0.5: 0.5}


def draw_binary(n: int, prevalence: float, blocks: int, rng: Any) -> tuple[Any, Any, Any]:
    """Draw truth, probabilities that are right on average, and the blocks of rows that share a shift."""
    x = rng.standard_normal(n)
    shift = np.log(prevalence / (1 - prevalence)) - 0.9
    p = expit(1.5 * x + shift)
    if not blocks:
        return rng.random(n) < p, p, None
    place = np.arange(n) % blocks
    return rng.random(n) < expit(1.5 * x + shift + 0.5 * rng.standard_normal(blocks)[place]), p, pd.Series(place)


def draw_numbers(n: int, blocks: int, rng: Any) -> tuple[Any, Any, Any]:
    """Draw truth and predictions with skewed errors, and the blocks of rows that share a shift."""
    p = 30 + 3 * rng.standard_normal(n)
    off = rng.gamma(2.0, 1.0, n) - 2 + rng.standard_normal(n)
    place = np.arange(n) % max(blocks, 1)
    y = p + off + (rng.standard_normal(max(blocks, 1))[place] if blocks else 0)
    return y, p, pd.Series(place) if blocks else None


def align(y: Any, p: Any, how: dict[str, Any], groups: Any = None, seed: int = 0) -> Predictions:
    """Lay truth and predictions side by side, decided at the threshold of `how`."""
    facts = {name: value for name, value in how.items() if name != "threshold"}
    threshold = how.get("threshold", 0.5)
    return Predictions.align(y, p, Problem("y", seed=seed, **facts), threshold=threshold, blocks=groups)


def find_truth(draw: Any, names: list[str], how: dict[str, Any], size: int) -> dict[str, float]:
    """Measure the metrics on very many rows."""
    y, p, _ = draw(size, size // 100)
    return score(align(y, p, how), names, draws=0)["value"].to_dict()


def count_coverage(
    draw: Any, names: list[str], how: dict[str, Any], n: int, blocks: int, runs: int, size: int = 400_000
) -> pd.DataFrame:
    """Return how often the interval of each metric holds its true value, and how often there is one."""
    far = find_truth((lambda size, many: draw(size, many if blocks else 0)), names, how, size)
    held: dict[str, list[float]] = {name: [] for name in names}
    for run in range(runs):
        y, p, groups = draw(n, blocks)
        scores = score(align(y, p, how, groups, run), names, draws=200)
        for name in names:
            low, high = scores.loc[name, ["low", "high"]]
            held[name].append(np.nan if np.isnan(low) else float(low <= far[name] <= high))
    return pd.DataFrame(
        {name: {"held": np.nanmean(values), "given": np.isfinite(values).mean()} for name, values in held.items()}
    ).T


def list_cases(rng: Any) -> list[tuple[str, Any, list[str], dict[str, Any], int, int]]:
    """List what is drawn and scored: words, draw, metrics, options, rows, blocks."""
    cases: list[Any] = []
    names = [name for name in known_metrics("binary") if name != "ece"]  # in `calibration`
    for n, share, blocks in CASES:
        how = {"task": "binary", "positive": True, "threshold": THRESHOLD[share]}
        words = f"{n:,} rows, {share:.0%} positives{f', {blocks} blocks' if blocks else ''}"
        cases.append(
            (words, (lambda size, many, share=share: draw_binary(size, share, many, rng)), names, how, n, blocks)
        )
    for n, blocks in ((50, 0), (400, 10), (400, 30)):
        words = f"{n:,} numbers{f', {blocks} blocks' if blocks else ''}"
        cases.append(
            (
                words,
                (lambda size, many: draw_numbers(size, many, rng)),
                known_metrics("regression"),
                {"task": "regression"},
                n,
                blocks,
            )
        )
    return cases


def measure(options: Any, runs: int = RUNS) -> list[dict[str, Any]]:
    """Measure the coverage of every metric."""
    rows = []
    slack = 2 * np.sqrt(0.05 * 0.95 / runs)  # what chance takes in a simulation of so many runs
    for words, draw, names, how, n, blocks in list_cases(np.random.default_rng(0)):
        found = count_coverage(draw, names, how, n, blocks, runs)
        for name, row in found.iterrows():
            what = f"95 % interval of {name} holds the truth, {words} (given in {row['given']:.0%})"
            rows.append(
                {"what": what, "measured": row["held"], "limit": 0.93, "holds": bool(row["held"] >= 0.93 - slack)}
            )
    return rows
