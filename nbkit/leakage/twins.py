"""Rows that are hardly different: one case twice, or several rows of one person that nothing names."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.leakage.learn import numbers_of, outcome_columns
from nbkit.leakage.places import Row, make_row
from nbkit.problem import Problem

TWINS = "twins"
ROWS = 3_000  # of more, so many neighbouring distances are measured
SHARE = 0.1  # the share of rows with a twin that is called a dependence
NEAR = 0.1  # a twin is so near, as a share of the distance to the tenth nearest row
SURE = 5  # standard errors by which rows of one unit must agree more than others; many columns are looked at
AGREE = 0.25  # how far beyond chance twins must agree in the target


def find_twins(rows: pd.DataFrame, problem: Problem) -> list[Row]:
    """Test whether rows have a twin that agrees in the target, or whether a column names what rows belong to.

    Two rows are twins if at least half of the columns of many values are equal in both (and three at the least), or if
    they are nearer to each other than a tenth of the distance to the tenth nearest row. Twins within one value of the
    problem's group do not count, as its rows are split together.

    Returns
    -------
    list
        At most one row of `measure_order`: the share of rows with a twin, or how much more rows of one unit agree.
    """
    target, group = problem.target, problem.group
    outcome = outcome_columns(rows[target], problem.task)
    share, agreement, words = _measure_twins(rows, problem, outcome)
    if (share < SHARE or agreement < AGREE) and not group:
        unit, more = _find_units(rows, target, outcome)
        if unit:
            words = f"rows of the same {unit} agree in {target} ({more:.0%} more than others)"
            return [make_row(unit, TWINS, more, np.nan, True, words)]  # noqa: FBT003
    return [make_row(target, TWINS, share, np.nan, agreement >= AGREE, words)] if share >= SHARE else []


def _measure_twins(table: pd.DataFrame, problem: Problem, outcome: np.ndarray) -> tuple[float, float, str]:
    """Return the share of rows with a twin, how far twins agree beyond chance (1: always), and a sentence."""
    target, group = problem.target, problem.group
    whole = ~table.astype({name: "str" for name in table if table[name].dtype.kind == "O"}).duplicated().to_numpy()
    table, outcome = table[whole].reset_index(drop=True), outcome[whole]  # equal rows stay together in every split
    features = table.drop(columns=[name for name in (target, group) if name in table])
    units = table[group].astype("str").to_numpy() if group else np.arange(len(table))
    by_chance = 2 * float(outcome.var(axis=0).sum())
    best = (0.0, 0.0, "")
    for how, looked, (one, other) in (
        ("equal in most columns of many values", len(table), _pair_equal(features)),
        ("all but equal", min(len(table), ROWS), _pair_near(features, problem.seed)),
    ):
        apart = units[one] != units[other]
        one, other = one[apart], other[apart]
        share = len(np.unique(one)) / looked
        if len(one) < 20 or share <= best[0]:
            continue
        gap = float(((outcome[one] - outcome[other]) ** 2).sum(axis=1).mean())
        agreement = 1 - gap / by_chance if by_chance else 0.0
        agree = f"twins agree in {target} ({agreement:.0%} beyond chance)"
        found = (share, agreement, f"{share:.0%} of the rows have a twin, {how}, and {agree}")
        best = max(best, found, key=lambda one: one[0] if one[1] >= AGREE else 0)
    return best


def _pair_equal(features: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pair each row with the next that has the same value of some column, where most others are the same too."""
    n = len(features)
    codes = {name: pd.factorize(features[name], use_na_sentinel=False)[0] for name in features}
    many = [made for made in codes.values() if made.max(initial=0) >= 20]
    if len(many) < 3:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    matrix = np.column_stack(many)
    first, second = [np.zeros(0, dtype=int)], [np.zeros(0, dtype=int)]
    for column in range(matrix.shape[1]):
        order = np.argsort(matrix[:, column], kind="stable")
        for step in (1, 2):
            one, other = order[:-step], order[step:]
            same = (matrix[one] == matrix[other]).sum(axis=1)
            equal = matrix[one, column] == matrix[other, column]
            twins = equal & (same >= max(3, len(many) / 2))
            if twins.sum() < equal.sum() / 2:  # coarse numbers meet by chance, members of a family mostly as such
                continue
            first += [one[twins], other[twins]]
            second += [other[twins], one[twins]]
    one, other = np.concatenate(first), np.concatenate(second)
    keep = np.unique(one * n + other)
    return keep // n, keep % n


def _pair_near(features: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pair each row with its nearest, in ranks of the numbers, where that is far nearer than the tenth nearest."""
    from sklearn.neighbors import NearestNeighbors

    ranks = []
    for name in features:
        made = numbers_of(features[name])
        if made is not None and len(np.unique(made)) > len(made) / 20:
            ranks.append(pd.Series(made).rank(pct=True).fillna(0).to_numpy())
    if len(ranks) < 3 or len(features) < 60:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    matrix = np.column_stack(ranks[:20])
    asked = np.sort(np.random.default_rng(seed).permutation(len(matrix))[:ROWS])
    distances, places = NearestNeighbors(n_neighbors=11).fit(matrix).kneighbors(matrix[asked])
    itself = places == asked[:, None]
    itself[~itself.any(axis=1), 0] = True
    nearest = np.where(itself, np.inf, distances).argmin(axis=1)
    rows = np.arange(len(asked))
    twins = distances[rows, nearest] < NEAR * distances[:, -1]
    return asked[twins], places[rows, nearest][twins]


def _find_units(table: pd.DataFrame, target: str, outcome: np.ndarray) -> tuple[str, float]:
    """Find the column of names or numbers whose rows agree most, as rows of one machine or household do.

    It has a level for every ten rows at least, and rows of neighbouring levels agree less: what a target follows
    smoothly is an ordinary feature. An empty name if there is none.
    """
    best = ("", AGREE)
    for name in table.columns.drop(target):
        kind, levels = column_kind(table[name]), table[name].nunique()
        if kind == "datetime" or not len(table) / 10 <= levels <= len(table) * 0.8 or not _is_whole(table[name], kind):
            continue
        codes = pd.factorize(table[name], sort=kind != "text")[0]
        known = codes >= 0
        order = np.lexsort((np.random.default_rng(0).random(known.sum()), codes[known]))
        codes, truth = codes[known][order], outcome[known][order]
        gaps = ((truth[1:] - truth[:-1]) ** 2).sum(axis=1) / (2 * outcome.var(axis=0).sum() or 1)
        same = codes[1:] == codes[:-1]
        if same.sum() < max(20, SHARE * len(table)) or (~same).sum() < 20:
            continue
        agreement = float(gaps[~same].mean() - gaps[same].mean())
        error = np.sqrt(gaps[~same].var() / (~same).sum() + gaps[same].var() / same.sum())
        agreement = agreement if agreement >= SURE * error else 0.0
        best = max(best, (str(name), agreement), key=lambda one: one[1])
    return best if best[0] else ("", 0.0)


def _is_whole(column: "pd.Series[Any]", kind: str) -> bool:
    return kind == "text" or bool((column.dropna() == column.dropna().round()).all())
