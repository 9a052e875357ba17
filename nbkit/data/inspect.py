"""A table of one's own is looked at, and a project proposed for it, each decision with its reason."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nbkit.data.explore import column_kind, find_oddities
from nbkit.data.relations import find_leakage
from nbkit.data.sources import Snapshot, take_snapshot
from nbkit.data.splits import split_table
from nbkit.errors import BadSource, BadSplit
from nbkit.wording import say_count, suggest

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "mae"}
LEAST = 50  # rows that a window of the monitor should have
SUSPECT, NAMES_ROW = "too good to be true", "names each row"
NAMES_ONE = re.compile(r"(^|[_\s.-])(id|ID|Id)$|[a-z](Id|ID)$|^(customer|patient|user|subject|client)$")
POSITIVE = ("1", "1.0", "true", "yes", "y", "positive", "churned", "default", "fraud", "bad", "late", "died", ">50k")


@dataclass(frozen=True)
class Inspection:
    """What was found in a table, and what is proposed.

    Parameters
    ----------
    table
        The rows that have a target.
    unlabelled
        How many rows have none.
    notes
        Each decision with its reason, and what was mended on reading.
    target, task, positive, time, group, keys
        The roles of columns.
    features, split
        Specs for `declare_features` and `split_table`.
    metric
        The primary metric.
    drop
        DataFrame: column, reason.
    """

    table: pd.DataFrame
    unlabelled: int
    notes: list[str]
    target: str
    task: str
    positive: Any
    time: str
    group: str
    keys: list[str]
    features: dict[str, Any]
    split: dict[str, Any]
    metric: str
    drop: pd.DataFrame


def inspect_table(
    path: str | os.PathLike[str], *, target: str, time: str = "", root: str | os.PathLike[str] = "."
) -> Inspection:
    """Look at a table and propose roles, features and a split.

    Parameters
    ----------
    path
        A location as in `take_snapshot`.
    target
        The column to predict.
    time
        The column of the event's time; empty to look for one.
    root
        The folder that relative files are looked up in.

    Returns
    -------
    Inspection
        The table and the proposals.

    Raises
    ------
    BadSource
        If the table cannot be read, the target or time is no column, or the target cannot be learnt.
    """
    snapshot = take_snapshot({"data": str(path)}, root=root)
    return inspect_snapshot(snapshot, target=target, time=time, name=Path(str(path)).name)


def inspect_snapshot(snapshot: Snapshot, *, target: str, time: str = "", name: str = "the table") -> Inspection:
    """Look at a snapshot as `inspect_table` looks at a table; `name` is what messages call it."""
    table, notes = snapshot.table, list(snapshot.notes)
    for role, wanted in (("target", target), ("time", time)):
        if wanted and wanted not in table.columns:
            raise BadSource(f"{role} {wanted!r} is no column of {name}{suggest(wanted, table.columns)}")
    if target == time:
        raise BadSource(f"{target!r} cannot be both the target and the time")
    notes.append(f"{say_count(len(table), 'row')}, {say_count(len(table.columns), 'column')}")
    if not len(table):
        raise BadSource(f"{name} has {len(table.columns)} columns and no rows")
    task, positive, said = _read_target(table[target], target)
    unlabelled = int(table[target].isna().sum())
    table = table[table[target].notna()].reset_index(drop=True)
    if len(table) < 20:
        raise BadSource(f"{len(table)} rows with a {target} are too few to learn from, test and watch")
    time, time_said = _find_time(table, target, time)
    drop = _find_drops(table, target, task, time)
    group, group_said = _find_group(table, target, time, [column for column, _ in drop])
    suspects = [column for column, reason in drop if reason.startswith(SUSPECT)]
    if set(table.columns) <= {target, time, group, *(column for column, _ in drop)} and suspects:
        said.append(f"{', '.join(suspects)}: {SUSPECT}, kept as there is no other; make sure it is known in time")
        drop = [(column, reason) for column, reason in drop if column not in suspects]
    keys = [column for column, reason in drop if reason.startswith(NAMES_ROW)][:1]
    features = _propose_features(table, target, time, group, [column for column, _ in drop])
    if not any(features.values()):
        left_out = "".join(f"; {column} is left out: {reason}" for column, reason in drop)
        raise BadSource(f"{name} has no column to learn {target} from{left_out}")
    roles = {"target": target, "task": task, "positive": positive, "time": time, "group": group, "keys": keys}
    split, split_said = _propose_split(table, roles)
    notes += [*said, *time_said, *(f"{column} is left out: {reason}" for column, reason in drop)]
    return Inspection(
        table=table,
        unlabelled=unlabelled,
        notes=[*notes, *group_said, *split_said],
        **roles,
        features=features,
        split=split,
        metric=METRICS[task],
        drop=pd.DataFrame(drop, columns=["column", "reason"]),
    )


def _read_target(column: "pd.Series[Any]", target: str) -> tuple[str, Any, list[str]]:
    values, notes = column.dropna(), []
    if not len(values):
        raise BadSource(f"target {target!r} has no value in any row")
    if gone := len(column) - len(values):
        notes.append(f"left out: {say_count(gone, 'row')} without {target}")
    levels = sorted(values.unique().tolist(), key=str)
    if len(levels) == 1:
        raise BadSource(f"target {target!r} is always {levels[0]}: there is nothing to predict")
    kind = column_kind(values)
    if kind == "datetime":
        raise BadSource(f"target {target!r} is a date: predict a number of days instead, made by the query")
    if len(levels) == 2:
        positive = _guess_positive(levels, values)
        return "binary", positive, [*notes, f"{target} has two values: binary; {positive!r} counts as positive"]
    if kind == "number" and (odd := int((~np.isfinite(values)).sum())):
        raise BadSource(f"target {target!r} is infinite in {odd} rows: mend them first")
    whole = kind == "number" and bool((values == values.round()).all())
    if kind == "number" and not (whole and len(levels) <= 10 and len(levels) <= len(values) / 10):
        return "regression", None, [*notes, f"{target} is a number of {len(levels)} values: regression"]
    if len(levels) > max(50, len(values) / 10):
        raise BadSource(f"target {target!r} has {len(levels)} different texts in {len(values)} rows: too many classes")
    words = f"text of {len(levels)} values: multiclass"
    if whole:
        words = f"a whole number of {len(levels)} values: multiclass (set task: regression if their order counts)"
    return "multiclass", None, [*notes, f"{target} is {words}"]


def _guess_positive(levels: list[Any], values: "pd.Series[Any]") -> Any:
    for level in levels:
        if str(level).strip().casefold() in POSITIVE:
            return level
    counts = values.value_counts()
    return min(levels, key=lambda level: (counts[level], str(level)))


def _find_time(table: pd.DataFrame, target: str, time: str) -> tuple[str, list[str]]:
    if time:
        if column_kind(table[time]) != "datetime":
            raise BadSource(f"time {time!r} holds no dates (such as {table[time].iloc[0]!r}): cast it in a query")
        return time, []
    dates = [
        name
        for name, column in table.items()
        if name != target and column_kind(column) == "datetime" and column.notna().all() and column.nunique() > 1
    ]
    dates = [name for name in dates if not re.search("birth|dob", str(name), re.IGNORECASE)]
    if not dates:
        return "", ["no complete column of dates: rows are taken as exchangeable"]
    best = str(max(dates, key=lambda name: table[name].nunique()))
    others = [str(name) for name in dates if name != best]
    return best, [f"{best} is taken as the event's time" + (f", not {', '.join(others)}" if others else "")]


def _find_drops(table: pd.DataFrame, target: str, task: str, time: str) -> list[tuple[str, str]]:
    rest = table.drop(columns=[target, *([time] if time else [])])
    drops: dict[str, str] = {}
    surely = 0.99 if task == "regression" else 0.95  # one honest measure may well tell most of a number
    leaks = find_leakage(table[[*rest.columns, target]], target, task, limit=0.95)
    for name, reason, score, evidence in zip(*(leaks[key] for key in leaks.columns), strict=True):
        if score >= surely or "missing" in reason:
            drops[name] = f"{SUSPECT}: {reason} ({evidence}); keep it if it is known in time"
    for name, finding, evidence in find_oddities(rest).itertuples(index=False):
        column = rest[name] if name else None
        if column is None or (finding == "constant" and column.isna().any()):  # that it is missing may tell something
            continue
        if finding == "id-like" and column_kind(column) == "number" and not _counts(column):
            continue
        reasons = {"id-like": f"{NAMES_ROW} ({evidence})", "empty": "empty", "constant": f"constant ({evidence})"}
        drops.setdefault(str(name), reasons.get(finding, evidence))
    for name in rest.columns:
        if column_kind(rest[name]) == "text" and rest[name].nunique() > max(50, len(rest) / 2):
            drops.setdefault(name, f"free text or an identifier ({say_count(rest[name].nunique(), 'value')})")
    return [(name, drops[name]) for name in rest.columns if name in drops]


def _counts(column: "pd.Series[Any]") -> bool:
    """Tell whether whole numbers number the rows: all different and without wide gaps."""
    return bool(column.max() - column.min() < 10 * len(column))


def _find_group(table: pd.DataFrame, target: str, time: str, dropped: Sequence[str]) -> tuple[str, list[str]]:
    n = len(table)
    for name in table.columns:
        if (
            name in (target, time, *dropped)
            or not NAMES_ONE.search(str(name))
            or column_kind(table[name]) == "datetime"
        ):
            continue
        if n / 50 < table[name].nunique() < n * 0.9 and table[name].notna().all():
            return str(name), [f"{name} comes again in several rows: they stay together in one part"]
    return "", []


def _propose_features(
    table: pd.DataFrame, target: str, time: str, group: str, dropped: Sequence[str]
) -> dict[str, Any]:
    names = [name for name in table.columns if name not in (target, time, group, *dropped)]
    spec: dict[str, Any] = {
        "numeric": [n for n in names if column_kind(table[n]) in ("number", "boolean")],
        "categorical": [n for n in names if column_kind(table[n]) == "text"],
    }
    dates = [n for n in (time, *names) if n and column_kind(table[n]) == "datetime"]
    if dates:
        spec["datetime"] = {n: _date_parts(table[n]) for n in dates}
    return spec


def _date_parts(dates: "pd.Series[Any]") -> list[str]:
    hours = dates.dt.hour.nunique() > 1
    years = dates.max() - dates.min() > pd.Timedelta(days=400)  # else the months to come were never seen
    return [*(["hour"] if hours else []), "weekday", *(["month"] if years else [])]


def _propose_split(table: pd.DataFrame, roles: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the first split that can be made of this table, in the order of how much it demands."""
    target, time, group = roles["target"], roles["time"], roles["group"]
    few = len(table) < 500  # then more of them judge, fewer wait for the monitor
    shares = {"valid": 0.15, "test": 0.2 if few else 0.15, "production": 0.1 if few else 0.15}
    ways: list[tuple[str, Any, str]] = []
    if time:
        ways.append(("time", _choose_windows(table[time], shares["production"]), "the past teaches, the future judges"))
    if group:
        ways.append(("group", 2, f"no {group} is in two parts"))
    if roles["task"] != "regression":
        ways.append(("stratified", 2, f"at random, with the same shares of {target} in each part"))
    ways.append(("random", 2, "at random"))
    notes = []
    for by, windows, words in ways:
        spec = {"by": by, **shares, "windows": windows}
        try:
            parts = split_table(table, spec, **roles)
            if roles["task"] != "regression" and parts.test[target].nunique() < 2:
                raise BadSplit(f"all of test has {target} {parts.test[target].iloc[0]}")
        except BadSplit as error:
            notes.append(f"no split by {by}: {error}")
            continue
        return spec, [*notes, f"split by {time if by == 'time' else by}: {words}"]
    raise BadSource(f"the {len(table)} rows cannot be split: {notes[-1]}")


def _choose_windows(times: "pd.Series[Any]", production: float) -> str | int:
    """Choose months or weeks if the last share of the rows fills several of them, else a number of windows."""
    days, rows = (times.max() - times.min()).days * production, len(times) * production
    for name, length in (("month", 30), ("week", 7)):
        if days / length >= 2 and rows * length / days >= LEAST:
            return name
    return int(min(max(rows // LEAST, 2), 4))
