"""Shapley values of a fitted model, by the method that suits it; each is checked against the model's own output."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.model.train import draw_rows
from nbkit.stats import Array

TOLERANCE, ROUNDING = 1e-3, 1e-9  # of the spread of the model's output; of its size
SLOW_ROWS, SLOW_BACKGROUND = 100, 20  # of the method that works for any model, each time
TIMES, PRECISE = 6, 0.01  # it is done twice to six times, until its error is so small a share of the spread
NODES = 150_000_000  # tree nodes visited in some 20 seconds
TREES = ("RandomForest", "ExtraTrees", "HistGradientBoosting", "DecisionTree", "LGBM")


@dataclass(frozen=True)
class Parts:
    """A fitted pipeline taken apart: the matrix that its last step reads, and where the columns come from."""

    last: Any
    matrix: pd.DataFrame
    sources: dict[str, list[str]]
    output: Callable[[Any], Array]  # of the matrix, (n, outputs)
    served: Array  # of the whole pipeline on the raw rows, (n, outputs)
    unit: str
    classes: list[Any]
    way: str

    def narrow(self, places: Array) -> "Parts":
        """Keep some rows."""
        return replace(self, matrix=self.matrix.iloc[places], served=self.served[places])


@dataclass(frozen=True)
class Found:
    """What a method gave, on the rows of `parts`."""

    method: str
    parts: Parts
    values: Array  # (n, columns, outputs)
    base: Array  # (outputs,)
    error: float
    sampling: float


def try_method(method: Any, parts: Parts, seed: int, background: int) -> tuple[Found | None, str]:
    """Return what a method gives if it adds up and every column that moves anything is traced, else why not."""
    name, sampling = method.__name__.removeprefix("by_"), 0.0
    try:
        if method is by_permutation:
            parts, values, base, sampling = _repeat_permutation(parts, seed, background)
        else:
            values, base = method(parts, seed, background)
    except Exception as error:  # shap refuses a model in many ways
        return None, f"fails ({type(error).__name__}: {error})"
    gap, spread = float(np.abs(values.sum(axis=1) + base - parts.served).max()), find_spread(parts)
    bearable = max(TOLERANCE * spread, ROUNDING * float(np.abs(parts.served).max()), ROUNDING)
    if not gap <= bearable:
        return None, f"is off by {gap:.2g}"
    lost = [place for place, column in enumerate(parts.matrix.columns) if not parts.sources[column]]
    if lost and float(np.abs(values[:, lost]).sum(axis=1).max()) > bearable:
        names = ", ".join(map(str, parts.matrix.columns[lost[:3]]))
        return None, f"gives weight to columns of unknown origin ({names})"
    return Found(name, parts, values, base, gap, sampling), ""


def find_spread(parts: Parts) -> float:
    """Return how far the output ranges over the rows."""
    return float(np.ptp(parts.served, axis=0).max())


def affordable_rows(last: Any) -> int:
    """Return how many rows TreeSHAP can explain in some 20 seconds, from the size of the trees, not from a clock."""
    if not _is_trees(last):
        return SLOW_ROWS * 20
    trees = [tree.tree_.node_count for tree in np.ravel(getattr(last, "estimators_", [])) if hasattr(tree, "tree_")]
    trees += [len(tree.nodes) for step in getattr(last, "_predictors", []) for tree in step]
    return max(SLOW_ROWS, NODES // max(int(sum(trees)), 1))


def _is_trees(last: Any) -> bool:
    return any(type(last).__name__.startswith(name) for name in TREES)


def list_methods(last: Any) -> list[Callable[..., Any]]:
    """List the methods that may explain an estimator, the exact one first."""
    if _is_trees(last):
        return [by_trees, by_permutation]
    return [by_weights, by_permutation] if hasattr(last, "coef_") else [by_permutation]


def _import_shap() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import, which takes seconds, warns about matplotlib
        import shap
    return shap


def by_trees(parts: Parts, seed: int, background: int) -> tuple[Array, Array]:
    """Explain trees by TreeSHAP, path-dependent."""
    if is_lightgbm(parts.last):
        return _ask_lightgbm(parts)
    shap = _import_shap()
    matrix = parts.matrix.to_numpy(dtype=np.float32).astype(float)  # as forests read it
    if type(parts.last).__name__.startswith("HistGradientBoosting"):
        matrix = parts.matrix.to_numpy(dtype=float)
    explainer = shap.TreeExplainer(parts.last)
    values = np.asarray(explainer.shap_values(matrix, check_additivity=False), dtype=float)
    values = values if values.ndim == 3 else values[:, :, None]
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=float))
    return _match_outputs(values, base, parts)


def is_lightgbm(last: Any) -> bool:
    """Return whether an estimator is LightGBM's, which gives its margin and its own Shapley values by `predict`."""
    return type(last).__module__.startswith("lightgbm.")


