"""Folds of cross-validation that respect time and groups."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from nbkit.errors import BadProblem

Array = npt.NDArray[Any]
Folds = list[tuple[Array, Array]]


def cut_folds(
    y: "pd.Series[Any]", folds: int, *, classes: bool, moments: Any = None, groups: Any = None, seed: int = 0
) -> Folds:
    """Return (learned from, scored) positions per fold: along time, by groups, or stratified; see `Problem.folds`.

    Rows of one moment stay together. With moments and groups, what a fold learns from came before and is of other
    groups.

    Parameters
    ----------
    y
        The target.
    folds
        How many, at most.
    classes
        Whether the target's values are classes, of which each fold should hold some.
    moments, groups
        The moment and the group of each row, as Series, if they count.
    seed
        Of the shuffle.

    Raises
    ------
    BadProblem
        If so few rows, moments or groups cannot be cut.
    """
    folds = max(2, min(folds, len(y) // 2))
    if len(y) < 4:
        raise BadProblem(f"{len(y)} rows are too few to cross-validate; use more rows or no search")
    codes = None if groups is None else pd.factorize(groups.astype(object).where(groups.notna(), ""))[0]
    if moments is not None:
        cut = _cut_time(pd.factorize(moments, sort=True)[0], folds, moments.name)
        return cut if codes is None else _part_groups(cut, codes, y if classes else None, (moments.name, groups.name))
    if codes is not None:
        known = int(codes.max()) + 1
        if known < 2:
            raise BadProblem(f"{groups.name!r} has one value only: its rows cannot be told apart into folds")
        return list(GroupKFold(min(folds, known)).split(y, y, codes))
    if classes and int(y.value_counts().min()) >= folds:
        return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y.astype(str)))
    return list(KFold(folds, shuffle=True, random_state=seed).split(y))


def _cut_time(moments: Array, folds: int, time: str) -> Folds:
    """Cut rows into folds along time, each scored on what came after what it learns from; at starts of moments only."""
    order = np.argsort(moments, kind="stable")
    starts = np.flatnonzero(np.diff(moments[order])) + 1
    if not len(starts):
        raise BadProblem(f"all rows have the same {time!r}: they cannot be cut into folds along time")
    size = max(len(order) // (folds + 1), 1)
    wanted = len(order) - size * np.arange(folds, 0, -1)
    edges = np.unique([starts[np.abs(starts - edge).argmin()] for edge in wanted])
    return [(order[:edge], order[edge:after]) for edge, after in zip(edges, [*edges[1:], len(order)], strict=True)]


def _part_groups(cut: Folds, groups: Array, classes: Any, names: tuple[str, str]) -> Folds:
    """Leave out of what a fold learns from the groups it is scored on; folds that learn nothing are dropped."""
    parted = [(before[~np.isin(groups[before], groups[after])], after) for before, after in cut]
    enough = [len(before) > 1 and (classes is None or classes.iloc[before].nunique() > 1) for before, _ in parted]
    kept = [fold for fold, taught in zip(parted, enough, strict=True) if taught]
    if not kept:
        raise BadProblem(
            f"no fold can follow {names[0]!r} and keep the groups of {names[1]!r} apart: each group goes on "
            "through time, so nothing is left to learn from; name only one of them, or do without a search"
        )
    return kept
