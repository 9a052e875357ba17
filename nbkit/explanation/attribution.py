"""Explanations: how much each raw column moved each prediction, checked against the model that is served."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from sklearn.pipeline import Pipeline

from nbkit.errors import BadModel, NbkitError
from nbkit.explanation import shapley
from nbkit.explanation.shapley import Found, Parts, affordable_rows, find_spread, try_method
from nbkit.lineage import Lineage, list_engineered, read_columns, split_model, trace_columns
from nbkit.model.train import draw_rows
from nbkit.problem import Problem, find_class
from nbkit.stats import Array, bootstrap, percentile_interval

RAW = "as a whole, from raw rows"


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
    engineered
        The same for columns that the model makes of several raw columns, or of a time: `feature`, `sources`,
        `mean_abs`, `share` (of all movement).
    weights
        What a monitor weighs drift by: `feature` (every raw column, 0 if the model does not read it, and every
        engineered one), `share` (of all movement: what everything made of it moves).
    check
        One row: `method`, `rows`, `error` (largest gap of base + sum of values to the model's output), `spread` (of
        that output), `relative`, `top5_stable` (share of resamples with the same five first columns), `sampling` (how
        far a single value of the least certain column is off, root mean square over rows; 0 for exact methods),
        `sampling_share` (of the spread), `traced` (how the raw columns were found).
    data
        The raw rows that were explained.
    unit
        "log-odds", "margin" (a score that is not log-odds), "probability" or "units of the target".
    """

    values: pd.DataFrame
    base: pd.Series
    importance: pd.DataFrame
    check: pd.DataFrame
    unit: str
    engineered: pd.DataFrame
    weights: pd.DataFrame
    data: pd.DataFrame

    def to_shap(self) -> Any:
        """Return a ``shap.Explanation`` for shap's own plots: rows by raw columns, by classes if there are several.

        Examples
        --------
        At the desk::

            shap.plots.beeswarm(explanation.to_shap())
            shap.plots.waterfall(explanation.to_shap()[0])
        """
        import shap

        classes, several = list(self.base.index), len(self.base) > 1
        parts = [part for _, part in self.values.groupby("class", sort=False)] if several else [self.values]
        parts = [part.drop(columns="class") for part in parts] if several else parts
        names = list(parts[0].columns)
        stacked = np.stack([part.to_numpy(dtype=float) for part in parts], axis=2)
        base = np.tile(self.base.to_numpy(dtype=float), (len(self.data), 1))
        found = (stacked, base) if several else (stacked[:, :, 0], base[:, 0])
        facts = {"feature_names": names, "output_names": classes if several else None}
        return shap.Explanation(*found, self.data[names].to_numpy(dtype=object), **facts)


def explain(
    model: Pipeline, rows: pd.DataFrame, problem: Problem, *, limit: int = 2000, background: int = 100
) -> Explanation:
    """Explain a fitted pipeline in terms of the raw columns.

    Trees are explained by TreeSHAP (path-dependent; LightGBM by its own), linear models exactly, any other model by
    permutation (fewer rows), which is done several times, with other rows as background, so that its error is known.
    Signed values of encoded columns are summed per raw column (see `nbkit.lineage`); where these cannot be traced, the
    model is explained from raw rows by permutation. The sums must meet the output of the pipeline.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows.
    rows
        Raw rows, with or without the target.
    problem
        What is predicted.
    limit
        So many rows are drawn if there are more, fewer if the trees are large; 2,000 give means within some 7 %.
    background
        Rows that stand for "the column is not known" (not for trees).

    Raises
    ------
    BadModel
        If the attributions miss the model's output by more than a thousandth of its spread, or the model gives neither
        a probability nor a margin, or cannot answer.

    References
    ----------
    Lundberg, S. M. et al. (2020). From local explanations to global understanding with explainable AI for trees. Nature
    Machine Intelligence 2, 56-67.
    """
    X, seed = problem.features(rows), problem.seed
    if not len(X):
        raise BadModel("there are no rows to explain")
    sample = draw_rows(X, min(limit, affordable_rows(split_model(model)[1])), seed)
    lineage = trace_columns(model, sample)
    tried: list[str] = []
    for parts in _take_apart(model, lineage, sample, problem):
        for method in shapley.list_methods(parts.last):
            found, gap = try_method(method, parts, seed, background)
            if found is not None:
                return _finish(found, X, seed)
            tried.append(f"{method.__name__.removeprefix('_by_')} {gap}")
    raise BadModel(
        f"no explanation of {type(lineage.last).__name__} adds up to its output ({'; '.join(tried)}); none is given"
    )


def _take_apart(model: Any, lineage: Lineage, X: pd.DataFrame, problem: Problem) -> Iterator[Parts]:
    """Yield the model as its last step on encoded columns, if these are known, then as a whole on raw columns."""
    try:
        ask, unit, classes = _find_output(model, X, problem)
        served = ask(X)
        if lineage.matrix is not None and (read := _ask_last(lineage, problem, unit)) is not None:
            yield Parts(lineage.last, lineage.matrix, lineage.sources, read, served, unit, classes, lineage.way)
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
    yield Parts(None, matrix, sources, lambda codes: ask(decode(codes)), served, unit, classes, RAW)


