"""Training: every candidate is tuned by cross-validation on the train split and scored on the valid split."""

import time as clock
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import learning_curve as sklearn_learning_curve
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from nbkit.errors import BadModel
from nbkit.model.candidates import CANDIDATES, make_candidate
from nbkit.model.intervals import mark_blocks
from nbkit.model.metrics import DECIDES, METRICS, find_metric, score_predictions
from nbkit.model.outcome import check_task, predict
from nbkit.model.search import (
    SEARCHES,
    Scorer,
    draw_rows,
    find_grid,
    fit,
    list_settings,
    make_folds,
    mean_std,
    search_settings,
)
from nbkit.model.selection import compare_with_best
from nbkit.wording import suggest

PREFER = ("best", "simple")


@dataclass(frozen=True)
class Training:
    """What training gave.

    Attributes
    ----------
    models
        Candidate to its fitted pipeline, from raw rows to predictions.
    search
        One row per trial: candidate, trial (0 is the default), params (JSON), mean, std (of the metric over folds),
        folds, rows (used per trial).
    scores
        On the valid split: candidate, metric, value, low, high, n, better, note.
    best
        The candidate that goes on: with the best value of the metric on the valid split, or the simplest that cannot
        be told apart from that one.
    timings
        Candidate, seconds, fits; apart from the rest, which is the same in every run.
    top
        The candidate with the best value of the metric on the valid split.
    against
        Every other candidate against `top` on the same rows of the valid split: candidate, difference (by how much
        `top` is better, in units of the metric), low, high (95 % for all pairs of candidates together, paired
        bootstrap), verdict ("worse" or "cannot tell").
    """

    models: dict[str, Pipeline]
    search: pd.DataFrame
    scores: pd.DataFrame
    best: str
    timings: pd.DataFrame
    top: str
    against: pd.DataFrame


def train_candidates(
    recipe: Any,
    train: pd.DataFrame,
    valid: pd.DataFrame,
    *,
    target: str,
    task: str,
    positive: Any = None,
    candidates: Sequence[str] = ("dummy", "linear", "boosting"),
    metric: str = "",
    search: str = "random",
    trials: int = 10,
    folds: int = 3,
    time: str = "",
    group: str = "",
    ordered: bool = False,
    block: str = "day",
    grids: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    class_weight: Any = None,
    rule: Any = None,
    prefer: str = "best",
    sample: int = 0,
    seed: int = 0,
    threads: int = 2,
) -> Training:
    """Tune, fit and score candidates.

    Parameters
    ----------
    recipe
        An unfitted transformer from raw rows to a table of floats.
    train, valid
        Tables with all raw columns and the target; the best setting is fitted on all of `train` and never on `valid`.
    target, task, positive
        Of the problem.
    candidates
        Names from `CANDIDATES`.
    metric
        Decides; roc_auc, log_loss or mae if empty, by task.
    search
        "random" (`trials` settings drawn from the grid), "grid" (all), "halving" (`trials` settings, on ever more rows,
        the better third going on) or "none". Each search begins with the default setting.
    trials, folds
        Settings per candidate; folds of cross-validation.
    time
        If named, folds follow time: trained on what was before, scored on what came after.
    group
        If named, rows of a group stay in one fold; with time, a fold learns from earlier rows of other groups.
    ordered
        Whether rows were split by position: without time and group, folds then follow their place in the table.
    block
        What the intervals on the valid split resample together, see `mark_blocks`.
    grids
        Candidate to its grid, instead of the one in `CANDIDATES`.
    class_weight, rule
        As in `make_candidate`.
    prefer
        "best" takes the candidate with the best value on the valid split; "simple" the simplest, in the order of
        `CANDIDATES` without dummy and rule, that cannot be told apart from it there. That is the idea of the
        one-standard-error rule, with a paired interval instead of a standard error.
    sample
        Rows that the search uses, drawn at random; 0 for all.
    seed
        For everything random.
    threads
        OpenMP threads: boosted trees depend on their number, so it is part of the result.

    Raises
    ------
    BadModel
        If a name is unknown, a column is missing, or the target has nothing to learn from.

    References
    ----------
    Breiman, L., Friedman, J., Olshen, R. and Stone, C. (1984). Classification and Regression Trees. Wadsworth, section
    3.4.3. Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning. Springer, section
    7.10.
    """
    metric = find_metric(metric or DECIDES[check_task(task)], task).name
    if not candidates:
        raise BadModel("no candidates to train; name at least one, such as 'boosting'")
    if search not in SEARCHES:
        raise BadModel(f"no search {search!r}; there are {', '.join(SEARCHES)}")
    if prefer not in PREFER:
        raise BadModel(f"prefer is {prefer!r}{suggest(prefer, PREFER)}")
    train, valid = _check(train, target, task, "train", [time, group]), _check(valid, target, task, "valid", [])
    if time:
        train = train.sort_values(time, kind="stable")
    rows = draw_rows(len(train), sample, seed)
    blocks = mark_blocks(valid, time=time, group=group, every=block)
    facts: dict[str, Any] = {"task": task, "positive": positive, "seed": seed, "groups": blocks}
    models, trials_seen, scores, timings, said = {}, [], [], [], {}
    for name in dict.fromkeys(candidates):
        start = clock.perf_counter()
        make: dict[str, Any] = {"task": task, "seed": seed, "class_weight": class_weight, "rule": rule}
        pipeline = make_candidate(name, recipe, **make)
        grid = find_grid(name, grids or {}, pipeline[-1].get_params())
        settings = list_settings(grid, search, trials, seed)
        scorer = Scorer(metric, task, positive)
        part = train.iloc[rows]
        cv = make_folds(part, target, task, folds, time, group, seed, ordered=ordered)
        table, chosen = search_settings(pipeline, part, target, settings, cv, scorer, search, threads)
        model = make_candidate(name, recipe, **make, params=chosen)
        models[name] = fit(model, train.drop(columns=target), train[target], threads=threads)
        said[name] = predict(model, valid.drop(columns=target), task, positive)
        seen = score_predictions(valid[target], said[name], **facts)
        trials_seen.append(table.assign(candidate=name))
        scores.append(seen.reset_index().assign(candidate=name))
        timings.append((name, clock.perf_counter() - start, len(table) * folds + 1))
        print(f"{name}: {metric} {float(seen['value'][metric]):.4g} on the valid split", flush=True)  # noqa: T201
    board = pd.concat(scores, ignore_index=True)
    columns = ["candidate", "metric", "value", "low", "high", "n", "better", "note"]
    top = _find_best(board, metric, scorer)
    against = _compare_candidates(said, valid[target], top, metric, facts)
    return Training(
        models,
        pd.concat(trials_seen, ignore_index=True)[["candidate", "trial", "params", "mean", "std", "folds", "rows"]],
        board[columns],
        _choose(top, against) if prefer == "simple" else top,
        pd.DataFrame(timings, columns=["candidate", "seconds", "fits"]),
        top,
        against,
    )