def _ask_lightgbm(parts: Parts) -> tuple[Array, Array]:
    """Let LightGBM explain itself: for each class its columns, then the base."""
    matrix = parts.matrix.to_numpy(dtype=float)
    told = np.asarray(parts.last.predict(matrix, pred_contrib=True), dtype=float)
    told = told.reshape(len(matrix), -1, matrix.shape[1] + 1)
    return _match_outputs(told[:, :, :-1].transpose(0, 2, 1), told[0, :, -1], parts)


def _match_outputs(values: Array, base: Array, parts: Parts) -> tuple[Array, Array]:
    """Bring shap's outputs (one per class, or one for the last) to those that are explained."""
    wanted = parts.served.shape[1]
    if values.shape[2] == wanted and wanted > 1:
        return values, base
    guesses = [(values[:, :, [k]], base[[k]]) for k in range(values.shape[2])]
    guesses += [(-part, -start) for part, start in guesses]
    return min(guesses, key=lambda guess: float(np.abs(guess[0].sum(axis=1) + guess[1] - parts.served).max()))


def by_weights(parts: Parts, seed: int, background: int) -> tuple[Array, Array]:
    """Explain a linear model exactly, against the mean of some rows."""
    coef = np.atleast_2d(parts.last.coef_)
    intercept = np.atleast_1d(parts.last.intercept_)
    matrix = parts.matrix.to_numpy(dtype=float)
    middle = draw_rows(parts.matrix, background, seed).to_numpy(dtype=float).mean(axis=0)
    values = (matrix - middle)[:, :, None] * coef.T[None]
    return _match_outputs(values, intercept + coef @ middle, parts)


def by_permutation(parts: Parts, seed: int, around: Array) -> tuple[Array, Array]:
    """Explain any model by asking it with columns switched in random order, against the rows `around`."""
    shap = _import_shap()
    explainer = shap.PermutationExplainer(parts.output, shap.maskers.Independent(around, len(around)), seed=seed)
    found = explainer(parts.matrix.to_numpy(dtype=float), max_evals=2 * parts.matrix.shape[1] + 1, silent=True)
    values, base = np.asarray(found.values, dtype=float), np.asarray(found.base_values, dtype=float)
    values = values if values.ndim == 3 else values[:, :, None]
    return values, np.atleast_1d(base[0] if base.ndim else base)


def _repeat_permutation(parts: Parts, seed: int, background: int) -> tuple[Parts, Array, Array, float]:
    """Explain a few rows by permutation several times, each time in other orders and against other rows.

    The sums meet the output by construction, whatever the values are. So the error is measured: how far independent
    repetitions lie apart (root mean square over rows, of the column and output where it is largest).
    """
    rng = np.random.default_rng(seed)
    whole = parts.matrix.to_numpy(dtype=float)
    size = min(background, SLOW_BACKGROUND)
    parts = parts.narrow(np.sort(rng.permutation(len(whole))[:SLOW_ROWS]))
    order = np.concatenate([rng.permutation(len(whole)) for _ in range(TIMES * size // len(whole) + 1)])
    runs: list[tuple[Array, Array]] = []
    error = float("inf")
    while len(runs) < 2 or (len(runs) < TIMES and error > PRECISE * find_spread(parts)):
        around = whole[order[len(runs) * size : (len(runs) + 1) * size]]
        runs.append(by_permutation(parts, seed + len(runs), around))
        if len(runs) > 1:
            spread = np.var([values for values, _ in runs], axis=0, ddof=1) / len(runs)
            error = float(np.sqrt(spread.mean(axis=0).max()))
    values, base = (np.mean([run[place] for run in runs], axis=0) for place in (0, 1))
    return parts, values, base, error
