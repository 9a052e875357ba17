"""One column that holds the target in other words: in part of the rows, in some of its levels, in its last digits."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.leakage.learn import (
    UNUSUAL,
    cell_means,
    judge_strength,
    numbers_of,
    outcome_columns,
    score_column,
    share_explained,
)
from nbkit.leakage.purity import Code, find_equal_part, find_pure_value

KNOWN, SHARE = 40, 0.05  # the least rows, and share of them, on which a part of a column is judged
PURE, USUAL = 0.99, 0.8  # a class is told where it has so much of the rows, and has at most so much of all
LEVEL_ROWS, FEW = 20, 50
ONE_CLASS = 0.9  # the share of one of several classes, and
BOTH = 0.3  # of each of two, that stands in levels of its own
DIVISORS = (2, 3, 4, 5, 7, 9, 10, 11, 13)


def find_code(
    column: "pd.Series[Any]",
    values: "pd.Series[Any]",
    outcome: np.ndarray,
    folds: np.ndarray,
    task: str,
    seed: int,
    alone: float = 0.0,
) -> Code | None:
    """Find out whether a column that does not tell the target alone holds it all the same.

    Parameters
    ----------
    column, values
        The column, and the target.
    outcome, folds
        From `nbkit.leakage.learn.outcome_columns` and `make_folds`.
    task
        ``binary``, ``multiclass`` or ``regression``.
    seed
        Of the trees.
    alone
        The score of the column as it is; its last digits have to tell more.

    Returns
    -------
    tuple or None
        Reason, score and evidence, if it is too good to be true.
    """
    found = find_equal_part(column, values) if task == "regression" else find_pure_value(column, values, outcome)
    found = found or _judge_known(column, values, outcome, folds, task, seed)
    if found is None and 2 <= column.nunique() <= min(FEW, len(column) // 10):
        found = judge_ranges(column, values, seed) if task == "regression" else _judge_levels(column, values, task)
    if found is None and task == "regression" and column_kind(column) != "text":
        found = _judge_ranks(column, values, folds, seed)
    return found or _judge_digits(column, outcome, folds, alone) or _judge_as_levels(column, outcome, folds, task, seed)


def _judge_known(
    column: "pd.Series[Any]", values: "pd.Series[Any]", outcome: np.ndarray, folds: np.ndarray, task: str, seed: int
) -> Code | None:
    known = column.notna().to_numpy()
    if known.all() or known.sum() < max(KNOWN, SHARE * len(column)):
        return None
    if task != "regression":
        share = outcome[known].mean(axis=0)
        top = int(share.argmax())
        usual = float(outcome[:, top].mean())
        if share[top] >= PURE and usual <= USUAL:
            level = pd.factorize(values, sort=False)[1][top]
            words = f"in {share[top]:.1%} of the rows where it is known the target is {level}, of all {usual:.1%}"
            return "is known almost only when the target has one value", float(share[top]), words
    part = column[known].reset_index(drop=True)
    truth = outcome[known] - outcome[known].mean(axis=0) if task == "regression" else outcome[known]
    score = score_column(part, truth, folds[known], task, seed)
    reason, suspect = judge_strength(score, task)
    words = f"where it is known ({known.mean():.0%} of the rows) it explains {score**2:.1%} of the target's variance"
    return (f"{reason} where it is known", score, words) if suspect else None


def _judge_levels(column: "pd.Series[Any]", values: "pd.Series[Any]", task: str) -> Code | None:
    """Judge the share of each class that stands in levels with hardly any other class."""
    table = pd.crosstab(column.astype("str"), values.astype("str"))
    large = table[table.sum(axis=1) >= LEVEL_ROWS]
    pure = large.where(large.div(large.sum(axis=1), axis=0) >= PURE, 0)
    told = pure.sum() / table.sum()
    told = told[table.sum() <= USUAL * len(values)] if task == "multiclass" else told
    both = bool((told >= BOTH).sum() >= 2)
    if not both and not (task == "multiclass" and told.max() >= ONE_CLASS):
        return None
    if column_kind(column) == "number" and _rises(column, large, pure):
        return None  # an honest number is sure of itself at both ends
    share = float(pure.to_numpy().sum() / len(values))
    names = ", ".join(f"{level} in {part:.0%}" for level, part in told[told > 0].items())
    return "decides the target in part of the rows", share, f"some of its levels stand for one class only: {names}"


def _rises(column: "pd.Series[Any]", large: pd.DataFrame, pure: pd.DataFrame) -> bool:
    """Tell whether most rows of unsure levels of a number lie between those that are sure of the one and the other."""
    numbers = column.groupby(column.astype("str")).first().reindex(large.index).to_numpy(dtype="float64")
    sure = [float(np.average(numbers, weights=rows)) for rows in pure.to_numpy().T if rows.sum()]
    rows = large.sum(axis=1).to_numpy()
    unsure = np.where(large.max(axis=1) < 0.9 * rows, rows, 0)
    between = unsure[(numbers > min(sure)) & (numbers < max(sure))].sum()
    return bool(2 * between >= unsure.sum())


def judge_ranges(column: "pd.Series[Any]", values: "pd.Series[Any]", seed: int) -> Code | None:
    """Judge whether each level holds a stretch of the target of its own, by how often the level changes along it."""
    codes = pd.factorize(column.astype("str"))[0]
    y = values.to_numpy(dtype="float64")
    shuffled = np.random.default_rng(seed).permutation(codes)
    changes, by_chance = (np.count_nonzero(np.diff(each[np.lexsort((each, y))])) for each in (codes, shuffled))
    least = codes.max()
    if by_chance - least < LEVEL_ROWS or changes - least > 0.05 * (by_chance - least):
        return None
    words = f"each of its {least + 1} levels holds a range of the target of its own"
    return "is the target in ranges", 1.0, words


def _judge_ranks(column: "pd.Series[Any]", values: "pd.Series[Any]", folds: np.ndarray, seed: int) -> Code | None:
    """Judge how well a column tells the target's rank, which a few huge values do not hide."""
    ranks = outcome_columns(values.rank(method="average"), "regression")
    score = score_column(column, ranks, folds, "regression", seed)
    reason, suspect = judge_strength(score, "regression")
    return (
        (reason, score, f"alone it explains {score**2:.1%} of the variance of the target's rank") if suspect else None
    )