def learning_curve(
    pipeline: Pipeline,
    train: pd.DataFrame,
    *,
    target: str,
    task: str,
    positive: Any = None,
    metric: str = "",
    sizes: Sequence[float] = (0.1, 0.3, 0.6, 1.0),
    folds: int = 3,
    time: str = "",
    group: str = "",
    ordered: bool = False,
    seed: int = 0,
    threads: int = 2,
) -> pd.DataFrame:
    """Score a pipeline trained on more and more rows, which tells whether more data would pay.

    Parameters
    ----------
    pipeline
        It is copied, so a fitted one stays as it is.
    train
        Table with the target.
    target, task, positive, metric, folds, time, group, ordered, seed, threads
        As in `train_candidates`.
    sizes
        Shares of the rows of a fold.

    Returns
    -------
    DataFrame
        Columns `rows`, `split` ("train": the rows learned from; "cross-validation": the rows left out), `value`
        (mean over folds) and `std`.
    """
    metric = find_metric(metric or DECIDES[check_task(task)], task).name
    train = _check(train, target, task, "train", [time, group])
    train = train.sort_values(time, kind="stable") if time else train
    scorer = Scorer(metric, task, positive)
    with threadpool_limits(limits=threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fold with one class is NaN, which is what the table says
        rows, fitted, left_out = sklearn_learning_curve(
            clone(pipeline),
            train.drop(columns=target),
            train[target],
            train_sizes=list(sizes),
            cv=make_folds(train, target, task, folds, time, group, seed, ordered=ordered),
            scoring=scorer,
            shuffle=True,
            random_state=seed,
        )
    parts = []
    for split, values in (("train", fitted), ("cross-validation", left_out)):
        turned = values if METRICS[metric].better == "higher" else -values
        mean, std = mean_std(turned)
        parts.append(pd.DataFrame({"rows": rows, "split": split, "value": mean, "std": std}))
    return pd.concat(parts, ignore_index=True)


def _check(table: pd.DataFrame, target: str, task: str, split: str, columns: Sequence[str]) -> pd.DataFrame:
    for name in [target, *filter(None, columns)]:
        if name not in table.columns:
            raise BadModel(
                f"the {split} split has no column {name!r}; it has {', '.join(map(str, table.columns[:20]))}"
            )
    known = table[table[target].notna()]
    if not len(known):
        raise BadModel(f"the {split} split has no row with a value of {target!r}")
    if split == "train" and task != "regression" and known[target].nunique() < 2:
        raise BadModel(f"{target!r} is {known[target].iloc[0]!r} in every row of the train split: nothing to learn")
    return known


def _find_best(board: pd.DataFrame, metric: str, scorer: Scorer) -> str:
    rows = board[board["metric"] == metric]
    turned = [scorer.turn(value) if np.isfinite(value) else -np.inf for value in rows["value"]]
    return str(rows["candidate"].iloc[int(np.argmax(turned))])


def _compare_candidates(
    said: Mapping[str, Any], y: "pd.Series[Any]", top: str, metric: str, facts: Mapping[str, Any]
) -> pd.DataFrame:
    found = compare_with_best(y, said, metric, **facts)
    table = found.table.drop(index=top).reindex([name for name in said if name != top]).rename_axis("candidate")
    return table.reset_index()[["candidate", "difference", "low", "high", "verdict"]]


def _choose(top: str, against: pd.DataFrame) -> str:
    """Return the simplest candidate that cannot be told apart from the best; CANDIDATES are in order of simplicity."""
    level = against[(against["verdict"] == "cannot tell") & against["difference"].notna()]["candidate"]
    alike = {top, *level} - {"dummy", "rule"}
    return top if top in ("dummy", "rule") else next(name for name in CANDIDATES if name in alike)
