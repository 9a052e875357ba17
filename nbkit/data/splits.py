"""A table is cut into training, validation, test and production windows that share nothing."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbkit.data.labels import UNTIL, label_rows, read_times
from nbkit.data.sources import take_snapshot
from nbkit.errors import BadSplit
from nbkit.problem import Problem
from nbkit.wording import suggest

PARTS = ("train", "valid", "test")
SUMMARY = ("split", "rows", "share", "first", "last", "target_mean", "classes")


@dataclass(frozen=True)
class Splits:
    """The parts of a table, in the order of the table.

    Parameters
    ----------
    train, valid, test
        What a model learns from, is chosen on, and is judged on.
    windows
        Name to the rows of a later window, in order; may be empty.
    summary
        One row a part: split, rows, share, first, last (time, or empty), target_mean (the rate of the positive class,
        or the mean; NaN for many classes), classes (their shares, in words). The last two are given for train and valid
        only: what the target is like in test and in the windows is first seen in 07 and 11.
    positions
        The place of each row of train in the table, from 0.
    """

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    windows: dict[str, pd.DataFrame]
    summary: pd.DataFrame
    positions: np.ndarray


def split_table(table: pd.DataFrame, spec: dict[str, Any], problem: Problem) -> Splits:
    """Cut a table into parts.

    Parameters
    ----------
    table
        The rows.
    spec
        ``{by: time, train_until:, valid_until:, test_until:, windows: month|week|day}``: a part ends *before* its date;
        what is later than ``test_until`` goes to windows named 2013-06, 2013-W23 or 2013-06-01.
        ``{by: time|position|random|stratified|group, valid: 0.2, test: 0.2, production: 0.2, windows: 2}``: shares of
        the rows (the rest is train); windows are named rows-1, rows-2. By position, the first rows of the table are
        train and the last ones the windows; numbers of rows may stand for the shares, as ``train_until: 700,
        valid_until: 800, test_until: 900``.
    problem
        By its time: a date without an offset is read in the column's own zone; a column without a zone is taken as it
        stands; rows of one moment stay together. By its group: no value straddles two parts. Membership by shares is
        decided by the order of a hash of its keys (else of the whole row) and its seed: it does not depend on the order
        of rows, and identical rows stay together.

    Returns
    -------
    Splits
        Train, valid, test, windows and a summary.

    Raises
    ------
    BadSplit
        If a part would be empty, a time or target is missing, a class is absent from train, or the spec is wrong.
    """
    table = table.reset_index(drop=True)
    labels = label_rows(table, spec, problem)
    rows: dict[str, Any] = {str(name): np.flatnonzero(labels == name) for name in dict.fromkeys(labels)}
    names = [*PARTS, *sorted(set(rows) - set(PARTS), key=lambda name: (len(name), name))]
    parts = {name: table.iloc[rows.get(name, [])].reset_index(drop=True) for name in names}
    found = {name: parts[name] for name in PARTS}
    _refuse_bad_parts(found, problem)
    windows = {name: parts[name] for name in names[len(PARTS) :]}
    summary = [_summarize(name, part, len(table), problem) for name, part in parts.items()]
    return Splits(**found, windows=windows, summary=pd.DataFrame(summary), positions=rows["train"])


def _refuse_bad_parts(parts: dict[str, pd.DataFrame], problem: Problem) -> None:
    target, task, positive = problem.target, problem.task, problem.positive
    sizes = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
    for name, part in parts.items():
        if not len(part):
            raise BadSplit(f"{name} would be empty ({sizes} rows): move the dates or change the shares")
        if gone := int(part[target].isna().sum()):
            raise BadSplit(f"{gone} of {len(part)} rows in {name} have no {target}: leave them out in the query")
        numbers = pd.to_numeric(part[target], errors="coerce") if task == "regression" else part[target].notna()
        if odd := int((~np.isfinite(numbers.to_numpy(dtype="float64", na_value=np.nan))).sum()):
            words = f"{odd} of {len(part)} rows in {name} have a {target} that is not a finite number"
            raise BadSplit(f"{words}: correct the query")
    if task == "regression":
        return
    learnt = set(parts["train"][target].unique())
    if task == "binary" and positive is not None and positive not in learnt:
        shown = ", ".join(sorted(str(one) for one in learnt)[:5])
        raise BadSplit(f"no row of train has {target} {positive!r}, only {shown}")
    for name in ("valid", "test"):
        if unseen := sorted(str(value) for value in set(parts[name][target].unique()) - learnt):
            shown = ", ".join(unseen[:5])
            raise BadSplit(f"{name} has classes that train has not: {shown}; split stratified, or later")
    if len(learnt) < 2:
        raise BadSplit(f"all of train has {target} {next(iter(learnt))}: nothing to learn; change the split")


def _summarize(name: str, part: pd.DataFrame, total: int, problem: Problem) -> dict[str, Any]:
    task, positive, time = problem.task, problem.positive, problem.time
    values, classes, mean = part[problem.target].dropna(), "", float("nan")
    if name not in ("train", "valid"):
        pass  # nobody looks at these before 07 and 11
    elif task == "regression":
        with np.errstate(over="ignore"):  # the sum of huge values
            mean = float(values.mean())
    else:
        rates = values.value_counts(normalize=True)
        classes = ", ".join(f"{level}: {rates[level]:.1%}" for level in sorted(rates.index, key=str))
    if task == "binary" and name in ("train", "valid"):
        mean = float((values == (values.max() if positive is None else positive)).mean())
    first, last = (str(part[time].min()), str(part[time].max())) if time in part.columns else ("", "")
    share = len(part) / total
    return dict(zip(SUMMARY, (name, len(part), share, first, last, mean, classes), strict=True))


def pin_split(spec: dict[str, Any], splits: Splits, time: str) -> dict[str, Any]:
    """Turn a split by shares of time into one by the dates at which its parts began: rows to come do not move those.

    Parameters
    ----------
    spec
        As for `split_table`.
    splits
        What came of it.
    time
        The column of times.

    Returns
    -------
    dict
        `spec` itself if it is not by shares of time or position. What comes after all rows will be a window.
    """
    by = spec.get("by", "time" if time else "random")
    if by not in ("time", "position") or any(spec.get(key) for key in UNTIL):
        return spec
    if by == "position":
        ends = np.cumsum([len(part) for part in (splits.train, splits.valid, splits.test)]).tolist()
        return {"by": by, **dict(zip(UNTIL, ends, strict=True)), "windows": spec.get("windows", 1)}
    later = [read_times(part[time]).min() for part in splits.windows.values()]
    valid, test = read_times(splits.valid[time]), read_times(splits.test[time])
    limits = [valid.min(), test.min(), min(later) if later else test.max() + pd.Timedelta("1us")]
    if any(pd.isna(limit) for limit in limits):
        return spec
    dates = {key: limit.isoformat() for key, limit in zip(UNTIL, limits, strict=True)}
    return {"by": "time", **dates, "windows": spec.get("windows", "month")}


def read_rows(
    ingest: dict[str, Any], problem: Problem, window: str = "", *, source: str = "", root: str | os.PathLike[str] = "."
) -> pd.DataFrame:
    """Return the rows that a monitor looks at: a window, or train, valid, test; the sources are read again.

    Parameters
    ----------
    ingest
        The params of 02_ingest, kept in a version's lineage: sources, query, rows, split.
    problem
        What is predicted.
    window
        The window's name; the first if empty.
    source
        A file or URL that holds the rows, instead of the sources of `ingest`.
    root
        What relative paths start from.

    Raises
    ------
    BadSplit
        If there is no such window; with the nearest name.
    BadSource
        If a source cannot be read.
    """
    if source:
        return take_snapshot({"window": source}, root=root).table
    splits = _split_again(ingest, problem, root)
    name = window or next(iter(splits.windows), "")
    parts = {**splits.windows, "train": splits.train, "valid": splits.valid, "test": splits.test}
    if name not in parts:
        known = suggest(name, splits.windows) or "; there are no windows: set `production` or `test_until` in the split"
        raise BadSplit(f"no window {name!r}{known}")
    return parts[name]


def list_windows(ingest: dict[str, Any], problem: Problem, *, root: str | os.PathLike[str] = ".") -> list[str]:
    """List the names of the windows, in order.

    Parameters
    ----------
    ingest, problem
        As for `read_rows`.
    root
        The folder that relative files are looked up in.
    """
    return list(_split_again(ingest, problem, root).windows)


def _split_again(ingest: dict[str, Any], problem: Problem, root: str | os.PathLike[str]) -> Splits:
    if absent := [key for key in ("sources", "split") if not ingest.get(key)]:
        raise BadSplit(f"the params of ingestion lack {', '.join(absent)}: give all that 02_ingest was given")
    given: dict[str, Any] = {"rows": ingest.get("rows", 0), "seed": problem.seed, "keys": problem.keys}
    table = take_snapshot(ingest["sources"], ingest.get("query", ""), root=root, **given).table
    return split_table(table, ingest["split"], problem)
