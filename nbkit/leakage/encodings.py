"""Numbers that are made of the target of several rows: its mean, sum or log-odds for the levels of a column."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nbkit.columns import column_kind
from nbkit.leakage.learn import outcome_columns
from nbkit.problem import Problem

ROWS = 1_500  # in which the spread within levels is looked at first
CELLS, PAIRS = 50, 6  # levels of columns that are taken together, and how many pairs
NOISE = 0.3  # the spread within levels, as a share of that between them, up to which a column belongs to levels
WEIGHTS = (0, 1, 2, 3, 5, 10, 20, 50, 100)  # rows of the whole that a mean may be drawn by
NEARNESS = 0.02  # of the variance that chance gives an honest value of a level
FEWEST, LEAST, CHANCE = 4, 20, 1e-4  # values, rows of each, and how seldom an honest column comes so near to a line


def may_name(column: "pd.Series[Any]") -> bool:
    """Return whether a column may name what rows belong to: text, or whole numbers."""
    kind = column_kind(column)
    return kind == "text" or (kind == "number" and bool(column.notna().all() and (column == column.round()).all()))


def list_levels(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """List columns, and pairs of those of few levels, whose levels a target may have been averaged for, as codes."""
    counts = {name: table[name].nunique() for name in table.columns if may_name(table[name])}
    found: dict[str, np.ndarray] = {
        str(name): pd.factorize(table[name], use_na_sentinel=False)[0]
        for name, count in counts.items()
        if 8 <= count < len(table) * 0.9
    }
    few = [name for name, count in counts.items() if 2 <= count <= CELLS and column_kind(table[name]) == "text"]
    few.sort(key=lambda name: -counts[name])
    for one, other in list(combinations(few, 2))[:PAIRS]:
        codes = np.asarray(table.groupby([one, other], dropna=False, sort=False).ngroup())
        if 8 <= codes.max() + 1 < len(table) * 0.9:
            found[f"{one} and {other}"] = codes
    return found


def find_made_of(
    column: "pd.Series[Any]",
    values: "pd.Series[Any]",
    levels: dict[str, np.ndarray],
    truth: np.ndarray,
    problem: Problem,
) -> str:
    """Describe how a number is made of the target of several rows (`levels`: of `list_levels`); empty if it is not."""
    if column_kind(column) != "number":
        return ""
    words = ""
    if column.notna().all():
        words = _find_encoding(column, levels, truth, problem.target) or _is_too_exact(column, truth)
    if not words and _is_target_mean(column, values, problem.task):
        words = f"each of its values is the mean of {problem.target} over the rows that have it"
    return words


def _find_encoding(column: "pd.Series[Any]", levels: dict[str, np.ndarray], truth: np.ndarray, target: str) -> str:
    """Say for which levels a column holds what is made of the mean of the target, but for a little noise."""
    values = column.to_numpy(dtype="float64")
    if column.nunique() < 5:
        return ""
    for other, codes in levels.items():
        few = pd.Series(values[:ROWS]).groupby(codes[:ROWS]).transform("std").mean()
        if other == column.name or few > NOISE * values[:ROWS].std():  # most columns differ within a level
            continue
        size = np.bincount(codes)
        held = np.bincount(codes, weights=values) / size
        within = values - held[codes]
        if np.ptp(held) == 0 or within.std() > NOISE * held[codes].std():
            continue
        for outcome in truth.T:
            if words := _match_encoding(held, size, np.bincount(codes, weights=outcome), outcome, codes):
                return f"it is {words} of {target} for each {other}"
    return ""


def _match_encoding(
    held: np.ndarray, size: np.ndarray, sums: np.ndarray, outcome: np.ndarray, codes: np.ndarray
) -> str:
    """Name what the value of each level is made of: it is nearer to that than chance lets any honest value be."""
    means, whole = sums / size, float(outcome.mean())
    within = ((outcome - means[codes]) ** 2).sum() / max(len(outcome) - len(size), 1)
    for weight in WEIGHTS:
        drawn = (sums + weight * whole) / (size + weight)
        chance = float((within * size / (size + weight) ** 2).mean())  # by which an honest value of a level differs
        if _is_too_near(held, drawn, chance):
            return "the mean" + (f", drawn to that of all by {weight} rows," if weight else "")
    if _is_too_near(held, sums, float((within * size).mean())):
        return "the sum"
    if set(np.unique(outcome)) <= {0.0, 1.0}:
        odds = np.log((sums + 0.5) / (size - sums + 0.5))
        shares = (sums + 0.5) / (size + 1)
        if _is_too_near(held, odds, float((1 / (size * shares * (1 - shares))).mean())):
            return "the log-odds"
    return ""


def _is_too_near(held: np.ndarray, made: np.ndarray, chance: float) -> bool:
    if np.ptp(made) == 0:
        return False
    return (1 - float(np.corrcoef(made, held)[0, 1]) ** 2) * float(made.var()) < NEARNESS * chance


def _is_too_exact(column: "pd.Series[Any]", outcome: np.ndarray) -> str:
    """Return whether the mean of a target lies on a line of a column's few values, nearer than chance lets any."""
    if not FEWEST <= column.nunique() <= len(column) / 20:
        return ""
    codes, levels = pd.factorize(column.to_numpy(dtype="float64"), sort=True)
    size = np.bincount(codes)
    kept = size >= LEAST
    if kept.sum() < FEWEST or np.ptp(outcome) == 0:
        return ""
    for truth in outcome.T:
        every = np.bincount(codes, weights=truth) / size
        means, inside = every[kept], float(((truth - every[codes]) ** 2).mean())
        spread = means * (1 - means) if set(np.unique(truth)) <= {0.0, 1.0} else np.full(kept.sum(), inside)
        fit = np.polynomial.Polynomial.fit(levels[kept], means, 1, w=np.sqrt(size[kept]))
        far = float((size[kept] * (means - fit(levels[kept])) ** 2 / np.maximum(spread, 1e-3)).sum())
        if np.ptp(means) > 0.1 * truth.std() and stats.chi2.cdf(far, kept.sum() - 2) < CHANCE:
            return "the mean of the target is a straight line of it, nearer than chance lets any honest column come"
    return ""


def _is_target_mean(column: "pd.Series[Any]", values: "pd.Series[Any]", task: str) -> bool:
    """Return whether a column of few values holds, for each of them, the mean of the target where it stands."""
    if not 2 <= column.nunique() <= len(column) / 2:
        return False
    truths = outcome_columns(values, task) if task != "regression" else values.to_numpy(dtype="float64")[:, None]
    if not column.between(truths.min(), truths.max()).mean() >= 0.9:
        return False
    unit = next((0.51 * 10.0**-digits for digits in range(7) if (column.round(digits) == column).all()), 1e-12)
    for truth in truths.T:
        parts = pd.Series(truth).groupby(column.to_numpy(dtype="float64", na_value=np.nan)).agg(["mean", "size"])
        by_chance = float(np.sqrt(truth.var() / parts["size"].mean()))  # by which an honest mean differs
        near = 5.1e-4 if task != "regression" else min(unit, NEARNESS * by_chance)
        alike = np.isclose(parts["mean"], parts.index.to_numpy(dtype="float64"), rtol=1e-6, atol=near)
        trivial = np.isin(parts.index, (0.0, 1.0)).all()
        if not trivial and parts.loc[alike, "size"].sum() >= 0.9 * len(column):
            return True
    return False
