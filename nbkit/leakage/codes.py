"""One column that holds the target in other words: in part of the rows, in some of its levels, in its last digits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.leakage.learn import UNUSUAL, Sample, judge_strength, numbers_of, outcome_columns
from nbkit.leakage.purity import Code, find_equal_part, find_pure_value

KNOWN, SHARE = 40, 0.05  # the least rows, and share of them, on which a part of a column is judged
PURE, USUAL = 0.99, 0.8  # a class is told where it has so much of the rows, and has at most so much of all
LEVEL_ROWS, FEW = 20, 50
ONE_CLASS = 0.9  # the share of one of several classes, and
BOTH = 0.3  # of each of two, that stands in levels of its own
DIVISORS = (2, 3, 4, 5, 7, 9, 10, 11, 13)


def find_code(sample: Sample, column: "pd.Series[Any]", alone: float = 0.0) -> Code | None:
    """Find out whether a column that does not predict the target alone holds it all the same.

    Parameters
    ----------
    sample, column
        The rows, and one of their columns.
    alone
        The score of the column as it is; its last digits have to tell more.

    Returns
    -------
    tuple or None
        Reason, score and evidence, if it is too good to be true.
    """
    values, number = sample.target, sample.is_number
    found = find_equal_part(column, values) if number else find_pure_value(column, values, sample.outcome)
    found = found or _judge_known(sample, column)
    if found is None and 2 <= column.nunique() <= min(FEW, len(column) // 10):
        found = judge_ranges(column, values, sample.seed) if number else _judge_levels(column, values, sample.task)
    if found is None and number and column_kind(column) != "text":  # a few huge values do not hide a rank
        ranks = replace(sample, outcome=outcome_columns(values.rank(method="average"), sample.task))
        found = _judge(ranks, column, "", "alone it explains {share:.1%} of the variance of the target's rank")
    found = found or _judge_digits(sample, column, alone)
    if found is None and _may_be_names(column):
        words = "its values explain {share:.1%} of the variance"
        found = _judge(sample, column.astype("str"), " as a name", words)
    return found


def _judge(sample: Sample, column: "pd.Series[Any]", how: str, evidence: str) -> Code | None:
    """Judge how well a column, made into another, predicts the target."""
    score = sample.score(column)
    reason, suspect = judge_strength(score, sample.task)
    return (f"{reason}{how}", score, evidence.format(share=score**2)) if suspect else None


def _judge_known(sample: Sample, column: "pd.Series[Any]") -> Code | None:
    known = column.notna().to_numpy()
    if known.all() or known.sum() < max(KNOWN, SHARE * len(column)):
        return None
    if not sample.is_number:
        share = sample.outcome[known].mean(axis=0)
        top = int(share.argmax())
        usual = float(sample.outcome[:, top].mean())
        if share[top] >= PURE and usual <= USUAL:
            level = pd.factorize(sample.target, sort=False)[1][top]
            words = f"in {share[top]:.1%} of the rows where it is known the target is {level}, of all {usual:.1%}"
            return "is known almost only when the target has one value", float(share[top]), words
    words = f"where it is known ({known.mean():.0%} of the rows) it explains {{share:.1%}} of the target's variance"
    return _judge(sample.take(known), column[known], " where it is known", words)


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
    return "determines the target in part of the rows", share, f"some of its levels stand for one class only: {names}"


def _rises(column: "pd.Series[Any]", large: pd.DataFrame, pure: pd.DataFrame) -> bool:
    """Return whether most rows of unsure levels of a number lie between levels that are sure of either class."""
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


def _judge_digits(sample: Sample, column: "pd.Series[Any]", alone: float) -> Code | None:
    """Judge remainders, decimals and seconds, which no honest column has a reason to predict the target by."""
    kind, scores = column_kind(column), {"": 0.0}
    if kind == "datetime":
        parts = {"seconds": column.dt.second, "minutes": column.dt.minute}
    else:
        parts = _list_remainders(numbers_of(column)) if kind == "number" else {}
    for name, part in parts.items():
        cells = pd.factorize(part)[0]
        if 2 <= cells.max() + 1 <= len(cells) // 10 and cells.min() >= 0:
            scores[name] = sample.score_cells(cells)
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < max(UNUSUAL, alone + 0.1):  # how many digits a number has may depend on its size
        return None
    words = f"{best} explain {scores[best] ** 2:.1%} of the target's variance"
    return "holds the target in its last digits", scores[best], words


def _list_remainders(numbers: np.ndarray | None) -> dict[str, Any]:
    if numbers is None or np.isnan(numbers).any() or np.abs(numbers).max(initial=0) > 1e12:
        return {}
    levels = len(np.unique(numbers))
    if (numbers == numbers.round()).all():
        return {f"remainders of {by}": numbers.astype("int64") % by for by in DIVISORS if levels > 6 * by}
    return {"decimals": (numbers % 1).round(6)} if levels > 60 else {}


def _may_be_names(column: "pd.Series[Any]") -> bool:
    """Return whether numbers are whole and come again, so that an order among them may mean nothing."""
    plain = column_kind(column) == "number" and column.notna().all() and 30 < column.nunique() <= len(column) / 2
    return bool(plain and (column == column.round()).all())
