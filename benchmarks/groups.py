"""The tables of groups and of their gaps on 80,000 rows of 60 days, with intervals, in 0.1 s of the processor."""

import time

import numpy as np
import pandas as pd

from benchmarks.harness import Options, Row
from nbkit.evaluation import compare_groups, compare_protected, judge_groups
from nbkit.model import Predictions
from nbkit.problem import Problem

ROWS, DAYS, GROUPS = 80_000, 60, 16
LIMIT = 0.1  # seconds


def draw_rows() -> Predictions:
    """Draw rows of sixteen groups with days that are alike."""
    rng = np.random.default_rng(0)
    day, group = np.arange(ROWS) * DAYS // ROWS, rng.integers(0, GROUPS, ROWS)
    p = 1 / (1 + np.exp(1.2 - rng.normal(size=ROWS) - rng.normal(0, 0.3, DAYS)[day] - 0.05 * group))
    rows = pd.DataFrame({"carrier": np.array([f"carrier {code}" for code in range(GROUPS)])[group]})
    return Predictions.align(rng.random(ROWS) < p, p, Problem("late", positive=True), rows=rows, blocks=day)


def measure(options: Options) -> list[Row]:
    """Take the processor time of both tables and the verdicts; the first round warms up."""
    told, taken = draw_rows(), []
    for _ in range(options.rounds + 1):
        start = time.process_time()
        groups = compare_protected(told, ["carrier"])
        judge_groups(compare_groups(groups, told))
        taken.append(time.process_time() - start)
    return [Row("groups", f"{ROWS:,} rows, {GROUPS} groups, {DAYS} days", tuple(taken[1:]), at_most=LIMIT)]
