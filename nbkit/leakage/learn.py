"""How well some columns predict the target of rows that a small model has not seen."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from nbkit.columns import column_kind

LEVELS = 30
ALMOST_ALONE, ALMOST_ALONE_NUMBER = 0.95, 0.99  # one honest measure may well tell most of a number
UNUSUAL = 0.6
ABSENCE = 2 / 3  # where only missing values tell, so much of each bound is enough


def too_good(task: str) -> float:
    """Return the score from which columns are too good to be true."""
    return ALMOST_ALONE_NUMBER if task == "regression" else ALMOST_ALONE


def judge_strength(score: float, task: str = "binary", *, absence: bool = False) -> tuple[str, bool]:
    """Describe what a column that predicts the target so well is: this alone decides who is a suspect of leakage.

    Parameters
    ----------
    score
        The root of the share of the target's variance that the column alone explains on held-out rows.
    task
        ``binary``, ``multiclass`` or ``regression``.
    absence
        Whether only the column's missing values tell.

    Returns
    -------
    reason : str
        *determines the target*, *predicts the target almost alone*, *is missing almost only when the target
        differs* (all three too good to be true); *unusually strong, look at it*, *missing more often when the
        target differs, look at it* (may well be honest); empty for all others.
    suspect : bool
        Whether it is too good to be true: a score from 0.95 on (regression 0.99), or two thirds of that by its missing
        values.

    Examples
    --------
    >>> judge_strength(0.97), judge_strength(0.97, "regression")
    (('predicts the target almost alone', True), ('unusually strong, look at it', False))
    """
    share = ABSENCE if absence else 1
    if score >= share * too_good(task):
        alone = "determines the target" if score >= 0.9999 else "predicts the target almost alone"
        return "is missing almost only when the target differs" if absence else alone, True
    if score >= share * UNUSUAL:
        weak = "missing more often when the target differs" if absence else "unusually strong"
        return f"{weak}, look at it", False
    return "", False


def outcome_columns(values: "pd.Series[Any]", task: str) -> np.ndarray:
    """Make columns of numbers from a target.

    Parameters
    ----------
    values
        The target, nothing missing.
    task
        ``binary``, ``multiclass`` or ``regression``.

    Returns
    -------
    ndarray of shape (rows, classes)
        An indicator of each class, in the order of appearance; of a regression one column, centred and scaled to a
        spread of 1.

    Examples
    --------
    >>> outcome_columns(pd.Series(["b", "a", "b"]), "binary").tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    if task == "regression":
        numbers = values.to_numpy(dtype="float64")[:, None]
        numbers = numbers / (np.abs(numbers).max(initial=0) or 1)  # else the squares of very large ones overflow
        spread = float(np.ptp(numbers)) if len(numbers) else 0.0
        return (numbers - numbers.mean()) / spread if spread else np.zeros_like(numbers)
    codes, levels = pd.factorize(values, sort=False)
    return np.eye(len(levels))[codes]


def make_folds(values: "pd.Series[Any]", task: str, seed: int, folds: int = 5) -> np.ndarray:
    """Give each row the number of the fold that holds it out; classes in equal shares where each has enough rows."""
    few = task != "regression" and values.value_counts().min() >= folds
    split = (StratifiedKFold if few else KFold)(folds, shuffle=True, random_state=seed)
    numbers = np.zeros(len(values), dtype=int)
    classes = pd.factorize(values)[0] if few else None
    for number, (_, held) in enumerate(split.split(np.zeros(len(values)), classes)):
        numbers[held] = number
    return numbers


def root_explained(outcome: np.ndarray, predicted: np.ndarray) -> float:
    """Return the root of the share of an outcome's variance that predictions explain (of Brier skill for classes)."""
    total = ((outcome - outcome.mean(axis=0)) ** 2).sum()
    return float(max(0.0, 1 - ((outcome - predicted) ** 2).sum() / total) ** 0.5) if total > 0 else 0.0


def share_between(groups: np.ndarray, outcome: np.ndarray) -> float:
    """Return the share of an outcome's variance that lies between groups of rows, numbered from 0."""
    centred = outcome - outcome.mean(axis=0)
    total = float((centred**2).sum())
    if total <= 1e-12 * len(outcome):
        return 0.0
    sums = np.array([np.bincount(groups, weights=part) for part in centred.T])
    return float((sums**2 / np.bincount(groups)).sum()) / total


