"""Which columns, alone or in company, predict the target too well to be true."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from nbkit.columns import bound_numbers, take_labelled, take_sample
from nbkit.leakage.codes import find_code
from nbkit.leakage.company import find_company
from nbkit.leakage.copies import Found, find_copies
from nbkit.leakage.learn import UNUSUAL, Sample, judge_strength, make_folds, outcome_columns
from nbkit.problem import Problem

COLUMNS = ["columns", "suspect", "reason", "score", "evidence"]
LONGEST = 50_000  # rows in which copies are looked for
COMPANY_ROWS = 6_000
MANY_ROWS = 100  # of fewer, a class or two that a column does not tell are a matter of chance
FEW, DECIDED = 50, 0.99  # levels of a column that says where another is missing, and in which share of rows it does
ROUNDS = 6  # each takes one suspect set away and looks again


def find_leakage(table: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """Find columns that predict the target unusually well, and those that are too good to be true.

    Each column alone, and whether it is missing, predicts rows that it has not seen (a small tree, five folds). Then
    columns in company: copies of the target of another row, means of the target, formulas of two and three columns,
    the levels of two columns together, and a linear and a boosting model on all that is left. At most 20,000 rows are
    used, but for copies.

    Parameters
    ----------
    table
        The rows, of train only where a verdict hangs on the others, in the order of their source.
    problem
        What is predicted; copies of the target of an earlier row are looked for along its time and group, too.

    Returns
    -------
    DataFrame
        columns (a list of names), suspect (whether they are too good to be true), reason, score (the root of the share
        of the target's variance that held-out predictions explain), evidence; suspects first, then by score.
    """
    with threadpool_limits(1):  # the models are small, and threads that wait for each other cost more than they save
        return _find(bound_numbers(take_labelled(table, problem.target, problem.task)), problem)


def _find(whole: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    target, task, seed = problem.target, problem.task, problem.seed
    rows = take_sample(whole, seed).reset_index(drop=True)
    outcome = outcome_columns(rows[target], task)
    if len(rows) < 10 or (task != "regression" and outcome.shape[1] > len(rows) / 5):
        return _list([])
    folds = make_folds(rows[target], task, seed)
    sample = Sample(rows.drop(columns=target), rows[target], task, seed, outcome, folds)
    found = [one for name in sample.table.columns if (one := _look_alone(sample, name))]
    left = sample.table.columns.drop(_suspects(found))
    found += find_copies(whole[[*left, target]].head(LONGEST), problem)
    left = left.drop(left.intersection(_suspects(found)))
    fewer = sample.take(np.sort(np.random.default_rng(seed).permutation(len(rows))[:COMPANY_ROWS]))
    for _ in range(ROUNDS):
        news = find_company(replace(fewer, table=fewer.table[left]))
        found += news
        if not (gone := _suspects(news)):
            break
        left = left.drop(gone)
    return _list(found).sort_values(["suspect", "score"], ascending=False, kind="stable", ignore_index=True)


def _list(found: list[Found]) -> pd.DataFrame:
    return pd.DataFrame(found, columns=COLUMNS).astype({"suspect": bool})


def find_target_copies(table: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """Find columns computed from the target of several rows: copies of another row's, moving means, encodings.

    Only all rows can show that, test among them: nothing is learned of the target, and no number of it is shown.

    Parameters
    ----------
    table
        All rows that have a target, in the order of their source.
    problem
        As in `find_leakage`.

    Returns
    -------
    DataFrame
        As `find_leakage`.
    """
    with threadpool_limits(1):
        rows = bound_numbers(take_labelled(table, problem.target, problem.task))
        return _list(find_copies(rows, problem))


def list_suspects(leaks: pd.DataFrame) -> list[str]:
    """List the columns that stand in a suspect row of `find_leakage`, each once."""
    return list(leaks.loc[leaks["suspect"], "columns"].explode().drop_duplicates())


def _suspects(found: list[Found]) -> list[str]:
    return list(dict.fromkeys(name for names, suspect, *_ in found if suspect for name in names))


def _look_alone(sample: Sample, name: str) -> Found | None:
    column = sample.table[name]
    score = sample.score(column)
    reason, suspect = judge_strength(score, sample.task)
    if suspect and not sample.is_number and len(column) < MANY_ROWS and score < 1:
        reason, suspect = judge_strength(UNUSUAL, sample.task)
    evidence = f"a small tree of it alone explains {score**2:.1%} of the target's variance"
    if not suspect and column.isna().any():
        gone = sample.score(column.isna())
        by_absence = judge_strength(gone, sample.task, absence=True)
        if by_absence[1] and (other := _find_explanation(column.isna(), sample.table.drop(columns=name))):
            by_absence = (f"is missing where {other} says so, look at it", False)
        if by_absence[1] or (by_absence[0] and not reason):
            (reason, suspect), score = by_absence, gone
            evidence = _describe_absence(sample, column.isna().to_numpy())
    if not suspect and (code := find_code(sample, column, score)):
        (reason, score, evidence), suspect = code, True
    return ([name], suspect, reason, score, evidence) if reason else None


def _find_explanation(gone: "pd.Series[Any]", others: pd.DataFrame) -> str:
    """Return a column of few levels that decides where another is missing; empty if there is none."""
    for name in others.columns:
        if others[name].nunique() > FEW:
            continue
        levels = pd.factorize(others[name].astype("str"), use_na_sentinel=False)[0]
        size = np.bincount(levels)
        share = np.bincount(levels, weights=gone) / size
        if (np.maximum(share, 1 - share) * size).sum() >= DECIDED * len(gone) and share.max() - share.min() > 0.5:
            return str(name)
    return ""


def _describe_absence(sample: Sample, gone: np.ndarray) -> str:
    shown = sample.target.to_numpy(dtype="float64") if sample.is_number else sample.outcome[:, -1]
    return f"mean of the target {shown[gone].mean():.3g} where missing, {shown[~gone].mean():.3g} where not"
