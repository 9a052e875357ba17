"""A table of one's own is looked at, and a project proposed for it, each decision with its reason."""

import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from nbkit.data.delimited import quote_name
from nbkit.data.explore import column_kind, find_oddities
from nbkit.data.nearest import suggest
from nbkit.data.relations import find_leakage
from nbkit.data.sources import take_snapshot
from nbkit.errors import BadSource

METRICS = {"binary": "roc_auc", "multiclass": "macro_f1", "regression": "mae"}
SUSPECT = "too good to be true"
NAMES_ONE = re.compile(r"(^|[_\s.-])(id|ID|Id)$|[a-z](Id|ID)$|^(customer|patient|user|subject|client)$")
POSITIVE = ("1", "1.0", "true", "yes", "y", "positive", "churned", "default", "fraud", "bad", "late", "died", ">50k")


@dataclass(frozen=True)
class Inspection:
    """What was found in a table, and what is proposed.

    Parameters
    ----------
    table
        The rows as read.
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


def inspect_table(path: str | os.PathLike[str], *, target: str, time: str = "") -> Inspection:
    """Look at a table and propose roles, features and a split.

    Parameters
    ----------
    path
        A location as in `take_snapshot`.
    target
        The column to predict.
    time
        The column of the event's time; empty to look for one.

    Returns
    -------
    Inspection
        The table and the proposals.

    Raises
    ------
    BadSource
        If the table cannot be read, the target or time is no column, or the target cannot be learnt.
    """
    snapshot = take_snapshot({"data": str(path)})
    table, notes = snapshot.table, list(snapshot.notes)
    for role, name in (("target", target), ("time", time)):
        if name and name not in table.columns:
            raise BadSource(f"{role} {name!r} is no column of {Path(str(path)).name}{suggest(name, table.columns)}")
    notes.append(f"{len(table):,} rows, {len(table.columns)} columns")
    task, positive, said = _read_target(table[target], target)
    table = table[table[target].notna()].reset_index(drop=True)
    if len(table) < 20:
        raise BadSource(f"{len(table)} rows with a {target} are too few to learn from, test and watch")
    time, time_said = _find_time(table, target, time)
    drop = _find_drops(table, target, task, time)
    keys = [name for name, reason in drop if reason.startswith("names each row")][:1]
    group, group_said = _find_group(table, target, time, [name for name, _ in drop])
    features = _propose_features(table, target, time, group, [name for name, _ in drop])
    split, split_said = _propose_split(table, target, task, time, group)
    notes += [*said, *time_said, *(f"{name} is left out: {reason}" for name, reason in drop), *group_said, *split_said]
    return Inspection(
        table, notes, target, task, positive, time, group, keys, features, split, METRICS[task],
        pd.DataFrame(drop, columns=["column", "reason"]),
    )  # fmt: skip


def _read_target(column: "pd.Series[Any]", target: str) -> tuple[str, Any, list[str]]:
    values, notes = column.dropna(), []
    if not len(values):
        raise BadSource(f"target {target!r} has no value in any row")
    if gone := len(column) - len(values):
        notes.append(f"{gone} rows have no {target} and are left out")
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
    words = "a small whole number" if whole else "text"
    notes.append(
        f"{target} is {words} of {len(levels)} values: multiclass (set task: regression if their order counts)"
    )
    return "multiclass", None, notes


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
    for line in find_leakage(table[[*rest.columns, target]], target, task, limit=0.95).itertuples():
        drops[str(line.column)] = f"{SUSPECT}: {line.reason} ({line.evidence}); keep it if it is known in time"
    for name, finding, evidence in find_oddities(rest).itertuples(index=False):
        column = rest[name] if name else None
        if column is None or (finding == "constant" and column.isna().any()):  # that it is missing may tell something
            continue
        if finding == "id-like" and column_kind(column) == "number" and not _counts(column):
            continue
        reasons = {"id-like": f"names each row ({evidence})", "empty": "empty", "constant": f"constant ({evidence})"}
        drops.setdefault(str(name), reasons.get(finding, evidence))
    for name in rest.columns:
        if column_kind(rest[name]) == "text" and rest[name].nunique() > max(50, len(rest) / 2):
            drops.setdefault(name, f"free text or an identifier ({rest[name].nunique()} values)")
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


def _propose_split(
    table: pd.DataFrame, target: str, task: str, time: str, group: str
) -> tuple[dict[str, Any], list[str]]:
    shares = {"valid": 0.15, "test": 0.15, "production": 0.2 if len(table) >= 500 else 0.0}
    if time:
        days = (table[time].max() - table[time].min()).days
        windows: str | int = "month" if days > 300 else "week" if days > 60 else 3
        return {"by": "time", **shares, "windows": windows}, [f"split by {time}: the past teaches, the future judges"]
    if group:
        return {"by": "group", **shares, "windows": 2}, [f"split by {group}"]
    if task == "regression":
        return {"by": "random", **shares, "windows": 2}, ["split at random"]
    return {"by": "stratified", **shares, "windows": 2}, [
        f"split at random, with the same shares of {target} in each part"
    ]


def propose_params(inspection: Inspection, *, name: str, data: str) -> str:
    """Write the params file of a new project.

    Parameters
    ----------
    inspection
        What was found.
    name
        Of the project.
    data
        The location of the table as the project will read it.

    Returns
    -------
    str
        Commented YAML.
    """
    found = inspection
    params = CommentedMap((section, _to_yaml(make(found, name, data))) for section, (_, make) in SECTIONS.items())
    for section, (words, _) in SECTIONS.items():
        params.yaml_set_comment_before_after_key(section, before=f"\n{words}")
    notes = [f"{name}: predict {found.target} ({found.task})", "", *(f"- {note}" for note in found.notes)]
    out, yaml = io.StringIO(), YAML()
    yaml.width = 110
    yaml.dump(params, out)
    return "".join(f"# {' '.join(note.split())}".rstrip() + "\n" for note in notes) + out.getvalue()


def _to_yaml(value: Any) -> Any:
    if isinstance(value, dict):
        return CommentedMap((key, _to_yaml(inner)) for key, inner in value.items())
    if isinstance(value, list):
        seq = CommentedSeq(value)
        seq.fa.set_flow_style()
        return seq
    return value


def _propose_shared(found: Inspection, name: str, data: str) -> dict[str, Any]:
    left_out = any("are left out" in note for note in found.notes)
    query = f"SELECT * FROM data WHERE {quote_name(found.target)} IS NOT NULL" if left_out else ""  # noqa: S608
    roles = {role: getattr(found, role) for role in ("target", "task", "positive", "time", "group", "keys")}
    return {"name": name, **roles, "seed": 42, "sources": {"data": data}, "query": query}


# section of the params file: a comment, and what it proposes from (inspection, name, data)
SECTIONS: dict[str, tuple[str, Callable[[Inspection, str, str], dict[str, Any]]]] = {
    "shared": ("what every stage knows", _propose_shared),
    "02_ingest": ("how rows are set apart", lambda found, name, data: {"rows": 0, "split": found.split}),
    "03_validate": (
        "what the table must be like",
        lambda found, name, data: {"contract": f"params/{name}.contract.yaml"},
    ),
    "05_features": (
        "what the model sees; lead is how long before the event the prediction is due, such as 2h",
        lambda found, name, data: {"lead": "", "features": found.features},
    ),
    "06_train": ("how models are chosen", lambda found, name, data: {"metric": found.metric}),
}
