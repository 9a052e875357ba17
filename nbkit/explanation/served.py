"""What is explained: the output of the served model, and the columns that its last step reads."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from sklearn.pipeline import Pipeline

from nbkit.errors import BadModel, NbkitError
from nbkit.explanation.ensembles import find_line
from nbkit.explanation.exact import gives_own
from nbkit.explanation.shapley import Parts, refuse
from nbkit.lineage import Lineage, read_columns, split_model, trace_columns
from nbkit.problem import Problem, find_class
from nbkit.stats import Array

RAW = "as a whole, from raw rows"
TOGETHER = 20_000  # rows that a model is asked about at once: each question costs, however few rows it is about


def take_apart(model: Any, X: pd.DataFrame, problem: Problem) -> Iterator[Parts]:
    """Yield the model as its last step on encoded columns, if these are known, then as a whole on raw columns."""
    lineage = trace_columns(model, X)
    try:
        ask, unit, classes = find_output(model, X, problem)
        served = ask(X)
        if lineage.matrix is not None and (read := _ask_last(lineage, problem, unit)) is not None:
            known = (lineage.last, lineage.matrix, lineage.sources)
            given = _name_columns(lineage)(lineage.matrix.to_numpy())
            yield Parts(*known, read, served, unit, classes, lineage.way, given)
        elif lineage.matrix is None and getattr(lineage.last, "_preprocessor", None) is not None:
            yield _read_categories(model, X, served, unit, classes)
    except NbkitError:
        raise
    except Exception as error:  # a model of anybody's
        raise BadModel(f"{type(lineage.last).__name__} cannot answer these rows: {error}") from error
    used = read_columns(model, X)
    coded = {name: pd.factorize(X[name], use_na_sentinel=False) for name in used}
    matrix = pd.DataFrame({name: codes.astype(float) for name, (codes, _) in coded.items()}, index=X.index)

    def decode(codes: Any) -> pd.DataFrame:
        places = np.asarray(codes).astype(int)
        rows = X.iloc[np.zeros(len(places), dtype=int)].reset_index(drop=True)
        taken = {n: pd.Series(pd.Index(coded[n][1]).take(places[:, i])) for i, n in enumerate(used)}
        return rows.assign(**{n: values.astype(X[n].dtype) for n, values in taken.items()})

    sources = {name: [str(name)] for name in used}
    whole = None if split_model(model)[0] else lineage.last
    yield Parts(whole, matrix, sources, lambda codes: ask(decode(codes)), served, unit, classes, RAW, X)


def _ask_last(lineage: Lineage, problem: Problem, unit: str) -> Callable[[Any], Array] | None:
    """Return the last step's output of the matrix, or None where it is not that of the whole pipeline."""
    decode = _name_columns(lineage)
    try:
        first = decode(np.asarray(lineage.matrix, dtype=float))
        ask, own, _ = find_output(lineage.last, first, problem)
        return (lambda z: ask(decode(np.asarray(z)))) if own == unit else None
    except Exception:  # it reads no plain numbers
        return None


def _name_columns(lineage: Lineage) -> Callable[[Any], Any]:
    """Return what turns an array into what the last step was fitted on: a table with names, or an array."""
    named = list(getattr(lineage.last, "feature_names_in_", ()))
    return lambda z: pd.DataFrame(z, columns=named) if named else z


def _read_categories(model: Any, X: pd.DataFrame, served: Array, unit: str, classes: list[Any]) -> Parts:
    """Take boosted trees apart that encode texts or categories themselves."""
    steps, last = split_model(model)
    codes = trace_columns(Pipeline([*((str(n), step) for n, step in enumerate(steps)), ("own", last._preprocessor)]), X)
    if codes.matrix is None:
        raise BadModel(f"the columns that {type(last).__name__} reads cannot be told apart")
    place = np.argsort(np.argsort(~last.is_categorical_, kind="stable"), kind="stable")
    given = X
    for step in steps:
        given = step.transform(given)
    return Parts(last, codes.matrix.iloc[:, place], codes.sources, refuse, served, unit, classes, codes.way, given)


def ask_together(ask: Callable[[Any], Any], changed: Iterable[pd.DataFrame], size: int) -> Iterator[Any]:
    """Yield a model's answer to each of many tables of one size, asking about several at once."""
    rest = iter(changed)
    while part := list(islice(rest, max(TOGETHER // max(size, 1), 1))):
        said = ask(pd.concat(part, ignore_index=True))
        yield from (said[start : start + size] for start in range(0, size * len(part), size))


def find_output(model: Any, X: Any, problem: Problem) -> tuple[Callable[[Any], Array], str, list[Any]]:
    """Return what is explained: the log-odds if the model adds them up, else the probability, or the prediction."""
    task = problem.task
    if task == "regression":
        return lambda Z: np.asarray(model.predict(Z), dtype=float).reshape(-1, 1), "units of the target", [""]
    margin, chance = _find_margin(model), hasattr(model, "predict_proba")
    if margin is None and not chance:
        raise BadModel(
            f"{type(model).__name__} gives no probabilities, so there is nothing to explain: let it vote softly "
            "(voting='soft'), or wrap it in sklearn's CalibratedClassifierCV"
        )
    classes = list(model.classes_)
    place = classes.index(find_class(problem.positive, classes)) if task == "binary" and len(classes) > 1 else 0
    names, pick = (classes, slice(None)) if task == "multiclass" else ([""], [place])

    def decide(Z: Any) -> Array:
        assert margin
        scores = np.asarray(margin(Z), dtype=float)
        return np.column_stack([-scores, scores])[:, pick] if scores.ndim == 1 else scores[:, pick]

    if margin and (not chance or _is_log_odds(margin, model, X)):
        return decide, "log-odds" if chance else "margin", names
    return lambda Z: np.asarray(model.predict_proba(Z), dtype=float)[:, pick], "probability", names


def _find_margin(model: Any) -> Callable[[Any], Any] | None:
    """Return what gives the score that a model adds up, if anything does."""
    last = split_model(model)[1]
    if kind := gives_own(last):
        return lambda Z: model.predict(Z, **{"raw_score" if kind == "lightgbm" else "output_margin": True})
    if find_line(last):
        return lambda Z: special.logit(model.predict_proba(Z)[:, 1])
    return getattr(model, "decision_function", None)


def _is_log_odds(margin: Callable[[Any], Any], model: Any, X: Any) -> bool:
    """Return whether the probabilities are the logistic (or softmax) function of the margin."""
    scores, chance = (np.asarray(margin(X), dtype=float), np.asarray(model.predict_proba(X), dtype=float))
    scores = np.column_stack([np.zeros(len(scores)), scores]) if scores.ndim == 1 else scores
    if scores.shape != chance.shape:
        return False
    return bool(np.allclose(special.softmax(scores, axis=1), chance, atol=1e-6))
