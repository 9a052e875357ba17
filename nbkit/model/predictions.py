"""Predictions: truth and prediction of the same rows, aligned once, with the problem and the blocks of alike rows."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadModel
from nbkit.problem import Problem, find_class, is_class
from nbkit.stats import Array
from nbkit.wording import suggest


@dataclass(frozen=True, eq=False)
class Predictions:
    """Truth and prediction of n rows whose truth is known.

    Attributes
    ----------
    problem
        What is predicted.
    truth
        Binary: bool; multi-class: position in `classes`; regression: float.
    score
        Binary: probability of the positive class; multi-class: (n, classes) probabilities; regression: the prediction.
    label
        What is decided: ``score >= threshold``, the likeliest class, or the prediction.
    classes
        Of a multi-class problem.
    threshold
        The probability from which on a row counts as positive (binary).
    index
        The names of the rows.
    blocks
        The block of each row, whose rows are alike; None if rows count as independent.
    rows
        The raw rows; None where there are none.
    left_out
        How many rows were left out because their truth is unknown.
    constant
        Whether the model, scikit-learn's dummy, says the same of any row: then its ranking is certain.
    """

    problem: Problem
    truth: Array
    score: Array
    label: Array
    classes: tuple[Any, ...]
    threshold: float
    index: pd.Index
    blocks: Array | None = None
    rows: pd.DataFrame | None = None
    left_out: int = 0
    constant: bool = False

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def task(self) -> str:
        """The task of the problem."""
        return self.problem.task

    @classmethod
    def align(
        cls,
        y: Any,
        p: Any,
        problem: Problem,
        *,
        threshold: float = 0.5,
        blocks: Any = None,
        rows: pd.DataFrame | None = None,
    ) -> "Predictions":
        """Lay truth and prediction side by side; rows without truth are left out.

        Parameters
        ----------
        y
            Truth, n values of any dtype.
        p
            n probabilities of the positive class, an (n, classes) table of probabilities, or n predicted values.
        problem
            What is predicted.
        threshold
            Binary: a row counts as positive from this probability on.
        blocks
            The block of each row, n values: rows of one (a day, a customer) are alike. None: rows are independent.
        rows
            The raw rows, for what looks at slices and groups.

        Raises
        ------
        BadModel
            If lengths differ, a prediction is not finite, a probability lies outside [0, 1], or there are too many
            classes.

        Examples
        --------
        >>> Predictions.align([0, 1, None], [0.2, 0.7, 0.9], Problem("late")).truth.tolist()
        [False, True]
        """
        truth = pd.Series(y.to_numpy() if isinstance(y, pd.Series) and y.dtype == "object" else y)
        table: Any = p if isinstance(p, pd.DataFrame) else np.asarray(p, dtype=float)
        for values, what in ((table, "predictions"), (blocks, "blocks"), (rows, "rows")):
            if values is not None and len(values) != len(truth):
                raise BadModel(f"{len(truth)} true values but {len(values)} {what}: they must be of the same rows")
        _check_order(y, p)
        index = next((each.index for each in (p, y, rows) if isinstance(each, pd.Series | pd.DataFrame)), truth.index)
        kept = np.flatnonzero(truth.notna().to_numpy())
        if blocks is not None:
            blocks = pd.factorize(np.asarray(blocks)[kept], use_na_sentinel=False)[0]
        given: dict[str, Any] = {"problem": problem, "threshold": threshold, "index": index[kept], "blocks": blocks}
        given |= {"rows": None if rows is None else rows.iloc[kept], "left_out": len(truth) - len(kept)}
        truth = truth.iloc[kept].reset_index(drop=True)
        table = table.iloc[kept] if isinstance(p, pd.DataFrame) else table[kept]
        if problem.task == "multiclass":
            return cls(**_align_classes(truth, table), **given)
        score = np.asarray(table, dtype=float)
        if score.ndim != 1:
            raise BadModel(f"a {problem.task} prediction is one number a row, not {score.shape}: use predict()")
        _check_finite(score)
        if problem.task == "regression":
            return cls(truth=_to_numbers(truth), score=score, label=score, classes=(), **given)
        _check_probabilities(score)
        hits = _to_hits(truth, problem.positive)
        return cls(truth=hits, score=score, label=score >= threshold, classes=(), **given)

    def at(self, threshold: float) -> "Predictions":
        """Return the same predictions, decided at another threshold; a class or a number is a decision already."""
        if self.task != "binary":
            return self
        return replace(self, threshold=threshold, label=self.score >= threshold)

    def take(self, places: Array) -> "Predictions":
        """Return these rows alone."""
        blocks = None if self.blocks is None else np.unique(self.blocks[places], return_inverse=True)[1]
        parts = {name: getattr(self, name)[places] for name in ("truth", "score", "label", "index")}
        rows = None if self.rows is None else self.rows.iloc[places]
        return replace(self, **parts, blocks=blocks, rows=rows, left_out=0)

    def column(self, name: str, purpose: str) -> "pd.Series[Any]":
        """Return a column of the raw rows.

        Raises
        ------
        BadModel
            If there is none of that name; `purpose` says what it was wanted for.
        """
        rows = pd.DataFrame() if self.rows is None else self.rows
        if name not in rows.columns:
            raise BadModel(f"no column {name!r} {purpose}{suggest(name, rows.columns)}; correct it in the params")
        return rows[name]


def predict(model: Any, rows: pd.DataFrame, problem: Problem, *, threshold: float = 0.5) -> Predictions:
    """Ask a fitted model about rows whose truth is known.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or pipeline.
    rows
        As the model was trained on, with the target.
    problem
        What is predicted.
    threshold
        Binary: a row counts as positive from this probability on.

    Raises
    ------
    BadProblem
        If the rows have no target.
    BadModel
        If the model gives no probabilities, or a prediction is not a finite number.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    X, y = problem.separate(rows)
    values = predict_values(model, X, problem)
    said = Predictions.align(y, values, problem, threshold=threshold, blocks=problem.blocks(rows), rows=rows)
    dummy = isinstance(model, DummyClassifier | DummyRegressor)
    return replace(said, constant=dummy and model.strategy not in ("stratified", "uniform"))


