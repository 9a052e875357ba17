"""Golden examples: raw rows with the answers given at registration, so a bundle can prove that it still gives them."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadModel
from nbkit.model import predict_values
from nbkit.problem import Problem

TOLERANCE = 1e-6  # how far a golden answer may move: libraries differ in the last digits, models in the third
MARK = "expected"  # columns `expected`, or `expected: <class>` for several classes; `_expected` if that is taken


def make_golden(model: Any, X: pd.DataFrame, problem: Problem, *, rows: int = 32) -> pd.DataFrame:
    """Pick rows and write the model's answers beside them.

    Parameters
    ----------
    model
        The fitted pipeline that takes raw rows.
    X
        Raw rows; the golden ones are drawn without replacement and keep their order and dtypes.
    problem
        What is predicted.
    rows
        How many, at most.

    Returns
    -------
    DataFrame
        The raw columns, then ``expected`` (probability of the positive class, or value), or one ``expected: <class>``
        per class. A table that has such columns itself makes them ``_expected``.

    Raises
    ------
    BadModel
        There is no row.
    """
    if X.empty:
        raise BadModel("golden examples need at least one row; X is empty")
    drawn = np.sort(np.random.default_rng(problem.seed).permutation(len(X))[:rows])
    picked = X.iloc[drawn].reset_index(drop=True)
    mark = MARK
    while any(_is_marked(column, mark) for column in X.columns):
        mark = f"_{mark}"
    return pd.concat([picked, _answer(model, picked, problem, mark)], axis=1)


def split_golden(golden: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split golden examples into raw rows and expected answers."""
    mark = _find_mark(golden)
    answers = [column for column in golden.columns if _is_marked(column, mark)]
    return golden.drop(columns=answers), golden[answers]


def check_golden(model: Any, golden: pd.DataFrame, problem: Problem) -> float:
    """Return the largest absolute difference between the answers now and the golden ones.

    Parameters
    ----------
    model
        The pipeline, usually just loaded.
    golden
        From `make_golden`.
    problem
        What is predicted.

    Returns
    -------
    float
        0 where nothing changed; infinity where the answers have another shape or an answer is missing on one side.
    """
    raw, expected = split_golden(golden)
    found = _answer(model, raw, problem, _find_mark(golden))
    if list(found.columns) != list(expected.columns) or expected.empty:
        return float("inf")
    now, then = found.to_numpy(float), expected.to_numpy(float)
    if (np.isnan(now) != np.isnan(then)).any():
        return float("inf")
    return float(np.nanmax(np.abs(now - then), initial=0.0))


def explain_golden(bundle: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """Return why a loaded bundle does not give its golden answers; empty if it does.

    Parameters
    ----------
    bundle
        The entries of a version: ``model``, ``golden`` and, if there, ``params``.
    params
        Of the version; those of the bundle count more.
    """
    model, golden = bundle["model"], bundle.get("golden")
    if not isinstance(golden, pd.DataFrame):
        return ["it has no golden rows, so nobody can check that it answers as it did: register it with make_golden"]
    try:
        gap = check_golden(model, golden, find_problem(bundle, params)[0])
    except Exception as error:  # a model of any kind, on rows of any kind
        return [f"it cannot answer its golden rows: {type(error).__name__}: {error}"]
    return [] if gap <= TOLERANCE else [f"its golden answers differ by {gap:.3g}, at most {TOLERANCE:g} is allowed"]


def find_problem(bundle: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[Problem, float]:
    """Find what a version predicts, and from which probability it decides: in its bundle, else in its parameters.

    Parameters
    ----------
    bundle
        The entries of a version: ``model`` and, if there, ``problem`` and ``params``.
    params
        Of the version, flat; those of the bundle count more.
    """
    said = {**params, **(bundle.get("params") or {})}
    threshold = 0.5 if said.get("threshold") is None else float(said["threshold"])
    if isinstance(problem := bundle.get("problem"), Problem):
        return problem, threshold
    classes = np.asarray(getattr(bundle["model"], "classes_", ())).tolist()
    task = said.get("task") or ("regression" if not classes else "binary" if len(classes) == 2 else "multiclass")
    positive = classes[-1] if task == "binary" and said.get("positive") is None else said.get("positive")
    return Problem(said.get("target") or "target", task, positive), threshold


def _is_marked(column: Any, mark: str) -> bool:
    return str(column) == mark or str(column).startswith(f"{mark}: ")


def _find_mark(golden: pd.DataFrame) -> str:
    found = re.match(rf"_*{MARK}(?=$|: )", str(golden.columns[-1])) if len(golden.columns) else None
    return found[0] if found else MARK


def _answer(model: Any, raw: pd.DataFrame, problem: Problem, mark: str) -> pd.DataFrame:
    answer = predict_values(model, raw, problem)
    if isinstance(answer, pd.DataFrame):
        table = answer.reset_index(drop=True)
        return table.rename(columns={column: f"{mark}: {column}" for column in table.columns})
    return pd.DataFrame({mark: np.asarray(answer, dtype=float)})
