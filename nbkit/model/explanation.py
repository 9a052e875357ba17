"""Explanations: how much each raw column moved each prediction, checked against the model that is served."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from nbkit.errors import BadModel
from nbkit.model.candidates import as_table
from nbkit.model.intervals import Array, bootstrap, percentile_interval
from nbkit.model.outcome import check_task, find_class

TOLERANCE, ROUNDING = 1e-3, 1e-9  # of the spread of the model's output; of its size
SLOW_ROWS, SLOW_BACKGROUND = 100, 20  # of the method that works for any model
NODES = 150_000_000  # tree nodes visited in some 20 seconds
TREES = ("RandomForest", "ExtraTrees", "HistGradientBoosting", "DecisionTree")


@dataclass(frozen=True)
class Explanation:
    """How much each raw column moved each prediction away from the base.

    Attributes
    ----------
    values
        Rows by raw columns, in `unit`; multi-class: a first column `class`, the rows once per class.
    base
        Class to the output before any column is known ("" where there is one output only).
    importance
        Columns `feature`, `mean_abs`, `low`, `high` (95 %, bootstrap over rows), `share`, `rank`.
    check
        One row: `method`, `rows`, `error` (largest gap of base + sum of values to the model's output), `spread` (of
        that output), `relative`, `top5_stable` (share of resamples with the same five first columns).
    unit
        "log-odds", "probability" or "units of the target".
    """

    values: pd.DataFrame
    base: pd.Series
    importance: pd.DataFrame
    check: pd.DataFrame
    unit: str


@dataclass(frozen=True)
class _Parts:
    """A fitted pipeline taken apart: the matrix that its last step reads, and where the columns come from."""

    last: Any
    matrix: pd.DataFrame
    sources: dict[str, list[str]]
    output: Callable[[Any], Array]  # of the matrix, (n, outputs)
    served: Array  # of the whole pipeline on the raw rows, (n, outputs)
    unit: str
    classes: list[Any]


def explain(
    model: Pipeline,
    X: pd.DataFrame,
    *,
    task: str,
    positive: Any = None,
    rows: int = 2000,
    seed: int = 0,
    background: int = 100,
) -> Explanation:
    """Explain a fitted pipeline in terms of the raw columns.

    Trees are explained by TreeSHAP (path-dependent), linear models exactly, any other model by permutation (fewer
    rows). Signed values of encoded columns are summed per raw column. The sums must meet the output of the pipeline.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows.
    X
        Raw rows.
    task, positive
        Of the problem.
    rows
        So many rows are drawn if there are more, fewer if the trees are large; 2,000 give means within some 7 %.
    seed
        For drawing.
    background
        Rows that stand for "the column is not known" (not for trees).

    Raises
    ------
    BadModel
        If the attributions miss the model's output by more than a thousandth of its spread.

    References
    ----------
    Lundberg, S. M. et al. (2020). From local explanations to global understanding with explainable AI for trees. Nature
    Machine Intelligence 2, 56-67.
    """
    check_task(task)
    if not len(X):
        raise BadModel("there are no rows to explain")
    sample = draw_rows(X, min(rows, _affordable_rows(model)), seed)
    parts = _take_apart(model, sample, task, positive)
    tried = []
    for method in _list_methods(parts.last):
        part = (
            parts
            if method is not _by_permutation
            else _take_apart(model, draw_rows(sample, SLOW_ROWS, seed), task, positive)
        )
        values, base = method(part, seed, background)  # (n, columns, outputs), (outputs,)
        error = float(np.abs(values.sum(axis=1) + base - part.served).max())
        spread = float(np.ptp(part.served, axis=0).max())
        tried.append((method.__name__.removeprefix("_by_"), len(part.matrix), error, spread))
        if error <= max(TOLERANCE * spread, ROUNDING * float(np.abs(part.served).max()), ROUNDING):
            return _finish(part, values, base, tried[-1], seed)
    gaps = "; ".join(f"{name} is off by {error:.2g}" for name, _, error, _ in tried)
    raise BadModel(f"no explanation of {type(parts.last).__name__} adds up to its output ({gaps}), so none is given")


# --- taking a pipeline apart


def draw_rows(X: Any, rows: int, seed: int) -> Any:
    """Return at most so many rows of a table or series, drawn at random, in their order."""
    if len(X) <= rows:
        return X
    return X.iloc[np.sort(np.random.default_rng(seed).choice(len(X), rows, replace=False))]


def used_columns(model: Any, X: pd.DataFrame) -> list[str]:
    """List the raw columns that a model reads, in the order of the table."""
    last = model[-1] if isinstance(model, Pipeline) else model
    if hasattr(last, "by"):
        used = {last.by} if isinstance(last.by, str) else set(last.by)
    else:
        first = model[0] if isinstance(model, Pipeline) and len(model) > 1 else None
        used = {raw for names in getattr(first, "sources_", {}).values() for raw in names}
    return [name for name in X.columns if name in used] or list(X.columns)


def _take_apart(model: Any, X: pd.DataFrame, task: str, positive: Any) -> _Parts:
    last = model[-1] if isinstance(model, Pipeline) else model
    if isinstance(model, Pipeline) and len(model) > 1:
        matrix = as_table(model[:-1].transform(X), model[:-1]).set_axis(X.index)
        known = getattr(model[0], "sources_", {})
        sources = {name: list(known.get(name, [name])) for name in matrix.columns}
        named = hasattr(last, "feature_names_in_")
        decode: Callable[[Any], Any] = lambda z: pd.DataFrame(z, columns=matrix.columns) if named else z  # noqa: E731
    else:  # a model of raw rows: its columns as codes, decoded before it is asked
        used = used_columns(model, X)
        coded = {name: pd.factorize(X[name], use_na_sentinel=False) for name in used}
        matrix = pd.DataFrame({name: codes.astype(float) for name, (codes, _) in coded.items()}, index=X.index)
        sources = {name: [name] for name in used}

        def decode(codes: Any) -> pd.DataFrame:
            columns = {n: np.asarray(coded[n][1])[codes[:, i].astype(int)] for i, n in enumerate(used)}
            return pd.DataFrame(columns).astype({name: X[name].dtype for name in used})

    ask, unit, classes = _find_output(last, task, positive)
    served = _find_output(model, task, positive)[0](X)
    return _Parts(last, matrix, sources, lambda codes: ask(decode(np.asarray(codes))), served, unit, classes)


def _find_output(model: Any, task: str, positive: Any) -> tuple[Callable[[Any], Array], str, list[Any]]:
    """Return what is explained: the log-odds if the model adds them up, else the probability, or the prediction."""
    if task == "regression":
        return lambda X: np.asarray(model.predict(X), dtype=float).reshape(-1, 1), "units of the target", [""]
    classes = list(model.classes_)
    if task == "binary":
        place = classes.index(find_class(positive, classes)) if len(classes) > 1 else 0
        if hasattr(model, "decision_function"):
            sign = 1.0 if place else -1.0
            return lambda X: sign * np.asarray(model.decision_function(X)).reshape(-1, 1), "log-odds", [""]
        return lambda X: np.asarray(model.predict_proba(X))[:, [place]], "probability", [""]
    if hasattr(model, "decision_function"):
        return lambda X: np.asarray(model.decision_function(X)), "log-odds", classes
    return lambda X: np.asarray(model.predict_proba(X)), "probability", classes


# --- the methods: each returns values (n, columns, outputs) and base (outputs,)


def _affordable_rows(model: Any) -> int:
    """Return how many rows TreeSHAP can explain in some 20 seconds, from the size of the trees, not from a clock."""
    last = model[-1] if isinstance(model, Pipeline) else model
    trees = [tree.tree_.node_count for tree in np.ravel(getattr(last, "estimators_", [])) if hasattr(tree, "tree_")]
    trees += [len(tree.nodes) for step in getattr(last, "_predictors", []) for tree in step]
    return max(SLOW_ROWS, NODES // max(int(sum(trees)), 1))


def _list_methods(last: Any) -> list[Callable[..., tuple[Array, Array]]]:
    if any(type(last).__name__.startswith(name) for name in TREES):
        return [_by_trees, _by_permutation]
    return [_by_weights, _by_permutation] if hasattr(last, "coef_") else [_by_permutation]


def _import_shap() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import, which takes seconds, warns about matplotlib
        import shap
    return shap


def _by_trees(parts: _Parts, seed: int, background: int) -> tuple[Array, Array]:
    shap = _import_shap()
    matrix = parts.matrix.to_numpy(dtype=np.float32).astype(float)  # as forests read it
    if type(parts.last).__name__.startswith("HistGradientBoosting"):
        matrix = parts.matrix.to_numpy(dtype=float)
    explainer = shap.TreeExplainer(parts.last)
    values = np.asarray(explainer.shap_values(matrix, check_additivity=False), dtype=float)
    values = values if values.ndim == 3 else values[:, :, None]
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=float))
    return _match_outputs(values, base, parts)


def _match_outputs(values: Array, base: Array, parts: _Parts) -> tuple[Array, Array]:
    """Bring shap's outputs (one per class, or one for the last) to those that are explained."""
    wanted = parts.served.shape[1]
    if values.shape[2] == wanted and wanted > 1:
        return values, base
    guesses = [(values[:, :, [k]], base[[k]]) for k in range(values.shape[2])]
    guesses += [(-part, -start) for part, start in guesses]
    return min(guesses, key=lambda guess: float(np.abs(guess[0].sum(axis=1) + guess[1] - parts.served).max()))


