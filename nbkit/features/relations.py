"""How strongly each column alone predicts the target."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind, take_labelled, take_sample
from nbkit.leakage.learn import correct_ratio, outcome_columns, share_between
from nbkit.problem import Problem

BINS = 10
LEVELS = 30
PERMUTATIONS = 50


def rank_relations(table: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """Rank columns by how much of the target's variance each explains on its own.

    Numbers are cut into ten bins of equal size, text into its 30 commonest values; missing is a level of its own. The
    strength is the correlation ratio, corrected for chance: the root of epsilon squared (Kelley 1935), and for classes
    of its analogue by Goodman and Kruskal's tau (1954). So numbers and categories share one scale. At most 20,000
    rows are used.

    Parameters
    ----------
    table
        The rows, of train only.
    problem
        What is predicted.

    Returns
    -------
    DataFrame
        column, kind, strength (0 to 1), noise (95 % of shuffled targets stay below), n, levels; strongest first.
    """
    target, task, seed = problem.target, problem.task, problem.seed
    rows = take_sample(take_labelled(table, target, task), seed)
    outcome = outcome_columns(rows[target], task)
    random = np.random.default_rng(seed)
    shuffles = [random.permutation(len(rows)) for _ in range(PERMUTATIONS)]
    lines = []
    for name in rows.columns.drop(target):
        codes, levels = _bin(rows[name])
        noise = [_strength(codes, levels, outcome[order]) for order in shuffles]
        strength, bound = _strength(codes, levels, outcome), float(np.quantile(noise, 0.95))
        lines.append((name, column_kind(rows[name]), strength, bound, len(rows), levels))
    result = pd.DataFrame(lines, columns=["column", "kind", "strength", "noise", "n", "levels"])
    return result.sort_values("strength", ascending=False, kind="stable", ignore_index=True)


def measure_associations(table: pd.DataFrame, problem: Problem, columns: Sequence[str]) -> pd.DataFrame:
    """Measure how well each two columns tell each other, numbers and categories on the scale of `rank_relations`.

    Parameters
    ----------
    table
        The rows, of train only; at most 20,000 are used.
    problem
        For its seed.
    columns
        Which.

    Returns
    -------
    DataFrame
        column, with, association (0 to 1, the stronger direction of both); columns that are alike stand side by side.
    """
    rows = take_sample(table[list(columns)], problem.seed)
    coded = {name: _bin(rows[name]) for name in columns}
    outcomes = {}
    for name, (codes, levels) in coded.items():
        ranked = column_kind(rows[name]) in ("number", "datetime") and levels > 2
        values = rows[name].rank(method="average", na_option="top") if ranked else pd.Series(codes)
        outcomes[name] = outcome_columns(values, "regression" if ranked else "multiclass")
    found = np.array([[_strength(*coded[one], outcomes[other]) for other in columns] for one in columns])
    alike = pd.DataFrame(np.maximum(found, found.T), index=list(columns), columns=list(columns))
    order = line_up(alike)
    lines = [(one, other, float(alike[one][other])) for other in order for one in order]
    return pd.DataFrame(lines, columns=["column", "with", "association"])


def line_up(alike: pd.DataFrame) -> list[str]:
    """Return names in an order in which each is followed by the one that is most like it of those left.

    Examples
    --------
    >>> line_up(pd.DataFrame([[1, 0, 0.9], [0, 1, 0], [0.9, 0, 1]], index=list("abc"), columns=list("abc")))
    ['a', 'c', 'b']
    """
    left, order = list(map(str, alike)), list[str]()
    while left:
        order.append(left.pop(int(alike[order[-1]][left].fillna(0.0).to_numpy().argmax()) if order else 0))
    return order


def _bin(column: "pd.Series[Any]") -> tuple[np.ndarray, int]:
    """Give each row the number of its bin; missing is bin 0."""
    kind = column_kind(column)
    if kind in ("number", "datetime") and column.nunique() > LEVELS:
        numbers = column.astype("float64") if kind == "number" else column.astype("int64").astype("float64")
        bins = pd.qcut(numbers.where(column.notna()).rank(method="average"), BINS, labels=False, duplicates="drop")
        codes = bins.fillna(-1).to_numpy().astype(int)
    else:
        texts = column.astype("str").where(column.notna())
        counts = texts.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
        codes = pd.Index(counts.index[:LEVELS]).get_indexer(pd.Index(texts))
        codes = np.where((codes < 0) & texts.notna().to_numpy(), LEVELS, codes)
    _, codes = np.unique(codes, return_inverse=True)
    return codes, int(codes.max(initial=-1)) + 1


def _strength(codes: np.ndarray, levels: int, outcome: np.ndarray) -> float:
    if levels < 2 or len(codes) <= levels:
        return 0.0
    return correct_ratio(share_between(codes, outcome), len(codes), levels)
