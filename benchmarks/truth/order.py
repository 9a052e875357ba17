"""Rows that have an order, and rows that have none: how often each is called by the other's name."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.leakage import judge_order, measure_order
from nbkit.problem import Problem


def draw_exchangeable(seed: int, rows: int = 400, task: str = "binary") -> pd.DataFrame:
    """Draw rows that have no order."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    y = x + random.normal(size=rows)
    target = {"binary": (y > 0.5).astype(int), "multiclass": np.digitize(y, [-1, 1]), "regression": y}[task]
    return pd.DataFrame({"x": x, "c": random.choice(list("abc"), rows), "y": target})


def rising(random: Any, rows: int) -> Any:
    """Let the rate rise from 3 % to 47 %."""
    return (random.random(rows) < np.linspace(0.03, 0.47, rows)).astype(int)


def seasonal(random: Any, rows: int) -> Any:
    """Let the rate come and go, and be as high at the end as at the start."""
    return (random.random(rows) < 0.3 + 0.25 * np.sin(np.arange(rows) / 60)).astype(int)


def in_runs(random: Any, rows: int) -> Any:
    """Let five neighbours be alike."""
    return np.repeat(random.random(rows // 5) < 0.3, 5).astype(int)


def jumping(random: Any, rows: int) -> Any:
    """Let the rate jump near the end."""
    return np.where(np.arange(rows) < rows * 0.85, random.random(rows) < 0.2, random.random(rows) < 0.5).astype(int)


def rare_and_rising(random: Any, rows: int) -> Any:
    """Let a rare class become ten times as frequent in the second half."""
    return (random.random(rows) < np.where(np.arange(rows) < rows / 2, 0.002, 0.02)).astype(int)


ORDERS = (rising, seasonal, in_runs, jumping)


def is_respected(table: pd.DataFrame, by: str = "random", task: str = "binary", **options: Any) -> bool | None:
    """Return what is said of a split of a table."""
    tests = measure_order(table, Problem("y", task, group=options.pop("group", "")), by=by, **options)
    respected: bool | None = judge_order(tests, by)["respected"]
    return respected


def measure(options: Any = None, seeds: int = 200) -> list[dict[str, Any]]:
    """Measure false alarms at several sizes and the power to see four kinds of order."""
    rows = []
    for task in ("binary", "multiclass", "regression"):
        for size in (100, 400, 3_000):
            count = seeds if size < 3_000 else seeds // 4
            share = float(
                np.mean([not is_respected(draw_exchangeable(seed, size, task), task=task) for seed in range(count)])
            )
            limit = 0.02 + 2 * np.sqrt(0.02 * 0.98 / count)
            words = f"exchangeable rows called ordered, {task}, {size:,} rows, {count} tables"
            rows.append({"what": words, "measured": share, "limit": 0.02, "holds": share <= limit})
    for make in ORDERS:
        for size in (300, 1_000, 4_000):
            seen = []
            for seed in range(seeds // 4):
                random = np.random.default_rng(seed)
                table = pd.DataFrame({"x": random.normal(size=size), "y": make(random, size)})
                seen.append(is_respected(table) is False)
            share = float(np.mean(seen))
            words = f"an order is seen: {make.__name__.replace('_', ' ')}, {size:,} rows"
            least = 0.8 if size > 300 else 0.5
            rows.append({"what": words, "measured": share, "limit": least, "holds": share >= least})
    return rows
