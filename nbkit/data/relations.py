"""How strongly each column alone tells the target, and whether that is too good to be true."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from nbkit.data.explore import column_kind, take_labelled, take_sample
from nbkit.data.leaks import judge_strength

BINS = 10
LEVELS = 30
PERMUTATIONS = 50


def rank_relations(
    table: pd.DataFrame, target: str, task: str = "binary", positive: Any = None, seed: int = 0
) -> pd.DataFrame:
    """Rank columns by how much of the target's variance each explains on its own.

    Numbers are cut into ten bins of equal size, text into its 30 commonest values; missing is a level of its own. The
    strength is the correlation ratio, corrected for chance: the root of epsilon squared (Kelley 1935), and for classes
    of its analogue by Goodman and Kruskal's tau (1954). So numbers and categories share one scale. At most 20,000
    rows are used.

    Parameters
    ----------
    table
        The rows, of train only.
    target, task, positive
        The column, ``binary``, ``multiclass`` or ``regression``; ``positive`` is not needed.
    seed
        Of the sample and the permutations.

    Returns
    -------
    DataFrame
        column, kind, strength (0 to 1), noise (95 % of shuffled targets stay below), n, levels; strongest first.
    """
    rows = take_sample(take_labelled(table, target, task), seed)
    outcome = _outcome(rows[target], task)
    random = np.random.default_rng(seed)
    shuffles = [random.permutation(len(rows)) for _ in range(PERMUTATIONS)]
    lines = []
    for name in rows.columns:
        if name == target:
            continue
        codes, levels = _bin(rows[name])
        noise = [_strength(codes, levels, outcome[order]) for order in shuffles]
        lines.append(
            {
                "column": name,
                "kind": column_kind(rows[name]),
                "strength": _strength(codes, levels, outcome),
                "noise": float(np.quantile(noise, 0.95)) if noise else 0.0,
                "n": len(rows),
                "levels": levels,
            }
        )
    result = pd.DataFrame(lines, columns=["column", "kind", "strength", "noise", "n", "levels"])
    return result.sort_values("strength", ascending=False, kind="stable").reset_index(drop=True)


def _outcome(values: "pd.Series[Any]", task: str) -> np.ndarray:
    """Make columns of numbers from a target: regression one, centred and scaled; else an indicator of each class."""
    if task == "regression":
        numbers = values.to_numpy(dtype="float64")[:, None]
        numbers = numbers / (np.abs(numbers).max(initial=0) or 1)  # else the squares of very large ones overflow
        spread = float(np.ptp(numbers)) if len(numbers) else 0.0
        return (numbers - numbers.mean()) / spread if spread else np.zeros_like(numbers)
    codes, levels = pd.factorize(values, sort=False)
    return np.eye(len(levels))[codes]


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
    n = len(codes)
    if levels < 2 or n <= levels:
        return 0.0
    centred = outcome - outcome.mean(axis=0)
    total = float((centred**2).sum())
    if total <= 1e-12 * n:
        return 0.0
    sizes = np.bincount(codes, minlength=levels)
    sums = np.array([np.bincount(codes, weights=part, minlength=levels) for part in centred.T])
    explained = float((sums**2 / sizes).sum()) / total
    return float(np.sqrt(max(0.0, 1 - (1 - explained) * (n - 1) / (n - levels))))


def find_leakage(
    table: pd.DataFrame, target: str, task: str = "binary", positive: Any = None, *, seed: int = 0
) -> pd.DataFrame:
    """Find columns that tell the target unusually well, and those among them that are too good to be true.

    Each column alone, and whether it is missing, predicts rows it has not seen (a small tree, five folds). At most
    20,000 rows are used.

    Parameters
    ----------
    table
        The rows, of train only.
    target, task, positive
        The column, ``binary``, ``multiclass`` or ``regression``; ``positive`` is not needed.
    seed
        Of the sample and the folds.

    Returns
    -------
    DataFrame
        column, suspect (whether it is too good to be true), reason (both from `judge_strength`), score (the root of the
        share of the target's variance that held-out predictions explain), evidence; suspects first, then by score.
    """
    rows = take_sample(take_labelled(table, target, task), seed)
    outcome = _outcome(rows[target], task)
    found = []
    learnable = len(rows) >= 10 and (task == "regression" or outcome.shape[1] <= len(rows) / 5)
    for name in rows.columns if learnable else ():
        if name == target:
            continue
        column = rows[name]
        score = _held_out(column, rows[target], outcome, task, seed)
        reason, suspect = judge_strength(score, task)
        evidence = f"alone it explains {score**2:.1%} of the target's variance"
        if not suspect and column.isna().any():
            gone = _held_out(column.isna(), rows[target], outcome, task, seed)
            by_absence = judge_strength(gone, task, absence=True)
            if by_absence[1] or (by_absence[0] and not reason):
                (reason, suspect), score, evidence = (
                    by_absence,
                    gone,
                    _missing_rates(column, outcome, rows[target], task),
                )
        if reason:
            found.append((name, suspect, reason, score, evidence))
    result = pd.DataFrame(found, columns=["column", "suspect", "reason", "score", "evidence"]).astype({"suspect": bool})
    return result.sort_values(["suspect", "score"], ascending=False, kind="stable").reset_index(drop=True)


def _missing_rates(column: "pd.Series[Any]", outcome: np.ndarray, values: "pd.Series[Any]", task: str) -> str:
    gone = column.isna().to_numpy()
    shown = values.to_numpy(dtype="float64") if task == "regression" else outcome[:, -1]
    return f"mean of the target {shown[gone].mean():.3g} where missing, {shown[~gone].mean():.3g} where not"


def _held_out(column: "pd.Series[Any]", values: "pd.Series[Any]", outcome: np.ndarray, task: str, seed: int) -> float:
    kind = column_kind(column)
    few = task != "regression" and values.value_counts().min() >= 5
    folds = (StratifiedKFold if few else KFold)(5, shuffle=True, random_state=seed)
    answers = pd.factorize(values)[0] if task != "regression" else outcome[:, 0]
    predicted = np.zeros_like(outcome)
    for train, test in folds.split(outcome, answers):
        inputs = _as_number(column, kind, outcome, train)
        tree: Any = (DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier)(
            max_leaf_nodes=64, min_samples_leaf=3, random_state=seed
        )
        tree.fit(inputs[train], answers[train])
        if task == "regression":
            predicted[test, 0] = tree.predict(inputs[test])
        else:
            predicted[np.ix_(test, tree.classes_)] = tree.predict_proba(inputs[test])
    total = ((outcome - outcome.mean(axis=0)) ** 2).sum()
    return float(np.sqrt(max(0.0, 1 - ((outcome - predicted) ** 2).sum() / total))) if total > 0 else 0.0


def _as_number(column: "pd.Series[Any]", kind: str, outcome: np.ndarray, train: np.ndarray) -> np.ndarray:
    if kind != "text":  # a tree sees the order only, and ranks are never too large for it
        return column.rank(method="dense").to_numpy(dtype="float64", na_value=np.nan)[:, None]
    texts = column.astype("str").where(column.notna(), "")
    means = pd.DataFrame(outcome[train]).groupby(texts.iloc[train].to_numpy()).mean()
    return means.reindex(texts).to_numpy()
