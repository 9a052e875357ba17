"""Tests of whether a target, what can be learned of it, and the features depend on the place of a row."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nbkit.columns import column_kind
from nbkit.leakage.keys import list_time_keys
from nbkit.leakage.learn import Sample, correct_ratio, encode_table, outcome_columns, share_between, small_boosting
from nbkit.problem import Problem

SHUFFLES = 999
LEVEL = 0.01  # how often an exchangeable table is called dependent, by the target's three tests together
MATERIAL = 0.1  # the least correlation ratio, or correlation of neighbours, that is called a dependence
RELATIVE = 0.2  # the least spread of a class's rate along the file, as a share of the rate
FEATURE = 0.2  # the least correlation ratio at which a feature is named
BLOCKS = 20
KEYS = 6  # columns along which an order is looked for
GAP_ROWS, GAP = 4_000, 0.05
SORTED = "sorted by the target"
COLUMNS = ["column", "test", "strength", "p_value", "depends", "evidence"]
Row = dict[str, Any]


def make_row(*values: Any) -> Row:
    """Return a row of `measure_order`."""
    return dict(zip(COLUMNS, values, strict=True))


def _cut_blocks(rows: int) -> tuple[np.ndarray, int]:
    """Cut rows into stretches of 25 at least; the number of each row's, and how many there are."""
    blocks = int(np.clip(rows // 25, 2, BLOCKS))
    return np.arange(rows) * blocks // rows, blocks


def measure_target(outcome: np.ndarray, place: np.ndarray, values: "pd.Series[Any]", problem: Problem) -> list[Row]:
    """Test the target along its rows: its trend, its drift, and its neighbours."""
    n, target = len(outcome), problem.target
    random = np.random.default_rng(problem.seed)
    y = (outcome - outcome.mean(axis=0)) / np.maximum(outcome.std(axis=0), 1e-12)
    codes, blocks = _cut_blocks(n)
    x = (place - place.mean()) / max(place.std(), 1e-12)
    seen = _measures(y, codes, blocks, x)
    chance = np.array([_measures(y[random.permutation(n)], codes, blocks, x) for _ in range(SHUFFLES)])
    p = np.minimum(1.0, 3 * (1 + (chance >= seen - 1e-12).sum(axis=0)) / (1 + SHUFFLES))
    rates = np.array([outcome[codes == block].mean(axis=0) for block in range(blocks)])
    noise = np.maximum(rates.var(axis=0) - outcome.var(axis=0) * blocks / n, 0) ** 0.5
    spread = 0.0 if problem.task == "regression" else float((noise / np.maximum(outcome.mean(axis=0), 1e-12)).max())
    strengths = [correct_ratio(seen[0], n, blocks), *np.sqrt(seen[1:]).tolist()]
    name, trend = "trend along the rows", _describe_trend(values, outcome, codes, problem)
    if len(values) == len(outcome) and is_sorted_by(values):
        name = SORTED
        trend = f"the file is sorted by {target} itself, so the order in which the rows came cannot be seen"
    tests = {
        name: trend,
        "drift": f"{target} drifts along the file (correlation with the place of a row {strengths[1]:.2f})",
        "neighbours": f"neighbouring rows have alike {target} (correlation {strengths[2]:.2f})",
    }
    enough = np.array(strengths) >= MATERIAL
    enough[0] |= spread >= RELATIVE
    depends = ((p <= LEVEL) & enough).tolist()
    return [make_row(target, *row) for row in zip(tests, strengths, p.tolist(), depends, tests.values(), strict=True)]


def _measures(y: np.ndarray, codes: np.ndarray, blocks: int, x: np.ndarray) -> np.ndarray:
    """Measure how standardized columns depend on their order: over blocks, with the place, from one row to the next."""
    sums = np.add.reduceat(y, np.flatnonzero(np.r_[True, np.diff(codes) > 0]), axis=0)
    sizes = np.bincount(codes, minlength=blocks)[:, None]
    over_blocks = float((sums**2 / sizes).sum()) / y.size
    drift = float(((x @ y / len(y)) ** 2).max())
    neighbours = float(max(0.0, (y[1:] * y[:-1]).mean())) ** 2
    return np.array([over_blocks, drift, neighbours])


def measure_keys(rows: pd.DataFrame, outcome: np.ndarray, problem: Problem) -> list[Row]:
    """Test the target along columns that tell when a row came, as a file may have been shuffled; the first that tells.

    Serial numbers, periods and the like: see `nbkit.leakage.keys`.
    """
    plain = np.arange(len(rows), dtype="float64")
    keys = dict(list(list_time_keys(rows.drop(columns=problem.target)).items())[:KEYS])
    for name, key in keys.items():
        order = key.to_numpy().argsort(kind="stable")
        values = rows[problem.target].iloc[order].reset_index(drop=True)
        if key.is_monotonic_increasing or is_sorted_by(values):
            continue
        found = [one for one in measure_target(outcome[order], plain, values, problem) if one["depends"]]
        if found and found[0]["p_value"] * len(keys) <= LEVEL:
            words = f"in the order of {name}, {found[0]['evidence'].replace('the file', 'the rows')}"
            return [{**found[0], "evidence": f"{words}; let the query end with ORDER BY {name}"}]
    return []


def _describe_trend(values: "pd.Series[Any]", outcome: np.ndarray, codes: np.ndarray, problem: Problem) -> str:
    task, target = problem.task, problem.target
    if task == "regression" and len(values) == len(outcome):
        outcome = values.to_numpy(dtype="float64")[:, None]
    edge = max(1, len(outcome) // 10)
    first, last = outcome[:edge].mean(axis=0), outcome[-edge:].mean(axis=0)
    stretches = np.array([outcome[codes == code].mean(axis=0) for code in np.unique(codes)])
    column = int(np.ptp(stretches, axis=0).argmax())
    low, high = stretches[:, column].min(), stretches[:, column].max()
    gone = abs(last[column] - first[column]) >= (high - low) / 2
    ends = (first[column], last[column]) if gone else (low, high)
    where = "between the first and the last tenth" if gone else f"over {len(stretches)} stretches"
    if task == "regression":
        return f"the mean of {target} goes from {ends[0]:.3g} to {ends[1]:.3g} {where} of the file"
    level = pd.factorize(values, sort=False)[1][column]
    return f"the share of {target} = {level} goes from {ends[0]:.1%} to {ends[1]:.1%} {where} of the file"


def measure_learning(rows: pd.DataFrame, problem: Problem) -> list[Row]:
    """Compare what a small model learns for rows drawn at random, and for stretches of rows of which it saw no part."""
    if len(rows) < 200:
        return []
    target, task, seed = problem.target, problem.task, problem.seed
    some = rows.iloc[:: max(1, len(rows) // GAP_ROWS)].reset_index(drop=True)
    n, features, outcome = len(some), some.drop(columns=target), outcome_columns(some[target], task)
    if not features.shape[1] or outcome.shape[1] > 20:
        return []
    inputs, model, stretches = encode_table(features), small_boosting(task, seed, n), np.arange(n) * 5 // n
    sample = Sample(features, some[target], task, seed, outcome, stretches)
    mixed = replace(sample, folds=np.random.default_rng(seed).permutation(stretches))
    errors = [((outcome - part.predict(model, inputs)) ** 2).sum(axis=1) for part in (sample, mixed)]
    scale = ((outcome - outcome.mean(axis=0)) ** 2).sum(axis=1).mean()
    worse = (errors[0] - errors[1]) / scale
    means = np.array([part.mean() for part in np.array_split(worse, BLOCKS)])
    gap, error = float(worse.mean()), float(means.std(ddof=1) / np.sqrt(BLOCKS))
    p = float(stats.t.sf(gap / error, BLOCKS - 1)) if error > 0 else float(gap <= 0)
    words = (
        f"a model explains {gap:.0%} less of {target} in stretches of the file that it has not seen than in rows drawn "
        "at random"
    )
    return [make_row(target, "order of learning", gap, p, gap >= GAP and p <= LEVEL / 2, words)]


def measure_features(rows: pd.DataFrame) -> list[Row]:
    """Name the features that move along the rows; they tell what a reader should look at, and decide nothing."""
    n = len(rows)
    codes, blocks = _cut_blocks(n)
    found: list[Row] = []
    for name, column in rows.items():
        if column_kind(column) != "text":
            moved = column.rank().fillna(0).to_numpy(dtype="float64")[:, None]
        else:
            moved = outcome_columns(column.astype("str").where(column.notna(), ""), "multiclass")
        if moved.shape[1] > 50:
            continue
        share, width = share_between(codes, moved), max(1, moved.shape[1] - 1)
        strength = correct_ratio(share, n, blocks)
        p = float(min(1.0, stats.chi2.sf((n - 1) * width * share, width * (blocks - 1)) * rows.shape[1]))
        if strength >= FEATURE and p <= LEVEL:
            words = f"{name} moves along the file (correlation ratio {strength:.2f})"
            found.append(make_row(name, "feature", strength, p, False, words))  # noqa: FBT003
    return sorted(found, key=lambda row: -row["strength"])[:10]


def is_sorted_by(values: "pd.Series[Any]") -> bool:
    """Return whether a table is sorted by a column: each class in one stretch, or numbers that only rise or only fall.

    Examples
    --------
    >>> is_sorted_by(pd.Series(["b", "b", "a"])), is_sorted_by(pd.Series([1.5, 2.5, 0.5]))
    (True, False)
    """
    if column_kind(values) == "number" and (values.nunique() > 10 or values.is_unique):
        return bool(values.is_monotonic_increasing or values.is_monotonic_decreasing)
    codes = pd.factorize(values)[0]
    return bool(np.count_nonzero(np.diff(codes)) == codes.max(initial=0))