def predict_values(model: Any, X: pd.DataFrame, problem: Problem) -> Any:
    """Ask a fitted model about rows, whether their truth is known or not.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or pipeline.
    X
        Raw rows as the model was trained on.
    problem
        What is predicted.

    Returns
    -------
    Series or DataFrame
        Indexed as `X`. Binary: the probability of the positive class. Multi-class: one column of probabilities per
        class. Regression: the predicted values.

    Raises
    ------
    BadModel
        If the model gives no probabilities, a prediction is not a finite number, or there is not one for each row.
    """
    task, positive = problem.task, problem.positive
    if not len(X):  # scikit-learn refuses to predict nothing
        names = {} if task != "multiclass" else dict.fromkeys(getattr(model, "classes_", ()))
        return pd.DataFrame(names, index=X.index, dtype=float) if names else pd.Series(index=X.index, dtype=float)
    if task == "regression":
        said = np.asarray(_ask(model.predict, model, X), dtype=float).ravel()
        return _check_finite(pd.Series(said, index=X.index, name="value"))
    if not hasattr(model, "predict_proba"):
        raise BadModel(f"{type(model).__name__} gives no probabilities; wrap it in sklearn's CalibratedClassifierCV")
    table = pd.DataFrame(_ask(model.predict_proba, model, X), columns=list(model.classes_), index=X.index)
    if task == "multiclass":
        return _check_finite(table)
    known = list(model.classes_)
    if len(known) == 1:  # trained on one class only: sure of it
        return pd.Series(float(is_class(known[0], positive)), index=X.index, name="probability")
    return _check_finite(table[find_class(positive, known)].rename("probability"))


def _align_classes(truth: pd.Series, table: Any) -> dict[str, Any]:
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
    return {"truth": codes, "score": score, "label": label, "classes": tuple(classes)}


def _to_hits(truth: pd.Series, positive: Any) -> Array:
    values = list(truth.unique())
    if len(values) > 2:
        shown = ", ".join(map(str, values[:4]))
        raise BadModel(f"a binary truth has two values, this one has {len(values)} ({shown}, …); is it multiclass?")
    if len(values) < 2 and positive is not None:  # one class only: it is the positive one or it is not
        return np.full(len(truth), bool(values) and is_class(values[0], positive))
    return np.asarray(truth == find_class(positive, values), dtype=bool)


def _to_numbers(truth: pd.Series) -> Array:
    try:
        return np.asarray(_check_finite(truth.astype(float).to_numpy(), "truth"), dtype=float)
    except (TypeError, ValueError) as error:
        raise BadModel(f"a regression needs numbers to predict: {error}") from error


def _ask(ask: Any, model: Any, X: pd.DataFrame) -> Any:
    """Ask for one answer a row; where there are more or fewer, name the step that drops or adds rows."""
    said, given, culprit = ask(X), X, "it"
    for name, step in getattr(model, "steps", ())[:-1] if len(said) != len(X) else ():
        if given.shape[0] == len(X) and hasattr(step, "transform"):
            given = step.transform(given)
            culprit = f"its step {name!r} ({type(step).__name__})" if given.shape[0] != len(X) else culprit
    if len(said) == len(X):
        return said
    raise BadModel(
        f"{type(model).__name__} gives {len(said):,} answers for {len(X):,} rows: {culprit} drops or adds rows. Each "
        "row needs its answer: let it mark or fill them instead, or select rows in the query of 02_ingest"
    )


def _check_finite(values: Any, what: str = "prediction") -> Any:
    bad = ~np.isfinite(np.asarray(values, dtype=float))
    if bad.any():
        rows = bad.any(axis=1) if bad.ndim == 2 else bad
        raise BadModel(f"the {what} is not a finite number in {rows.sum()} rows, first in row {int(np.argmax(rows))}")
    return values


def _check_probabilities(score: Array) -> None:
    if score.size and (score.min() < -1e-9 or score.max() > 1 + 1e-9):
        raise BadModel(f"probabilities lie in [0, 1], these in [{score.min():g}, {score.max():g}]; is it a regression?")


def _check_order(y: Any, p: Any) -> None:
    """Refuse truth and prediction that carry the same row names in another order."""
    named = isinstance(y, pd.Series) and isinstance(p, pd.Series | pd.DataFrame) and not y.index.equals(p.index)
    if named and y.index.is_unique and p.index.is_unique and y.index.isin(p.index).all():
        raise BadModel("truth and prediction have the same row names in another order; align them by their index")
