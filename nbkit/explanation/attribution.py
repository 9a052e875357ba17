"""Explanations: how much each raw column moved each prediction, checked against the model that is served."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from sklearn.pipeline import Pipeline

from nbkit.errors import BadModel
from nbkit.explanation import ensembles
from nbkit.explanation.served import take_apart
from nbkit.explanation.shapley import SLOW_ROWS, Found, find_spread, try_method
from nbkit.lineage import list_engineered, split_model
from nbkit.model.train import draw_rows
from nbkit.problem import Problem
from nbkit.stats import Array, bootstrap, percentile_interval
from nbkit.wording import format_count


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
        far a single value of the least certain column is off at most, in 9 of 10 draws; 0 for exact methods),
        `sampling_share` (of the spread), `traced` (how the raw columns were found), `more` (what more time would buy).
    data
        The raw rows that were explained.
    target
        What is predicted.
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
    target: str = ""

    def in_points(self) -> tuple[pd.DataFrame, str, "pd.Series[Any]"]:
        """Return values in the unit that people use, the unit's name, and the base of each class in it.

        Probabilities are told in percentage points ("points"). The log-odds of a row are scaled so that their sum is
        the whole way from the base to the row's probability; those of several classes stay log-odds, as the
        probability of one depends on the others. Units of a target stay as they are.
        """
        parts = self.values.drop(columns="class", errors="ignore")
        if self.unit == "probability":
            return self.values.assign(**(100 * parts)), "points", 100 * self.base
        if self.unit != "log-odds" or len(self.base) > 1:
            return self.values, "" if self.unit == "units of the target" else self.unit, self.base
        start = float(self.base.iloc[0])
        moved = parts.sum(axis=1)
        near = moved.abs() < 1e-9
        ends = special.expit(start + moved) - special.expit(start)
        scale = ends.where(~near, special.expit(start) * special.expit(-start)) / moved.where(~near, 1.0)
        return 100 * parts.mul(scale, axis=0), "points", 100 * special.expit(self.base)

    def to_shap(self) -> Any:
        """Return a ``shap.Explanation`` for shap's own plots: rows by raw columns, by classes if there are several.

        Examples
        --------
        At the desk::

            shap.plots.beeswarm(explanation.to_shap())
            shap.plots.waterfall(explanation.to_shap()[0])
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import, which takes seconds, warns about matplotlib
            import shap
        classes, several = list(self.base.index), len(self.base) > 1
        parted = self.values.groupby("class", sort=False) if several else [("", self.values)]
        parts = [part.drop(columns="class", errors="ignore") for _, part in parted]
        names = list(parts[0].columns)
        stacked = np.stack([part.to_numpy(dtype=float) for part in parts], axis=2)
        base = np.tile(self.base.to_numpy(dtype=float), (len(self.data), 1))
        found = (stacked, base) if several else (stacked[:, :, 0], base[:, 0])
        facts = {"feature_names": names, "output_names": classes if several else None}
        return shap.Explanation(*found, self.data[names].to_numpy(dtype=object), **facts)


