"""Slices: how often equal slices, or those of a perfect model, are called worse, and how often a wrong one is found."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from nbkit.evaluation import score_slices, worst_slices
from nbkit.model import Predictions
from nbkit.problem import Problem

RUNS = 200
COLUMNS = {"a": 20, "b": 10, "c": 8}  # 38 slices


def draw_report(kind: str, n: int, rng: Any, *, shift: float = -1.0, blocks: int = 0) -> tuple[Any, Any, Any, Any]:
    """Draw a table of 38 slices with truth, predictions and blocks, of one kind of model."""
    frame = pd.DataFrame({name: rng.integers(0, size, n).astype(str) for name, size in COLUMNS.items()})
    x = rng.standard_normal(n)
    place = np.arange(n) % max(blocks, 1)
    odds = 1.2 * x + shift
    if kind == "the columns drive the risk":
        odds = odds + 0.15 * (frame["a"].astype(int) - 10)
    p = expit(odds)
    y = rng.random(n) < expit(odds + (0.3 * rng.standard_normal(max(blocks, 1))[place] if blocks else 0))
    if kind == "overconfident everywhere":
        p = expit(2 * odds + 0.5)
    if kind == "wrong in one slice":
        p = np.where(frame["b"] == "3", expit(0.3 * x + shift + 0.7), p)
    return frame, y, p, pd.Series(place) if blocks else None


def draw_numbers(kind: str, n: int, rng: Any) -> tuple[Any, Any, Any, Any]:
    """Draw a table of 38 slices whose errors differ in size, and predictions that are right on average."""
    frame = pd.DataFrame({name: rng.integers(0, size, n).astype(str) for name, size in COLUMNS.items()})
    p = rng.gamma(2.0, 2.0, n) + frame["a"].astype(int)
    noise = (1 + frame["a"].astype(int)) * rng.standard_normal(n)
    y = p + noise + (8 * (frame["b"] == "3") if kind == "wrong in one slice" else 0)
    return frame, y, p, None


def count_worse(draw: Any, metric: str, runs: int, *, only: str = "") -> float:
    """Return the share of reports with a slice that is called worse (or with `only` this one of column b)."""
    found = 0
    for _ in range(runs):
        frame, y, p, groups = draw()
        problem = Problem("y", "regression" if metric == "mae" else "binary", positive=True, metric=metric)
        said = Predictions.align(y, p, problem, blocks=groups, rows=frame)
        slices = score_slices(said, list(COLUMNS), draws=0)
        worst = worst_slices(slices, k=38)
        found += bool(((worst["column"] == "b") & (worst["slice"] == only)).any() if only else len(worst))
    return found / runs


def measure(options: Any, runs: int = RUNS) -> list[dict[str, Any]]:
    """Measure false words and power."""
    rng, rows = np.random.default_rng(0), []
    slack = 2 * np.sqrt(0.05 * 0.95 / runs)

    def add(words: str, share: float) -> None:
        rows.append({"what": f"38 slices, {words}", "measured": share, "limit": 0.05, "holds": share <= 0.05 + slack})

    for kind in ("equal slices", "overconfident everywhere", "the columns drive the risk"):
        for n, shift, blocks in ((4000, -1.0, 0), (20_000, -4.0, 0), (20_000, -1.0, 20), (20_000, -1.0, 200)):
            how = {"shift": shift, "blocks": blocks}
            share = count_worse(lambda kind=kind, n=n, how=how: draw_report(kind, n, rng, **how), "roc_auc", runs)
            add(f"{kind}, {n:,} rows, log-odds {shift}, {blocks} blocks: one called worse", share)
    share = count_worse(lambda: draw_numbers("equal slices", 5000, rng), "mae", runs)
    add("numbers whose errors differ in size: one called worse", share)
    share = count_worse(lambda: draw_report("wrong in one slice", 10_000, rng), "roc_auc", runs // 4, only="3")
    rows.append({"what": "38 slices, one wrong: it is found", "measured": share, "limit": 0.9, "holds": share >= 0.9})
    return rows