def _by_weights(parts: _Parts, seed: int, background: int) -> tuple[Array, Array]:
    coef = np.atleast_2d(parts.last.coef_)
    intercept = np.atleast_1d(parts.last.intercept_)
    matrix = parts.matrix.to_numpy(dtype=float)
    middle = draw_rows(parts.matrix, background, seed).to_numpy(dtype=float).mean(axis=0)
    values = (matrix - middle)[:, :, None] * coef.T[None]
    return _match_outputs(values, intercept + coef @ middle, parts)


def _by_permutation(parts: _Parts, seed: int, background: int) -> tuple[Array, Array]:
    shap = _import_shap()
    around = draw_rows(parts.matrix, min(background, SLOW_BACKGROUND), seed).to_numpy(dtype=float)
    explainer = shap.PermutationExplainer(parts.output, shap.maskers.Independent(around, len(around)), seed=seed)
    found = explainer(parts.matrix.to_numpy(dtype=float), max_evals=4 * parts.matrix.shape[1] + 2, silent=True)
    values, base = np.asarray(found.values, dtype=float), np.asarray(found.base_values, dtype=float)
    values = values if values.ndim == 3 else values[:, :, None]
    return values, np.atleast_1d(base[0] if base.ndim else base)


# --- putting it together


def _finish(parts: _Parts, values: Array, base: Array, tried: tuple[str, int, float, float], seed: int) -> Explanation:
    raw = list(dict.fromkeys(name for names in parts.sources.values() for name in names))
    share = np.zeros((len(parts.matrix.columns), len(raw)))
    for place, name in enumerate(parts.matrix.columns):
        for source in parts.sources[name]:
            share[place, raw.index(source)] += 1 / len(parts.sources[name])
    summed = np.einsum("nco,cr->nro", values, share)
    frames = []
    for output, name in enumerate(parts.classes):
        frame = pd.DataFrame(summed[:, :, output], columns=raw, index=parts.matrix.index)
        if len(parts.classes) > 1:
            frame.insert(0, "class", str(name))
        frames.append(frame)
    importance, stable = _rank(np.abs(summed).mean(axis=2), raw, seed)
    method, rows, error, spread = tried
    check = {"method": method, "rows": rows, "error": error, "spread": spread, "relative": error / max(spread, 1e-12)}
    start = pd.Series(base, index=[str(name) for name in parts.classes], name="base")
    return Explanation(
        pd.concat(frames), start, importance, pd.DataFrame([{**check, "top5_stable": stable}]), parts.unit
    )


def _rank(size: Array, names: list[str], seed: int) -> tuple[pd.DataFrame, float]:
    """Rank columns by mean size (n, columns), with intervals and the share of resamples with the same first five."""
    mean = size.mean(axis=0)
    drawn = (
        bootstrap({"m": lambda w: w @ size / w.sum(axis=1, keepdims=True)}, len(size), draws=200, seed=seed)["m"]
        if len(size) > 1
        else mean[None]
    )
    order = np.argsort(-mean, kind="stable")
    first = set(order[:5].tolist())
    stable = float(np.mean([set(np.argsort(-row, kind="stable")[:5].tolist()) == first for row in drawn]))
    limits = [percentile_interval(drawn[:, place]) for place in order]
    table = pd.DataFrame({"feature": np.asarray(names, dtype=object)[order], "mean_abs": mean[order]})
    table["feature"] = table["feature"].astype(str)
    table = table.assign(low=[low for low, _ in limits], high=[high for _, high in limits])
    return table.assign(share=table["mean_abs"] / max(mean.sum(), 1e-12), rank=np.arange(1, len(table) + 1)), stable
