"""Training: searches and pipelines fitted with a fixed number of threads, here or on a cluster."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.model_selection import learning_curve as sklearn_learning_curve
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from nbkit.errors import BadModel
from nbkit.formats import check_loadable
from nbkit.model.metrics import METRICS, find_metric
from nbkit.model.search import Scorer, fit, mean_std, run_search
from nbkit.problem import Problem
from nbkit.stats import TOLERANCE, t_quantile
from nbkit.wording import describe, format_count, format_estimate, format_value, suggest

TRIALS = ["candidate", "trial", "params", "mean", "std", "folds", "rows"]


@dataclass(frozen=True)
class Training:
    """Fitted candidates.

    Attributes
    ----------
    models
        Name to the fitted pipeline, from raw rows to predictions.
    trials
        One row per setting that a search tried: candidate, trial (from 0), params (JSON), mean, std (of the metric over
        folds), folds (that gave a number), rows (used).
    """

    models: dict[str, Any]
    trials: pd.DataFrame


def draw_rows(X: Any, rows: int, seed: int) -> Any:
    """Return at most so many rows of a table or series, drawn at random, in their order; all of them if `rows` is 0."""
    if not 0 < rows < len(X):
        return X
    return X.iloc[np.sort(np.random.default_rng(seed).choice(len(X), rows, replace=False))]


def draw_settings(space: Mapping[str, Any], trials: int, seed: int) -> list[dict[str, list[Any]]]:
    """List settings for scikit-learn's `GridSearchCV`: the defaults first, then others drawn from a space.

    Parameters
    ----------
    space
        Parameter to a list of values, or to a distribution of scipy.
    trials
        How many settings in all; with 1 or less the defaults alone.
    seed
        Of the draw.

    Examples
    --------
    >>> draw_settings({"model__max_depth": [4, 8]}, 3, 0)
    [{}, {'model__max_depth': [4]}, {'model__max_depth': [8]}]
    """
    if not space or trials < 2:
        return [{}]
    listed = all(isinstance(values, Sequence) for values in space.values())
    if listed and trials - 1 >= len(every := ParameterGrid({name: list(values) for name, values in space.items()})):
        drawn = list(every)
    else:
        drawn = list(ParameterSampler(dict(space), trials - 1, random_state=seed))
    return [{}, *({name: [value] for name, value in setting.items()} for setting in drawn)]


def pick(candidates: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the candidates of these names, in their order.

    Raises
    ------
    BadModel
        If there is no such candidate; the message says which is nearest.

    Examples
    --------
    >>> pick({"linear": 1, "boosting": 2}, ["boosting"])
    {'boosting': 2}
    """
    for name in names:
        if name not in candidates:
            raise BadModel(f"no candidate {name!r} in 06_train{suggest(name, candidates)}")
    return {name: candidates[name] for name in names}


def fit_each(
    candidates: Mapping[str, Any], train: pd.DataFrame, problem: Problem, *,
    sample: pd.DataFrame | None = None, threads: int = 2,
) -> Training:  # fmt: skip
    """Fit candidates on the train split: a search finds its best setting first, any other estimator is fitted as it is.

    Parameters
    ----------
    candidates
        Name to an unfitted estimator or pipeline from raw rows, or to a search of scikit-learn around one (with folds
        of `sample` as its `cv`); the best setting is then fitted on all of `train`.
    train
        Rows with the target.
    problem
        What is predicted.
    sample
        The rows that searches use; `train` if None.
    threads
        OpenMP threads: boosted trees depend on their number, so it is part of the result.

    Raises
    ------
    BadModel
        If there is no candidate, or one gives no probabilities.
    UntrustedType
        If a candidate is made of code that this project does not vouch for: no later stage could load it.
    """
    if not candidates:
        raise BadModel("no candidates to train: name at least one in `candidates`, such as boosting")
    X, y = problem.separate(train)
    part = train if sample is None else sample
    find_metric(problem.metric, problem.task)
    for name, candidate in candidates.items():
        check_candidate(name, candidate, problem)
    models, trials = {}, []
    for name, candidate in candidates.items():
        estimator, said = candidate, ""
        if hasattr(candidate, "estimator") and hasattr(candidate, "cv"):
            table, estimator, reached = run_search(candidate, part, problem, threads)
            trials.append(table.assign(candidate=name))
            said = f"{problem.metric} {reached:.4g} in cross-validation, {format_count(len(table), 'setting')}, "
        models[name] = fit(clone(estimator), X, y, threads=threads)
        print(f"{name}: {said}fitted on {format_count(len(X), 'row')}", flush=True)  # noqa: T201
    found = pd.concat(trials, ignore_index=True) if trials else pd.DataFrame(columns=TRIALS)
    return Training(models, found[TRIALS])


