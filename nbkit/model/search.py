"""The search: settings of a candidate tried by cross-validation that respects time and groups."""

import contextlib
import json
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    ParameterGrid,
    ParameterSampler,
    StratifiedKFold,
)
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from nbkit.errors import BadModel
from nbkit.model.candidates import CANDIDATES, find_candidate
from nbkit.model.intervals import Array
from nbkit.model.metrics import METRICS, evaluate
from nbkit.wording import suggest

CLUSTER = "NBKIT_CLUSTER"  # an environment variable: the address of a Dask scheduler whose workers do the fits
SEARCHES = ("random", "grid", "halving", "none")


@dataclass(frozen=True)
class Scorer:
    """A metric as scikit-learn wants it: the higher the better."""

    metric: str
    task: str
    positive: Any = None

    def __call__(self, model: Any, X: pd.DataFrame, y: pd.Series) -> float:
        """Score a fitted model."""
        if isinstance(model, Pipeline) and _is_forest(model[-1]):
            model[-1].set_params(n_jobs=1)  # trees that are summed side by side may differ in the last digit
        table = evaluate(model, X, y, [self.metric], task=self.task, positive=self.positive, draws=0)
        return self.turn(float(table["value"].iloc[0]))

    def turn(self, value: float) -> float:
        """Turn a value of the metric into one that is the higher the better; twice for lower gives it back."""
        better = METRICS[self.metric].better
        return value if better == "higher" else -abs(value) if better == "zero" else -value


class LimitedPipeline(Pipeline):  # type: ignore[misc]
    """A pipeline that is fitted with the same number of threads on whatever machine does it.

    Parameters
    ----------
    steps
        As of any pipeline.
    threads
        OpenMP and BLAS threads.
    """

    def __init__(self, steps: list[Any], *, threads: int = 1) -> None:
        super().__init__(steps)
        self.threads = threads

    def fit(self, X: pd.DataFrame, y: Any = None, **params: Any) -> Self:
        """Fit with so many threads."""
        with threadpool_limits(limits=self.threads):
            super().fit(X, y, **params)
        return self


def fit(pipeline: Pipeline, X: pd.DataFrame, y: pd.Series, *, threads: int = 2) -> Pipeline:
    """Fit a pipeline with a fixed number of threads, on which boosted trees depend.

    Parameters
    ----------
    pipeline
        Fitted in place, and returned.
    X, y
        Rows and target.
    threads
        OpenMP and BLAS threads.
    """
    last = pipeline[-1]
    parallel = _is_forest(last)
    with threadpool_limits(limits=threads):
        if parallel:
            last.set_params(n_jobs=threads)
        pipeline.fit(X, y)
        if parallel:
            last.set_params(n_jobs=None)
    return pipeline


def _is_forest(estimator: Any) -> bool:
    """Tell whether an estimator fits its trees side by side, with the same result for any number of jobs."""
    return "n_jobs" in estimator.get_params() and hasattr(estimator, "n_estimators")


def draw_rows(n: int, sample: int, seed: int) -> Array:
    """Return the positions of a random sample, in order; all of them if `sample` is 0 or too many."""
    if not 0 < sample < n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, sample, replace=False))


def find_grid(name: str, grids: Mapping[str, Mapping[str, Any]], known: Collection[str]) -> dict[str, list[Any]]:
    """Return the values to try per parameter of a candidate; a parameter it has not is refused."""
    for stranger in set(grids) - set(CANDIDATES):
        find_candidate(stranger)
    grid = grids.get(name, CANDIDATES[name].grid)
    for key in grid:
        if key not in known:
            raise BadModel(f"the grid of {name!r} has a parameter {key!r} that it does not know{suggest(key, known)}")
    plain = (str, bytes, int, float, bool, type(None))
    return {key: [values] if isinstance(values, plain) else list(values) for key, values in grid.items()}


def list_settings(grid: Mapping[str, Sequence[Any]], search: str, trials: int, seed: int) -> list[dict[str, Any]]:
    """List the settings to try, the default first; without a search the one that a grid of single values gives.

    Examples
    --------
    >>> list_settings({"max_depth": [4, 8], "learning_rate": [0.1]}, "none", 0, 0)
    [{'learning_rate': 0.1}]
    """
    if search == "none":
        return [{key: values[0] for key, values in grid.items() if len(values) == 1}]
    if not grid or trials < 1:
        return [{}]
    every = ParameterGrid(grid)
    if search == "grid" or trials - 1 >= len(every):
        return [{}, *every]
    return [{}, *ParameterSampler(every.param_grid[0], trials - 1, random_state=seed)]