def _judge_digits(column: "pd.Series[Any]", outcome: np.ndarray, folds: np.ndarray, alone: float) -> Code | None:
    """Judge remainders, decimals and seconds, which no honest column has a reason to tell the target by."""
    kind = column_kind(column)
    if kind == "datetime":
        parts = {"seconds": column.dt.second, "minutes": column.dt.minute}
    elif kind == "number":
        parts = _list_remainders(numbers_of(column))
    else:
        return None
    learn, best = folds % 2 == 0, ("", 0.0)
    for words, part in parts.items():
        cells = pd.factorize(part)[0]
        if 2 <= cells.max() + 1 <= len(cells) // 10 and cells.min() >= 0:
            score = share_explained(outcome[~learn], cell_means(cells, outcome, learn)[~learn]) ** 0.5
            best = max(best, (words, float(score)), key=lambda one: one[1])
    if best[1] < max(UNUSUAL, alone + 0.1):  # how many digits a number has may depend on its size
        return None
    return (
        "holds the target in its last digits",
        best[1],
        f"{best[0]} explain {best[1] ** 2:.1%} of the target's variance",
    )


def _list_remainders(numbers: np.ndarray | None) -> dict[str, Any]:
    if numbers is None or np.isnan(numbers).any() or np.abs(numbers).max(initial=0) > 1e12:
        return {}
    levels = len(np.unique(numbers))
    if (numbers == numbers.round()).all():
        return {f"remainders of {by}": numbers.astype("int64") % by for by in DIVISORS if levels > 6 * by}
    return {"decimals": (numbers % 1).round(6)} if levels > 60 else {}


def _judge_as_levels(
    column: "pd.Series[Any]", outcome: np.ndarray, folds: np.ndarray, task: str, seed: int
) -> Code | None:
    """Judge whole numbers that come again as names: an order among them may mean nothing."""
    if column_kind(column) != "number" or column.isna().any() or not 30 < column.nunique() <= len(column) / 2:
        return None
    if not (column == column.round()).all():
        return None
    score = score_column(column.astype("str"), outcome, folds, task, seed)
    reason, suspect = judge_strength(score, task)
    return (f"{reason} as a name", score, f"its values explain {score**2:.1%} of the variance") if suspect else None