def correct_ratio(share: float, rows: int, groups: int) -> float:
    """Return the correlation ratio, corrected for chance: the root of epsilon squared (Kelley 1935)."""
    return float(np.sqrt(max(0.0, 1 - (1 - share) * (rows - 1) / max(rows - groups, 1))))


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that small models learn from.

    Parameters
    ----------
    table, target
        The other columns, and the target.
    task, seed
        As in `Problem`.
    outcome, folds
        From `outcome_columns` and `make_folds`.
    """

    table: pd.DataFrame
    target: "pd.Series[Any]"
    task: str
    seed: int
    outcome: np.ndarray
    folds: np.ndarray

    @property
    def is_number(self) -> bool:
        """Whether the target is a number."""
        return self.task == "regression"

    def take(self, places: np.ndarray) -> "Sample":
        """Keep the rows at some places, or those where an array of bool is true."""
        table = self.table.iloc[places].reset_index(drop=True)
        target = self.target.iloc[places].reset_index(drop=True)
        return replace(self, table=table, target=target, outcome=self.outcome[places], folds=self.folds[places])

    def predict(self, model: Any, inputs: Any) -> np.ndarray:
        """Predict each fold by a model of scikit-learn fitted on the others; in the shape of the outcome.

        Parameters
        ----------
        model
            Unfitted.
        inputs
            ndarray of shape (rows, columns), or a function that makes one from the rows to learn from (bool).
        """
        predicted = np.zeros_like(self.outcome)
        answers = self.outcome[:, 0] if self.is_number else self.outcome.argmax(axis=1)
        for fold in np.unique(self.folds):
            train, test = self.folds != fold, self.folds == fold
            if not self.is_number and len(np.unique(answers[train])) < 2:
                predicted[test] = self.outcome[train].mean(axis=0)
                continue
            made = inputs(train) if callable(inputs) else inputs
            with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # near enough to judge by
                model.fit(made[train], answers[train])
            if self.is_number:
                predicted[test, 0] = model.predict(made[test])
            else:
                predicted[np.ix_(test, model.classes_)] = model.predict_proba(made[test])
        return predicted

    def score(self, column: "pd.Series[Any]") -> float:
        """Return the root of the share of the target's variance that a tree of 64 leaves explains, held out."""
        tree: Any = DecisionTreeRegressor if self.is_number else DecisionTreeClassifier
        model = tree(max_leaf_nodes=64, min_samples_leaf=3, random_state=self.seed)
        return root_explained(self.outcome, self.predict(model, lambda train: order_of(column, self.outcome, train)))

    def score_cells(self, cells: np.ndarray) -> float:
        """Return the same of the mean of each cell, learned from half of the folds."""
        learn = self.folds % 2 == 0
        return root_explained(self.outcome[~learn], cell_means(cells, self.outcome, learn)[~learn])


def small_boosting(task: str, seed: int, rows: int) -> Any:
    """Return an unfitted boosting model of 40 trees."""
    boosting: Any = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    least = int(np.clip(rows // 50, 3, 20))
    return boosting(max_iter=40, learning_rate=0.3, min_samples_leaf=least, early_stopping=False, random_state=seed)


def linear_model(task: str) -> Any:
    """Return an unfitted linear model, hardly penalized."""
    return make_pipeline(
        StandardScaler(), Ridge(1e-6) if task == "regression" else LogisticRegression(C=1e3, max_iter=100, tol=1e-3)
    )


def cell_means(cells: np.ndarray, outcome: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the mean outcome in train of the cell that each row is in, drawn to the mean of all by one row."""
    size = int(cells.max()) + 1
    count = np.bincount(cells[train], minlength=size)
    whole = outcome[train].mean(axis=0)
    sums = np.array([np.bincount(cells[train], weights=column[train], minlength=size) for column in outcome.T]).T
    return np.asarray(((sums + whole) / (count + 1)[:, None])[cells])


def order_of(column: "pd.Series[Any]", outcome: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Turn a column into one number that a tree can cut: ranks, or for text the mean outcome of its level in train."""
    if column_kind(column) != "text":  # a tree sees the order only, and ranks are never too large for it
        return column.rank(method="dense").to_numpy(dtype="float64", na_value=np.nan)[:, None]
    texts = column.astype("str").where(column.notna(), "")
    means = pd.DataFrame(outcome[train]).groupby(texts.iloc[train].to_numpy()).mean()
    return means.reindex(texts).to_numpy()


def numbers_of(column: "pd.Series[Any]") -> np.ndarray | None:
    """Return a column as floats (a date as days), with NaN where it is missing or infinite; None if it is text."""
    kind = column_kind(column)
    if kind == "text":
        return None
    if kind == "datetime":
        whole = pd.to_datetime(column, utc=True)
        return ((whole - pd.Timestamp("2000-01-01", tz="UTC")) / pd.Timedelta("1D")).to_numpy(dtype="float64")
    numbers = column.to_numpy(dtype="float64", na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def encode_table(table: pd.DataFrame) -> np.ndarray:
    """Turn columns into numbers for a boosting model: missing the lowest, text as codes by frequency."""
    parts = []
    for name in table.columns:
        numbers = numbers_of(table[name])
        if numbers is None:
            texts = table[name].astype("str").where(table[name].notna())
            order = texts.value_counts().sort_index().sort_values(ascending=False, kind="stable").index
            numbers = pd.Index(order).get_indexer(pd.Index(texts)).astype("float64")
        numbers = np.clip(numbers, -1e100, 1e100)
        known = numbers[~np.isnan(numbers)]
        parts.append(np.where(np.isnan(numbers), known.min(initial=0.0) - 1, numbers))
    return np.column_stack(parts) if parts else np.zeros((len(table), 0))


def expand_table(table: pd.DataFrame) -> np.ndarray:
    """Turn columns into numbers for a linear model: floats, logarithms of positive ones, indicators of levels."""
    parts: list[np.ndarray] = []
    for name in table.columns:
        numbers = numbers_of(table[name])
        if numbers is None:
            texts = table[name].astype("str").where(table[name].notna(), "")
            parts += [(texts == level).to_numpy(dtype="float64") for level in texts.value_counts().index[:LEVELS]]
            continue
        gone = np.isnan(numbers)
        scale = np.nanmax(np.abs(numbers), initial=0) or 1.0
        parts.append(np.where(gone, 0.0, numbers) / scale)
        if gone.any():
            parts.append(gone.astype("float64"))
        if not gone.all() and np.nanmin(numbers) > 0:
            parts.append(np.where(gone, 0.0, np.log(np.where(gone, 1.0, numbers))))
    return np.column_stack(parts) if parts else np.zeros((len(table), 0))
