"""Which methods may explain a model; and models made of models, explained through their parts where that is exact."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from nbkit.errors import BadModel
from nbkit.explanation.exact import NODES, by_trees, by_weights, count_nodes, is_trees, match_outputs
from nbkit.explanation.shapley import SLOW_BACKGROUND, SLOW_ROWS, TIMES, Parts, by_permutation, refuse, try_method
from nbkit.lineage import trace_columns
from nbkit.stats import Array

PARTED = ("CalibratedClassifierCV", "VotingClassifier", "VotingRegressor")
FEWEST = 50  # rows that are explained however little time there is


def list_methods(last: Any) -> list[Callable[..., Any]]:
    """List the methods that may explain an estimator, the exact one first."""
    if is_trees(last):
        return [by_trees, by_permutation]
    if type(last).__name__ in PARTED:
        return [by_parts, by_permutation]
    return [by_weights, by_permutation] if hasattr(last, "coef_") else [by_permutation]


def affordable_rows(last: Any, budget_s: float) -> int:
    """Return how many rows can be explained in so many seconds, from the size of the trees; without trees, any.

    By permutation alone no more are asked about than it needs, rows and backgrounds.
    """
    if list_methods(last) == [by_permutation]:
        return SLOW_ROWS + TIMES[1] * SLOW_BACKGROUND
    nodes = sum(count_nodes(each) for each in (last, *(part for _, _, part, _ in _list_parts(last))))
    return max(1, int(NODES * budget_s / max(nodes, 1)))


def by_parts(parts: Parts, seed: int, background: int) -> tuple[Array, Array]:
    """Explain a mean of models by the mean of their values, a straight line of a model's margin by that line.

    Raises
    ------
    BadModel
        If a part cannot be explained exactly, or what is made of the parts is neither a mean nor a straight line.
    """
    names = list(parts.matrix.columns)
    frame = parts.given if isinstance(parts.given, pd.DataFrame) else parts.matrix
    every: list[Any] = list(_list_parts(parts.last))
    if not every:
        raise BadModel("its answer is no mean and no straight line of its parts'")
    values: Any = 0.0
    base: Any = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a part that learned from an array is given names
        for weight, shift, model, ask in every:
            found = _explain_part(model, frame, ask(model, frame), seed, background)
            share = found.parts.spread_sources(names)
            values = values + weight * np.einsum("nco,cr->nro", found.values, share)
            base = base + weight * found.base + shift
    return match_outputs(values, base, parts)


def find_line(last: Any) -> tuple[float, float] | None:
    """Return slope and shift of the log-odds over the margin of the only part of a calibrated model, or None."""
    fitted: Any = getattr(last, "calibrated_classifiers_", ())
    if len(fitted) != 1 or len(last.classes_) != 2 or fitted[0].method not in ("sigmoid", "temperature"):
        return None
    found = fitted[0].calibrators[0]
    return (-found.a_, -found.b_) if fitted[0].method == "sigmoid" else (2 * found.beta_, 0.0)


def _list_parts(last: Any) -> Iterator[tuple[float, float, Any, Callable[[Any, Any], Array]]]:
    """Yield weight and shift of each part, itself, and what gives its answer: (n, outputs)."""
    if type(last).__name__ == "CalibratedClassifierCV" and (line := find_line(last)):
        yield *line, _unwrap(last.calibrated_classifiers_[0].estimator), _ask_margin
    elif type(last).__name__ == "VotingRegressor" or getattr(last, "voting", "") == "soft":
        given = getattr(last, "_weights_not_none", None)
        weights = np.ones(len(last.estimators_)) if given is None else np.asarray(given, dtype=float)
        ask = _ask_chances if hasattr(last, "classes_") else _ask_number
        for weight, part in zip(weights / weights.sum(), last.estimators_, strict=True):
            yield float(weight), 0.0, _unwrap(part), ask


def _unwrap(model: Any) -> Any:
    return model.estimator if isinstance(model, FrozenEstimator) else model


def _ask_chances(model: Any, rows: Any) -> Array:
    chances = np.asarray(model.predict_proba(rows), dtype=float)
    return chances[:, 1:] if chances.shape[1] == 2 else chances


def _ask_number(model: Any, rows: Any) -> Array:
    return np.asarray(model.predict(rows), dtype=float).reshape(-1, 1)


def _ask_margin(model: Any, rows: Any) -> Array:
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(rows), dtype=float).reshape(-1, 1)
    return _ask_chances(model, rows)


def _explain_part(model: Any, frame: pd.DataFrame, served: Array, seed: int, background: int) -> Any:
    """Explain one part exactly; in columns of its own matrix."""
    lineage = trace_columns(model, frame)
    if lineage.matrix is not None:
        named = hasattr(lineage.last, "feature_names_in_")
        given = lineage.matrix if named else lineage.matrix.to_numpy()
        own = Parts(lineage.last, lineage.matrix, lineage.sources, refuse, served, "", [], lineage.way, given)
        for method in list_methods(lineage.last)[:-1]:
            found, _ = try_method(method, own, seed, background)
            if found is not None:
                return found
    raise BadModel(f"{type(lineage.last).__name__} in it has no exact explanation")
