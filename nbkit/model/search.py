"""Searches of scikit-learn run with a fixed number of threads, here or on a cluster, and what they found as a table."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from nbkit.model.metrics import METRICS, Metric, score
from nbkit.model.predictions import predict
from nbkit.problem import Problem
from nbkit.stats import Array

CLUSTER = "NBKIT_CLUSTER"  # an environment variable: the address of a Dask scheduler whose workers do the fits


@dataclass(frozen=True)
class Scorer:
    """The problem's metric as scikit-learn's `scoring` wants it: the higher the better.

    Attributes
    ----------
    problem
        What is predicted.
    metric
        Its metric: where a search scores in another process, the module that defines it is imported there with it.
    """

    problem: Problem
    metric: Metric | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", METRICS.get(self.problem.metric))

    def __call__(self, model: Any, X: pd.DataFrame, y: "pd.Series[Any]") -> float:
        """Score a fitted model."""
        if isinstance(model, Pipeline) and _is_forest(model[-1]):
            model[-1].set_params(n_jobs=1)  # trees that are summed side by side may differ in the last digit
        predictions = predict(model, X.assign(**{self.problem.target: y}), self.problem)
        value = float(score(predictions, self.problem.metric, draws=0)["value"].iloc[0])
        return float(METRICS[self.problem.metric].turn(value))


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


def fit(model: Any, X: pd.DataFrame, y: "pd.Series[Any]", *, threads: int = 2) -> Any:
    """Fit a model in place with a fixed number of threads, on which boosted trees depend; return it."""
    last = model[-1] if isinstance(model, Pipeline) else model
    parallel = _is_forest(last)
    with threadpool_limits(limits=threads):
        if parallel:
            last.set_params(n_jobs=threads)
        model.fit(X, y)
        if parallel:
            last.set_params(n_jobs=None)
    return model


def mean_std(values: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each row over the folds that gave a number; NaN if none did.

    Twelve digits: the last of sixteen depend on where in memory the numbers happen to lie.
    """
    known = pd.DataFrame(values).where(np.isfinite(values))
    both = known.mean(axis=1), known.std(axis=1, ddof=0)
    mean, std = (np.array([float(f"{value:.12g}") for value in each]) for each in both)
    return mean, std


def _is_forest(estimator: Any) -> bool:
    """Return whether an estimator fits its trees side by side, with the same result for any number of jobs."""
    return type(estimator).__module__.startswith("sklearn.ensemble") and "n_jobs" in estimator.get_params()


def run_search(search: Any, part: pd.DataFrame, problem: Problem, threads: int) -> tuple[pd.DataFrame, Any, float]:
    """Fit a search; return the table of its trials, the estimator with the best setting, and that setting's mean."""
    search = clone(search)
    folds = search.cv
    if "refit" in search.get_params():
        search.set_params(refit=False)
    inner = search.estimator
    if os.environ.get(CLUSTER) and isinstance(inner, Pipeline):
        search.estimator = LimitedPipeline(clone(inner).steps, threads=threads)
    elif isinstance(inner, Pipeline) and _is_forest(inner[-1]):
        search.estimator = clone(inner).set_params(**{f"{inner.steps[-1][0]}__n_jobs": threads})
    X, y = problem.separate(part)
    with threadpool_limits(limits=threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fold that cannot be fitted or scored is NaN, which is what the table says
        try:
            with _use_cluster(os.environ.get(CLUSTER, "")):
                search.fit(X, y)
            results = search.cv_results_
        except ValueError:  # not one fit worked: let the reason speak, or blame the folds
            fit(clone(inner), X, y, threads=threads)
            many = len(folds) if isinstance(folds, list) else 1
            results = {"params": [{}], **{f"split{fold}_test_score": np.array([np.nan]) for fold in range(many)}}
    table, best = _tabulate(results, problem, len(part))
    return table, clone(inner).set_params(**results["params"][best]), float(table["mean"][best])


@contextlib.contextmanager
def _use_cluster(address: str) -> Iterator[None]:
    """Let joblib send fits to a Dask cluster; without an address they are done here."""
    if not address:
        yield
        return
    from distributed import Client
    from joblib import parallel_config

    with Client(address, timeout=10), parallel_config("dask"):
        yield


def _tabulate(results: dict[str, Any], problem: Problem, rows: int) -> tuple[pd.DataFrame, int]:
    """Return the table of trials, and the place of the best in it."""
    splits = [name for name in results if name.startswith("split") and name.endswith("_test_score")]
    values = np.stack([results[name] for name in splits], axis=1)
    mean, std = mean_std(values)
    used = np.asarray(results.get("n_resources", np.full(len(mean), rows)))
    settings = [{name.removeprefix("model__"): value for name, value in params.items()} for params in results["params"]]
    texts = [json.dumps(setting, sort_keys=True, default=str) for setting in settings]
    value = mean if METRICS[problem.metric].better == "higher" else -mean
    facts = {"trial": np.arange(len(mean)), "params": texts, "mean": value, "std": std}
    table = pd.DataFrame({**facts, "folds": np.isfinite(values).sum(axis=1), "rows": used})
    last = np.where(used == used.max(), mean, -np.inf)  # of a halving search only the last round counts
    return table, int(np.argmax(np.where(np.isfinite(last), last, -np.inf)))