def check_candidate(name: str, candidate: Any, problem: Problem) -> None:
    """Refuse, before anything is trained, a candidate that later stages could not ask or load.

    Raises
    ------
    BadModel
        If it gives no probabilities for classes.
    UntrustedType
        If it is made of code that this project does not vouch for.
    """
    estimator = getattr(candidate, "estimator", candidate) if hasattr(candidate, "cv") else candidate
    if problem.is_classification and not hasattr(estimator, "predict_proba"):
        last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        fault = f"{type(last).__name__} gives no probabilities; wrap it in sklearn's CalibratedClassifierCV"
        raise BadModel(f"candidate {name!r}: {fault}")
    check_loadable(clone(estimator), f"candidate {name!r}")


def learning_curve(
    model: Any, train: pd.DataFrame, problem: Problem, *,
    cv: Any = 3, sizes: Sequence[float] = (0.1, 0.3, 0.6, 1.0), threads: int = 2,
) -> pd.DataFrame:  # fmt: skip
    """Score a model trained on more and more rows, which tells whether more data would pay.

    Parameters
    ----------
    model
        It is copied, so a fitted one stays as it is.
    train
        Rows with the target.
    problem
        What is predicted.
    cv
        Folds, such as `Problem.folds` cuts them.
    sizes
        Shares of the rows of a fold.
    threads
        As in `fit_each`.

    Returns
    -------
    DataFrame
        Columns `rows`, `split` ("train": the rows learned from; "cross-validation": the rows left out), `value`
        (mean over folds), `std`, and `gain` (by how much it is better than with the size before, fold by fold) with
        `gain_low` and `gain_high` (95 %, by Student's t over the folds).
    """
    X, y = problem.separate(train)
    with threadpool_limits(limits=threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fold with one class is NaN, which is what the table says
        asked = {"train_sizes": list(sizes), "cv": cv, "scoring": Scorer(problem)}
        found = sklearn_learning_curve(clone(model), X, y, shuffle=True, random_state=problem.seed, **asked)
        rows, fitted, left_out = found
    parts = []
    for split, values in (("train", fitted), ("cross-validation", left_out)):
        mean, std = mean_std(values if METRICS[problem.metric].better == "higher" else -values)
        gain, spread = mean_std(steps := np.diff(values, axis=0, prepend=np.nan))
        free = [max(int(np.isfinite(each).sum()) - 1, 0) for each in steps]
        half = [t_quantile(n) * off / math.sqrt(n) if n else np.nan for n, off in zip(free, spread, strict=True)]
        facts = {"rows": rows, "split": split, "value": mean, "std": std}
        parts.append(pd.DataFrame({**facts, "gain": gain, "gain_low": gain - half, "gain_high": gain + half}))
    return pd.concat(parts, ignore_index=True)


def summarize_curve(learning: pd.DataFrame, problem: Problem, rows: int) -> list[str]:
    """Say where a learning curve ends, how far apart its lines are there, and whether more rows would help.

    Parameters
    ----------
    learning
        From `learning_curve`.
    problem
        For its metric, and what of it is bearable: `nbkit.stats.TOLERANCE` of its value.
    rows
        All that the model was fitted on.
    """
    ends = {split: part.iloc[-1] for split, part in learning.groupby("split")}
    other, metric, turn = ends["cross-validation"], describe(problem.metric), METRICS[problem.metric].turn
    reach, bearable = (other["value"] - other["std"], other["value"] + other["std"]), TOLERANCE * abs(other["value"])
    seen, unseen = (format_value(ends[split]["value"], *reach) for split in ("train", "cross-validation"))
    said = f"The learning curve ends at {format_count(other['rows'], 'row')}"
    said += f", the most that each fold can learn from (the model has {rows:,})" if other["rows"] < rows else ""
    said += f": {metric} is {seen} on the rows it learned from and {unseen} on others"
    wide = turn(ends["train"]["value"]) - turn(other["value"]) > 2 * max(other["std"], bearable)
    said += ", a wide gap: part of what it learned holds for those rows only." if wide else "."
    sizes = learning.loc[learning["split"] == "cross-validation", "rows"].tolist()
    if len(sizes) < 2:
        return [said]
    answer = "More rows of the same kind would help"
    if other["gain_high"] < bearable:
        answer += " little"
    elif not other["gain_low"] > 0:
        answer = "Whether more rows of the same kind would help cannot be told from these folds"
    gained = format_estimate(other["gain"], other["gain_low"], other["gain_high"])
    return [said, f"{answer}: from {sizes[-2]:,} to {format_count(sizes[-1], 'row')} {metric} improved by {gained}."]