def _ask_last(lineage: Lineage, problem: Problem, unit: str) -> Callable[[Any], Array] | None:
    """Return the last step's output of the matrix, or None where it is not that of the whole pipeline."""
    named = list(getattr(lineage.last, "feature_names_in_", ()))
    decode: Callable[[Any], Any] = lambda z: pd.DataFrame(z, columns=named) if named else z  # noqa: E731
    try:
        first = decode(np.asarray(lineage.matrix, dtype=float))
        ask, own, _ = _find_output(lineage.last, first, problem)
        return (lambda z: ask(decode(np.asarray(z)))) if own == unit else None
    except Exception:  # it reads no plain numbers
        return None


def _find_output(model: Any, X: Any, problem: Problem) -> tuple[Callable[[Any], Array], str, list[Any]]:
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
    if shapley.is_lightgbm(model[-1] if isinstance(model, Pipeline) else model):
        return lambda Z: model.predict(Z, raw_score=True)
    return getattr(model, "decision_function", None)


def _is_log_odds(margin: Callable[[Any], Any], model: Any, X: Any) -> bool:
    """Return whether the probabilities are the logistic (or softmax) function of the margin."""
    scores, chance = (np.asarray(margin(X), dtype=float), np.asarray(model.predict_proba(X), dtype=float))
    scores = np.column_stack([np.zeros(len(scores)), scores]) if scores.ndim == 1 else scores
    if scores.shape != chance.shape:
        return False
    return bool(np.allclose(special.softmax(scores, axis=1), chance, atol=1e-6))


def _finish(found: Found, X: pd.DataFrame, seed: int) -> Explanation:
    parts = found.parts
    raw = list(dict.fromkeys(name for names in parts.sources.values() for name in names))
    share = np.zeros((len(parts.matrix.columns), len(raw)))
    for place, name in enumerate(parts.matrix.columns):
        for source in parts.sources[name]:
            share[place, raw.index(source)] += 1 / len(parts.sources[name])
    summed = np.einsum("nco,cr->nro", found.values, share)
    frames = [pd.DataFrame(part, parts.matrix.index, raw) for part in np.moveaxis(summed, 2, 0)]
    if len(frames) > 1:
        for frame, name in zip(frames, parts.classes, strict=True):
            frame.insert(0, "class", str(name))
    size = np.abs(summed).mean(axis=2)
    importance, stable = _rank(size, raw, seed)
    spread = find_spread(parts)
    scale = max(spread, 1e-12)
    check = {"method": found.method, "rows": len(parts.matrix), "error": found.error, "spread": spread}
    check |= {"relative": found.error / scale, "top5_stable": stable}
    check |= {"sampling": found.sampling, "sampling_share": found.sampling / scale, "traced": parts.way}
    start = pd.Series(found.base, index=[str(name) for name in parts.classes], name="base")
    engineered, weights = _weigh(found, X, share > 0, dict(zip(raw, size.mean(axis=0), strict=True)))
    data = X[~X.index.duplicated()].loc[parts.matrix.index]
    made = {"engineered": engineered, "weights": weights, "data": data}
    return Explanation(pd.concat(frames), start, importance, pd.DataFrame([check]), parts.unit, **made)


def _weigh(found: Found, X: pd.DataFrame, made: Array, moved: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what engineered columns move, and what everything made of a raw column does."""
    sources, columns = found.parts.sources, list(found.parts.matrix.columns)
    raw, own = list(moved), np.array(list(moved.values()))
    whole = max(float(own.sum()), 1e-12)
    reach = np.maximum(np.abs(np.einsum("nco,cr->nro", found.values, made)).mean(axis=(0, 2)), own) / whole
    size = np.abs(found.values).mean(axis=(0, 2))
    names = list_engineered(sources, X)
    places = [columns.index(name) for name in names]
    words = [", ".join(sources[name]) for name in names]
    table = pd.DataFrame({"feature": names, "sources": words, "mean_abs": size[places], "share": size[places] / whole})
    table = table.sort_values("mean_abs", ascending=False, kind="stable", ignore_index=True)
    shares = {str(name): 0.0 for name in X.columns} | dict(zip(raw, reach, strict=True))
    shares |= dict(zip(table["feature"], table["share"], strict=True))
    weights = pd.DataFrame({"feature": list(shares), "share": np.array(list(shares.values()), dtype=float)})
    return table, weights.assign(share=weights["share"].clip(upper=1.0))


def _rank(size: Array, names: list[str], seed: int) -> tuple[pd.DataFrame, float]:
    """Rank columns by mean size (n, columns), with intervals and the share of resamples with the same first five."""
    mean = size.mean(axis=0)
    means = bootstrap({"m": lambda w: w @ size / w.sum(axis=1, keepdims=True)}, len(size), draws=200, seed=seed)["m"]
    drawn = means if len(size) > 1 else mean[None]
    order = np.argsort(-mean, kind="stable")
    first = set(order[:5].tolist())
    stable = float(np.mean([set(np.argsort(-row, kind="stable")[:5].tolist()) == first for row in drawn]))
    limits = np.array([percentile_interval(drawn[:, place]) for place in order]).reshape(-1, 2)
    table = pd.DataFrame({"feature": [str(names[place]) for place in order], "mean_abs": mean[order]})
    table = table.assign(low=limits[:, 0], high=limits[:, 1], share=table["mean_abs"] / max(mean.sum(), 1e-12))
    return table.assign(rank=np.arange(1, len(table) + 1)), stable
