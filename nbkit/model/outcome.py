"""What was true beside what was said: truth and prediction as clean arrays, whatever they came as."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadModel
from nbkit.model.intervals import Array
from nbkit.wording import suggest

TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Outcome:
    """Truth and prediction of n rows.

    Attributes
    ----------
    task
        One of `TASKS`.
    truth
        Binary: bool; multi-class: position in `classes`; regression: float.
    score
        Binary: probability of the positive class; multi-class: (n, classes) probabilities; regression: the prediction.
    label
        What is decided: ``score >= threshold``, the likeliest class, or the prediction.
    classes
        Of a multi-class problem.
    kept
        Positions of the given rows that are here: those whose truth is known.
    blocks
        The block of each row, whose rows are alike; None if rows count as independent.
    """

    task: str
    truth: Array
    score: Array
    label: Array
    classes: tuple[Any, ...]
    kept: Array
    blocks: Array | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: Array) -> "Outcome":
        """Return these rows alone."""
        blocks = None if self.blocks is None else np.unique(self.blocks[rows], return_inverse=True)[1]
        parts = {name: getattr(self, name)[rows] for name in ("truth", "score", "label", "kept")}
        return replace(self, **parts, blocks=blocks)


def infer_task(y: Any, p: Any = None, *, positive: Any = None) -> str:
    """Guess the task: a table of probabilities is multi-class, a positive class or two values of truth are binary.

    Examples
    --------
    >>> infer_task([0, 1, 1], [0.2, 0.7, 0.9]), infer_task([1.5, 2.5, 9.0], [1, 2, 3])
    ('binary', 'regression')
    """
    if np.ndim(p) == 2:
        return "multiclass"
    if positive is not None:
        return "binary"
    values = pd.Series(y).dropna().unique()
    return "binary" if len(values) <= 2 and set(values) <= {0, 1} else "regression"


def check_task(task: str) -> str:
    """Return the task, or say which there are."""
    if task not in TASKS:
        raise BadModel(f"no task {task!r}{suggest(task, TASKS)}")
    return task


def check_length(values: Any, n: int, what: str) -> None:
    """Refuse values that cannot be of the same rows as n true values."""
    if len(values) != n:
        raise BadModel(f"{n} true values but {len(values)} {what}: they must be of the same rows")


def find_class(positive: Any, classes: Sequence[Any]) -> Any:
    """Return the class that is meant by `positive`: the same value, else the one that reads the same.

    Parameters
    ----------
    positive
        A class; None means 1 where the classes are 0 and 1 (or False and True).
    classes
        The classes there are.

    Raises
    ------
    BadModel
        If it is none of them.

    Examples
    --------
    >>> find_class("1", [0, 1]), find_class(None, [False, True])
    (1, True)
    """
    if positive is None:
        if set(classes) <= {0, 1}:
            return next((value for value in classes if value == 1), 1)
        raise BadModel(f"which class is the positive one? Say positive=, one of {', '.join(map(str, classes))}")
    for value in classes:
        if value == positive:
            return value
    for value in classes:
        if str(value) == str(positive):
            return value
    raise BadModel(f"no class {positive!r}{suggest(positive, classes)}")


def predict(model: Any, X: pd.DataFrame, task: str, positive: Any = None) -> Any:
    """Ask a fitted model.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or pipeline.
    X
        Rows as the model was trained on.
    task
        "binary", "multiclass" or "regression".
    positive
        The positive class (binary).

    Returns
    -------
    Series or DataFrame
        Indexed as `X`. Binary: the probability of the positive class. Multi-class: one column of probabilities per
        class. Regression: the predicted values.

    Raises
    ------
    BadModel
        If the model gives no probabilities, or a prediction is not a finite number.
    """
    check_task(task)
    if not len(X):  # scikit-learn refuses to predict nothing
        names = {} if task != "multiclass" else dict.fromkeys(getattr(model, "classes_", ()))
        return pd.DataFrame(names, index=X.index, dtype=float) if names else pd.Series(index=X.index, dtype=float)
    if task == "regression":
        return _check_finite(pd.Series(np.asarray(model.predict(X), dtype=float).ravel(), index=X.index, name="value"))
    if not hasattr(model, "predict_proba"):
        raise BadModel(f"{type(model).__name__} gives no probabilities; wrap it in sklearn's CalibratedClassifierCV")
    table = pd.DataFrame(model.predict_proba(X), columns=list(model.classes_), index=X.index)
    if task == "multiclass":
        return _check_finite(table)
    known = list(model.classes_)
    if len(known) == 1:  # trained on one class only: sure of it
        sure = positive is None and known[0] in (0, 1) and bool(known[0])
        sure = sure or str(known[0]) == str(positive)
        return pd.Series(float(sure), index=X.index, name="probability")
    return _check_finite(table[find_class(positive, known)].rename("probability"))


def prepare(
    y: Any, p: Any, *, task: str | None = None, positive: Any = None, threshold: float = 0.5, groups: Any = None
) -> Outcome:
    """Lay truth and prediction side by side; rows without truth are left out.

    Parameters
    ----------
    y
        Truth, n values of any dtype.
    p
        n probabilities of the positive class, an (n, classes) table of probabilities, or n predicted values.
    task
        Guessed by `infer_task` if None.
    positive
        The positive class (binary).
    threshold
        Binary: a row counts as positive from this probability on.
    groups
        The block of each row, n values: rows of one (a day, a customer) are alike.

    Raises
    ------
    BadModel
        If lengths differ, a prediction is not finite, a probability lies outside [0, 1], or there are too many classes.
    """
    task = check_task(task or infer_task(y, p, positive=positive))
    truth = pd.Series(y.to_numpy() if isinstance(y, pd.Series) and y.dtype == "object" else y)
    table: Any = p if isinstance(p, pd.DataFrame) else np.asarray(p, dtype=float)
    check_length(table, len(truth), "predictions")
    _check_order(y, p)
    kept = np.flatnonzero(truth.notna().to_numpy())
    blocks = _read_blocks(groups, len(truth), kept)
    truth, table = (
        truth.iloc[kept].reset_index(drop=True),
        table.iloc[kept] if isinstance(p, pd.DataFrame) else table[kept],
    )
    if task == "multiclass":
        return replace(_prepare_classes(truth, table, kept), blocks=blocks)
    score = np.asarray(table, dtype=float)
    if score.ndim != 1:
        raise BadModel(
            f"a {task} prediction is one number per row, this one has the shape {score.shape}: use predict()"
        )
    _check_finite(score)
    if task == "regression":
        return Outcome(task, _to_numbers(truth), score, score, (), kept, blocks)
    _check_probabilities(score)
    return Outcome(task, _to_hits(truth, positive), score, score >= threshold, (), kept, blocks)


def _read_blocks(groups: Any, n: int, kept: Array) -> Array | None:
    if groups is None:
        return None
    check_length(groups, n, "groups")
    return np.asarray(pd.factorize(np.asarray(groups)[kept], use_na_sentinel=False)[0])


def _prepare_classes(truth: pd.Series, table: Any, kept: Array) -> Outcome:
    score = np.asarray(table, dtype=float)
    if score.ndim != 2:
        raise BadModel("a multi-class prediction is a table of probabilities, one column per class: use predict()")
    _check_probabilities(_check_finite(score))
    classes = list(table.columns) if isinstance(table, pd.DataFrame) else list(range(score.shape[1]))
    codes = pd.Index(classes).get_indexer(pd.Index(truth))
    if len(codes) and (codes < 0).all():  # 1 and "1" are the same class
        classes, truth = [str(name) for name in classes], truth.astype(str)
        codes = pd.Index(classes).get_indexer(pd.Index(truth))
    unseen = sorted(set(truth[codes < 0]), key=str)
    if unseen:
        classes, score = classes + unseen, np.pad(score, ((0, 0), (0, len(unseen))))
        codes = pd.Index(classes).get_indexer(pd.Index(truth))
    label = score.argmax(axis=1) if score.size else np.empty(0, dtype=int)
    return Outcome("multiclass", codes, score, label, tuple(classes), kept)


def _to_hits(truth: pd.Series, positive: Any) -> Array:
    values = list(truth.unique())
    if len(values) > 2:
        shown = ", ".join(map(str, values[:4]))
        raise BadModel(f"a binary truth has two values, this one has {len(values)} ({shown}, …); is it multiclass?")
    if len(values) < 2 and positive is not None:  # one class only: it is the positive one or it is not
        return np.asarray([value == positive or str(value) == str(positive) for value in truth], dtype=bool)
    return np.asarray(truth == find_class(positive, values), dtype=bool)


def _to_numbers(truth: pd.Series) -> Array:
    try:
        return np.asarray(_check_finite(truth.astype(float).to_numpy(), "truth"), dtype=float)
    except (TypeError, ValueError) as error:
        raise BadModel(f"a regression needs numbers to predict: {error}") from error


def _check_finite(values: Any, what: str = "prediction") -> Any:
    bad = ~np.isfinite(np.asarray(values, dtype=float))
    if bad.any():
        rows = bad.any(axis=1) if bad.ndim == 2 else bad
        raise BadModel(f"the {what} is no finite number in {rows.sum()} rows, first in row {int(np.argmax(rows))}")
    return values


def _check_probabilities(score: Array) -> None:
    if score.size and (score.min() < -1e-9 or score.max() > 1 + 1e-9):
        raise BadModel(f"probabilities lie in [0, 1], these in [{score.min():g}, {score.max():g}]; is it a regression?")


def _check_order(y: Any, p: Any) -> None:
    """Refuse truth and prediction that carry the same row names in another order."""
    if isinstance(y, pd.Series) and isinstance(p, pd.Series | pd.DataFrame) and not y.index.equals(p.index):
        same = y.index.is_unique and p.index.is_unique and y.index.isin(p.index).all()
        if same:
            raise BadModel("truth and prediction have the same row names in another order; align them by their index")