def explain(
    model: Pipeline,
    rows: pd.DataFrame,
    problem: Problem,
    *,
    limit: int = 2000,
    background: int = 100,
    budget_s: float = 20.0,
) -> Explanation:
    """Explain a fitted pipeline in terms of the raw columns.

    Trees are explained by TreeSHAP (path-dependent; LightGBM and XGBoost by their own), linear models exactly; voting
    and calibrated models through their parts, where their answer is the mean of these or a straight line of one; any
    other model by permutation (fewer rows), which is done several times, with other rows as background, so that its
    error is known. Each split of boosted trees by category counts as a column, and what these move is summed.
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
        So many rows are drawn if there are more; 2,000 give means within some 7 %.
    background
        Rows that stand for "the column is not known" (not for trees).
    budget_s
        Seconds of CPU that may be spent: fewer rows are explained if trees are large, but 50. For trees it is reckoned
        from the model's size, not by a clock, so that the same inputs give the same values on any machine. Where a
        model must be asked (by permutation) a clock tells what a row takes, and rows and background are halved until
        the budget is kept, down to 12 rows against 5.

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
    last = split_model(model)[1]
    afforded = max(ensembles.affordable_rows(last, budget_s), ensembles.FEWEST)
    sample = draw_rows(X, min(limit, afforded), seed)
    tried: list[str] = []
    for parts in take_apart(model, sample, problem):
        for method in ensembles.list_methods(parts.last):
            found, gap = try_method(method, parts, seed, background, budget_s)
            if found is not None:
                return _finish(found, X, problem, min(limit, len(X)))
            tried.append(f"{method.__name__.removeprefix('by_')} {gap}")
    raise BadModel(f"no explanation of {type(last).__name__} adds up to its output ({'; '.join(tried)}); none is given")


def _finish(found: Found, X: pd.DataFrame, problem: Problem, wanted: int) -> Explanation:
    parts = found.parts
    raw = list(dict.fromkeys(name for names in parts.sources.values() for name in names))
    share = parts.spread_sources(raw)
    summed = np.einsum("nco,cr->nro", found.values, share)
    frames = [pd.DataFrame(part, parts.matrix.index, raw) for part in np.moveaxis(summed, 2, 0)]
    for frame, name in zip(frames, parts.classes, strict=True) if len(frames) > 1 else ():
        frame.insert(0, "class", str(name))
    size = np.abs(summed).mean(axis=2)
    data = X[~X.index.duplicated()].loc[parts.matrix.index]
    importance, stable = _rank(size, raw, problem, data)
    scale = max(spread := find_spread(parts), 1e-12)
    check = {"method": found.method, "rows": len(parts.matrix), "error": found.error, "spread": spread}
    check |= {"relative": found.error / scale, "top5_stable": stable, "sampling": found.sampling}
    more = _say_more(found, wanted, importance)
    check |= {"sampling_share": found.sampling / scale, "traced": parts.way, "more": more}
    start = pd.Series(found.base, index=[str(name) for name in parts.classes], name="base")
    engineered, weights = _weigh(found, X, share > 0, dict(zip(raw, size.mean(axis=0), strict=True)))
    made: dict[str, Any] = {"engineered": engineered, "weights": weights, "data": data, "target": problem.target}
    return Explanation(pd.concat(frames), start, importance, pd.DataFrame([check]), parts.unit, **made)


def _say_more(found: Found, wanted: int, importance: pd.DataFrame) -> str:
    """Say what more time would buy: how much narrower the interval of the strongest column would be."""
    rows, sampled = len(found.parts.matrix), found.method == "permutation"
    wanted = min(wanted, SLOW_ROWS) if sampled and found.spared > 1 else wanted
    if sampled and rows == SLOW_ROWS < wanted:
        return f"A model of this kind is explained on at most {format_count(rows, 'row')}, whatever the budget."
    if rows >= wanted or not len(importance):
        more = f"With {found.spared:.1f} times the time the values would be {found.spared**0.5:.1f} times as sure."
        all_ = f"More time would buy nothing: all {format_count(rows, 'row')} asked for are explained."
        return more if found.spared > 1 else all_
    first = importance.iloc[0]
    now = (first["high"] - first["low"]) / 2 / max(first["mean_abs"], 1e-12)
    then, longer = now * (rows / wanted) ** 0.5, max(wanted / rows, found.spared)
    return (
        f"With {longer:.1f} times the time {wanted:,} rows instead of {rows:,} would be explained, and the "
        f"share of the strongest column would be known to ±{then:.0%} of it instead of ±{now:.0%}."
    )


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


def _rank(size: Array, names: list[str], problem: Problem, data: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Rank columns by mean size (n, columns), with intervals and the share of resamples with the same first five."""
    mean = size.mean(axis=0)
    weigh = {"m": lambda w: w @ size / w.sum(axis=1, keepdims=True)}
    means = bootstrap(weigh, len(size), draws=200, seed=problem.seed, groups=problem.blocks(data))["m"]
    drawn = means if len(size) > 1 else mean[None]
    order = np.argsort(-mean, kind="stable")
    first = set(order[:5].tolist())
    stable = float(np.mean([set(np.argsort(-row, kind="stable")[:5].tolist()) == first for row in drawn]))
    limits = np.array([percentile_interval(drawn[:, place]) for place in order]).reshape(-1, 2)
    table = pd.DataFrame({"feature": [str(names[place]) for place in order], "mean_abs": mean[order]})
    table = table.assign(low=limits[:, 0], high=limits[:, 1], share=table["mean_abs"] / max(mean.sum(), 1e-12))
    return table.assign(rank=np.arange(1, len(table) + 1)), stable