def make_folds(
    part: pd.DataFrame,
    target: str,
    task: str,
    folds: int,
    time: str,
    group: str,
    seed: int,
    *,
    ordered: bool = False,
) -> list[tuple[Array, Array]]:
    """Return (learned from, left out) positions per fold: along time, by groups, or stratified, in this order.

    Rows of one moment stay together. With time and group, what a fold learns from came before and is of other groups.
    Without either, rows that are `ordered` follow their place in the table.
    """
    y = part[target]
    folds = max(2, min(folds, len(part) // 2))
    if len(part) < 4:
        raise BadModel(f"{len(part)} rows are too few to cross-validate; use search='none' or more rows")
    groups = _code_groups(part[group]) if group else None
    if time or (ordered and groups is None):
        moments = pd.factorize(part[time], sort=True)[0] if time else np.arange(len(part))
        cut = _cut_time(moments, folds, time)
        return cut if groups is None else _part_groups(cut, groups, y if task != "regression" else None, (time, group))
    if groups is not None:
        known = int(groups.max()) + 1
        if known < 2:
            raise BadModel(f"{group!r} has one value only: its rows cannot be told apart into folds")
        return list(GroupKFold(min(folds, known)).split(part, y, groups))
    rarest = 0 if task == "regression" else int(y.value_counts().min())
    if rarest >= folds:
        return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(part, y.astype(str)))
    return list(KFold(folds, shuffle=True, random_state=seed).split(part))


def _code_groups(column: "pd.Series[Any]") -> Array:
    return pd.factorize(column.astype(object).where(column.notna(), ""))[0]


def _cut_time(moments: Array, folds: int, time: str) -> list[tuple[Array, Array]]:
    """Cut rows into folds along time, each scored on what came after what it learns from; at starts of moments only."""
    order = np.argsort(moments, kind="stable")
    starts = np.flatnonzero(np.diff(moments[order])) + 1
    if not len(starts):
        raise BadModel(f"all rows have the same {time!r}: they cannot be cut into folds along time")
    size = max(len(order) // (folds + 1), 1)
    wanted = len(order) - size * np.arange(folds, 0, -1)
    edges = np.unique([starts[np.abs(starts - edge).argmin()] for edge in wanted])
    return [(order[:edge], order[edge:after]) for edge, after in zip(edges, [*edges[1:], len(order)], strict=True)]


def _part_groups(
    cut: list[tuple[Array, Array]], groups: Array, classes: Any, names: tuple[str, str]
) -> list[tuple[Array, Array]]:
    """Leave out of what a fold learns from the groups it is scored on; folds that learn nothing are dropped."""
    parted = [(before[~np.isin(groups[before], groups[after])], after) for before, after in cut]
    kept = [
        (before, after)
        for before, after in parted
        if len(before) > 1 and (classes is None or classes.iloc[before].nunique() > 1)
    ]
    if not kept:
        time, group = names
        raise BadModel(
            f"no fold can follow {time!r} and keep the groups of {group!r} apart: each group goes on through time, so "
            "nothing is left to learn from; name only one of them, or use search='none'"
        )
    return kept


def search_settings(
    pipeline: Pipeline,
    part: pd.DataFrame,
    target: str,
    settings: list[dict[str, Any]],
    cv: list[tuple[Array, Array]],
    scorer: Scorer,
    search: str,
    threads: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Cross-validate the settings; return the table of trials and the best setting."""
    if os.environ.get(CLUSTER):
        pipeline = LimitedPipeline(clone(pipeline).steps, threads=threads)
    elif _is_forest(pipeline[-1]):
        pipeline = clone(pipeline).set_params(model__n_jobs=threads)
    points = [{f"model__{key}": [value] for key, value in setting.items()} for setting in settings]
    kind = HalvingGridSearchCV if search == "halving" and len(points) > 1 else GridSearchCV
    more = {"min_resources": "exhaust", "random_state": 0} if kind is HalvingGridSearchCV else {}
    tuner = kind(pipeline, points, scoring=scorer, cv=cv, refit=False, error_score=np.nan, **more)
    with threadpool_limits(limits=threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fold that cannot be fitted or scored is NaN, which is what the table says
        try:
            with _lend_cluster(os.environ.get(CLUSTER, "")):
                tuner.fit(part.drop(columns=target), part[target])
            results = tuner.cv_results_
        except ValueError:  # not one fit worked: let the reason speak, or blame the folds
            fit(clone(pipeline), part.drop(columns=target), part[target], threads=threads)
            results = {"params": [{}], **{f"split{fold}_test_score": np.array([np.nan]) for fold in range(len(cv))}}
    return _tabulate(results, len(cv), scorer, len(part))


@contextlib.contextmanager
def _lend_cluster(address: str) -> Iterator[None]:
    """Let joblib send fits to a Dask cluster; without an address they are done here."""
    if not address:
        yield
        return
    from distributed import Client
    from joblib import parallel_config

    with Client(address, timeout=10), parallel_config("dask"):
        yield


def _tabulate(results: dict[str, Any], folds: int, scorer: Scorer, rows: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    values = np.stack([results[f"split{fold}_test_score"] for fold in range(folds)], axis=1)
    mean, std = mean_std(values)
    chosen = [{key.removeprefix("model__"): value for key, value in params.items()} for params in results["params"]]
    used = np.asarray(results.get("n_resources", np.full(len(mean), rows)))
    table = pd.DataFrame(
        {
            "trial": np.arange(len(mean)),
            "params": [json.dumps(params, sort_keys=True, default=str) for params in chosen],
            "mean": mean if METRICS[scorer.metric].better == "higher" else -mean,
            "std": std,
            "folds": np.isfinite(values).sum(axis=1),
            "rows": used,
        }
    )
    last = np.where(used == used.max(), mean, -np.inf)  # of a halving search only the last round counts
    return table, chosen[int(np.argmax(np.where(np.isfinite(last), last, -np.inf)))]


def mean_std(values: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each row over the folds that gave a number; NaN if none did.

    Twelve digits: the last of sixteen depend on where in memory the numbers happen to lie.
    """
    known = np.isfinite(values)
    count = known.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, values, 0).sum(axis=1) / count
        spread = np.where(known, (values - mean[:, None]) ** 2, 0).sum(axis=1) / count
    both = np.where(count > 0, [mean, np.sqrt(spread)], np.nan)
    mean, std = (np.array([float(f"{value:.12g}") for value in values]) for values in both)
    return mean, std
