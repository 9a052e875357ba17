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
from nbkit.data.leakage import find_leakage
from nbkit.data.order import is_sorted_by, judge_order, measure_order
from nbkit.data.sources import Snapshot, take_snapshot
from nbkit.data.splits import Splits, split_table
from nbkit.errors import BadSource, BadSplit
from nbkit.wording import say_count, suggest

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "mae"}
LEAST = 50  # rows that a window of the monitor should have
SUSPECT, KEY, OTHER = "suspect", "key", "other"  # kinds of columns that are left out
SLICES = 3
PROTECTED = ("sex", "gender", "race", "ethnicity", "nationality", "religion", "disability", "marital status")
DIRT = {  # finding of `find_oddities`: what to do
    "sentinel": "if so, make it NULL in the query, as nullif(column, value) does",
    "spellings": "make them one in the query, as lower(trim(column)) does",
}
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
    distinct
        Whether rows that repeat an earlier one are dropped.
    notes
        Each decision with its reason, and what was mended on reading.
    target, task, positive, time, group, keys
        The roles of columns.
    features, split
        Specs for `declare_features` and `split_table`.
    metric
        The primary metric.
    protected, slice_by
        The features whose groups must be treated alike, and those by which weak spots are looked for.
    drop
        DataFrame: column, kind (suspect, key, other), reason.
    """

    table: pd.DataFrame
    unlabelled: int
    distinct: bool
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
    protected: list[str]
    slice_by: list[str]
    drop: pd.DataFrame


def inspect_table(
    path: str | os.PathLike[str],
    *,
    target: str,
    time: str = "",
    table: str = "",
    root: str | os.PathLike[str] = ".",
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
    table
        The table, where the location is a database that holds several.
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
    spec = {"location": str(path), "table": table} if table else str(path)
    snapshot = take_snapshot({"data": spec}, root=root)
    return inspect_snapshot(snapshot, target=target, time=time, name=Path(str(path)).name)


def inspect_snapshot(snapshot: Snapshot, *, target: str, time: str = "", name: str = "the table") -> Inspection:
    """Look at a snapshot as `inspect_table` looks at a table; `name` is what messages call it."""
    table, notes = snapshot.table, list(snapshot.notes)
    target, time = (_find_column(table, each) for each in (target, time))
    for role, wanted in (("target", target), ("time", time)):
        if wanted and wanted not in table.columns:
            raise BadSource(f"{role} {wanted!r} is no column of {name}{suggest(wanted, table.columns)}")
    if target == time:
        raise BadSource(f"{target!r} cannot be both the target and the time")
    notes.append(f"{say_count(len(table), 'row')}, {say_count(len(table.columns), 'column')}")
    if not len(table):
        raise BadSource(f"{name} has {say_count(len(table.columns), 'column')} and no rows")
    task, positive, said = _read_target(table[target], target)
    unlabelled = int(table[target].isna().sum())
    table = table[table[target].notna()].reset_index(drop=True)
    if len(table) < 20:
        raise BadSource(f"{len(table)} rows with a {target} are too few to learn from, test and watch")
    time, time_said = _find_time(table, target, time)
    labelled = len(table)
    order = measure_order(table, target, task) if not time and snapshot.ordered else None
    table, repeats_said = _drop_repeats(table, target, time)
    oddities = find_oddities(table[[*(name for name in table if name not in (target, time)), target]])
    drop, strong_said = _find_drops(table, target, task, time, oddities)
    group = _find_group(table, target, time, [column for column, *_ in drop])
    named = set(
        oddities.loc[oddities["finding"] == "id-like", "column"]
    )  # what names each row is nothing to learn from
    suspects = [column for column, kind, _ in drop if kind == SUSPECT and column not in named]
    if set(table.columns) <= {target, time, group, *(column for column, *_ in drop)} and suspects:
        said.append(
            f"{', '.join(suspects)}: too good to be true, kept as there is no other; make sure it is known in time"
        )
        drop = [one for one in drop if one[0] not in suspects]
    keys = [column for column, kind, _ in drop if kind == KEY][:1]
    features = _propose_features(table, target, time, group, [column for column, *_ in drop])
    if not any(features.values()):
        left_out = "".join(f"; {column} is left out: {reason}" for column, _, reason in drop)
        raise BadSource(f"{name} has no column to learn {target} from{left_out}")
    roles = {"target": target, "task": task, "positive": positive, "time": time, "group": group, "keys": keys}
    split, split_said = _propose_split(table, roles, order)
    protected = [one for one in few_valued(table, features, 10) if one.casefold().replace("_", " ") in PROTECTED]
    slice_by = few_valued(table, features)[:SLICES]
    notes += [*said, *time_said, *repeats_said, *(f"{column} is left out: {reason}" for column, _, reason in drop)]
    notes += [*strong_said, *_explain_dirt(oddities), *split_said]
    notes += _explain_choices(features, protected, slice_by)
    return Inspection(
        table=table,
        unlabelled=unlabelled,
        distinct=len(table) < labelled,
        notes=notes,
        **roles,
        features=features,
        split=split,
        metric=METRICS[task],
        protected=protected,
        slice_by=slice_by,
        drop=pd.DataFrame(drop, columns=["column", "kind", "reason"]),
    )


def _find_column(table: pd.DataFrame, wanted: str) -> str:
    """Return the column that a header's own spelling means: names are stripped of blanks when a file is read."""
    tidy = " ".join(wanted.split())
    return tidy if wanted not in table.columns and tidy in table.columns else wanted


def few_valued(table: pd.DataFrame, features: dict[str, Any], most: int = 20) -> list[str]:
    """List the features with few values (numbers: at most five), those with the fewest first."""
    names = [*features["categorical"], *features["numeric"]]
    counts = {name: table[name].nunique() for name in names}
    text = {name for name in names if column_kind(table[name]) != "number"}
    few = [name for name in names if 2 <= counts[name] <= (most if name in text else 5)]
    return sorted(few, key=lambda name: counts[name])


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
        raise BadSource(f"target {target!r} is infinite in {say_count(odd, 'row')}: correct them first")
    whole = kind == "number" and bool((values == values.round()).all())
    if kind == "number" and not (whole and len(levels) <= 10 and len(levels) <= len(values) / 10):
        return "regression", None, [*notes, f"{target} is a number of {say_count(len(levels), 'value')}: regression"]
    if len(levels) > max(50, len(values) / 10):
        raise BadSource(
            f"target {target!r} has {say_count(len(levels), 'different text')} in {say_count(len(values), 'row')}: "
            "too many classes"
        )
    words = f"of {say_count(len(levels), 'value')}: multiclass"
    words = f"a whole number {words} (set task: regression if their order counts)" if whole else f"text {words}"
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
        return "", ["no complete column of dates, so the order of time is not known"]
    best = str(max(dates, key=lambda name: table[name].nunique()))
    others = [str(name) for name in dates if name != best]
    return best, [f"{best} is taken as the event's time" + (f", not {', '.join(others)}" if others else "")]


def _drop_repeats(table: pd.DataFrame, target: str, time: str) -> tuple[pd.DataFrame, list[str]]:
    """Drop rows that repeat an earlier one where a column then names each row; else keep them, and say so."""
    again = table.astype({name: "str" for name in table if table[name].dtype.kind == "O"}).duplicated()
    if not again.any():
        return table, []
    said = f"{say_count(again.sum(), 'row')} of {len(table):,} repeat an earlier one in every column"
    once = table[~again].reset_index(drop=True)
    names = [str(name) for name in table if name not in (target, time) and _names_each(once[name])]
    names = [name for name in names if not _names_each(table[name])]
    if names:
        return once, [f"{said}, and {names[0]} names each of the rest: the query drops them (DISTINCT)"]
    return table, [f"{said}: if they are one case twice, let the query drop them (SELECT DISTINCT)"]


def _names_each(column: "pd.Series[Any]") -> bool:
    kind = column_kind(column)
    texts = column.astype("str") if kind == "text" else column
    named = column.notna().all() and texts.is_unique
    return bool(
        named and (kind == "text" or (kind == "number" and (column == column.round()).all() and _counts(column)))
    )


def _find_drops(
    table: pd.DataFrame, target: str, task: str, time: str, oddities: pd.DataFrame
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Find the columns to leave out, each with its kind and reason; and say which others are unusually strong."""
    rest = table.drop(columns=[target, *([time] if time else [])])
    drops: dict[str, tuple[str, str]] = {}
    leaks = find_leakage(table, target, task, time=time)
    for row in leaks[leaks["suspect"]].to_dict("records"):
        for name in row["columns"]:
            others = ", ".join(other for other in row["columns"] if other != name)
            words = f"{f'with {others}, ' if others else ''}{row['reason']} ({row['evidence']})"
            drops[name] = (SUSPECT, f"too good to be true: {words}; keep it if it is known in time")
    for name, finding, evidence in oddities.itertuples(index=False):
        if name not in rest or finding in DIRT:
            continue
        column = rest[name]
        if finding == "constant" and column.isna().any():  # that it is missing may tell something
            continue
        if finding == "id-like" and column_kind(column) == "number" and not _counts(column):
            continue
        kind = KEY if finding == "id-like" and column.notna().all() else OTHER
        reasons = {"id-like": f"names each row ({evidence})", "empty": "empty", "constant": f"constant ({evidence})"}
        drops.setdefault(str(name), (kind, reasons.get(finding, evidence)))
    for name in rest.columns:
        if column_kind(rest[name]) == "text" and rest[name].nunique() > max(50, len(rest) / 2):
            words = f"free text or an identifier ({say_count(rest[name].nunique(), 'value')})"
            drops.setdefault(name, (OTHER, words))
    strong = [row for row in leaks[~leaks["suspect"]].to_dict("records") if not set(row["columns"]) & set(drops)]
    said = [f"{_name(row['columns'])}: {row['reason']} ({row['evidence']})" for row in strong]
    return [(name, *drops[name]) for name in rest.columns if name in drops], said


def _name(columns: list[str]) -> str:
    """Name a column, or say how many there are."""
    return columns[0] if len(columns) == 1 else f"all {len(columns)} columns"


def _explain_dirt(oddities: pd.DataFrame) -> list[str]:
    dirty = oddities[oddities["finding"].isin(list(DIRT))]
    return [f"{line.column}: {line.evidence}; {DIRT[str(line.finding)]}" for line in dirty.itertuples()]


def _explain_choices(features: dict[str, Any], protected: list[str], slice_by: list[str]) -> list[str]:
    """Say what was chosen without a sign in the table that it is right."""
    columns = {name for names in features.values() for name in names}
    notes = [
        f"every feature ({len(columns):,}) is taken as known when the prediction is due: where one is not, correct its "
        "available_at in the contract; lead in 05_features says how long before the event that is"
    ]
    if protected:
        notes.append(f"protected, by name: {', '.join(protected)}; 07 asks whether all groups are treated alike")
    if slice_by:
        notes.append(f"slice_by: {', '.join(slice_by)}, the features of fewest values; 07 looks there for weak spots")
    return notes


def _counts(column: "pd.Series[Any]") -> bool:
    """Tell whether whole numbers number the rows: all different and without wide gaps."""
    return bool(column.max() - column.min() < 10 * len(column))


def _find_group(table: pd.DataFrame, target: str, time: str, dropped: Sequence[str]) -> str:
    n = len(table)
    for name in table.columns:
        if (
            name in (target, time, *dropped)
            or not NAMES_ONE.search(str(name))
            or column_kind(table[name]) == "datetime"
        ):
            continue
        if n / 50 < table[name].nunique() < n * 0.9 and table[name].notna().all():
            return str(name)
    return ""


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
    table: pd.DataFrame, roles: dict[str, Any], order: pd.DataFrame | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the first split that can be made of this table, in the order of how much it demands."""
    target, time, group = roles["target"], roles["time"], roles["group"]
    few = len(table) < 500  # then more of them judge, fewer wait for the monitor
    shares = {"valid": 0.15, "test": 0.2 if few else 0.15, "production": 0.1 if few else 0.15}
    ways: list[tuple[str, Any, str]] = []
    if time:
        ways.append(("time", _choose_windows(table[time], shares["production"]), "the past teaches, the future judges"))
    notes = []
    if order is not None:
        found = judge_order(order, "random")
        notes.append(found["sentence"])
        if found["respected"] is False and not is_sorted_by(table[target]):
            ways.append(("position", 2, "the first rows teach, the last ones judge and are watched"))
    if group:
        ways.append(("group", 2, f"no {group} is in two parts"))
    if roles["task"] != "regression":
        ways.append(("stratified", 2, f"at random, with the same shares of {target} in each part"))
    ways.append(("random", 2, "at random"))
    for by, windows, words in ways:
        spec = {"by": by, **shares, "windows": windows}
        try:
            parts = split_table(table, spec, **roles)
            if roles["task"] != "regression" and parts.test[target].nunique() < 2:
                raise BadSplit(f"all of test has {target} {parts.test[target].iloc[0]}")
        except BadSplit as error:
            notes.append(f"no split by {by}: {error}")
            continue
        notes.append(f"split by {time if by == 'time' else by}: {words}")
        return spec, [*notes, *([_explain_group(parts, group, by)] if group else [])]
    raise BadSource(f"the {say_count(len(table), 'row')} cannot be split: {notes[-1]}")


def _explain_group(parts: Splits, group: str, by: str) -> str:
    """Say whether the rows of one group stay together, and how many do not."""
    if by == "group":
        return f"{group} comes again in several rows: they stay together in one part"
    known = float(parts.test[group].isin(parts.train[group]).mean())
    return (
        f"{group} comes again in several rows: {known:.0%} of test's are of one that train has too; if the model is to "
        "be used on others, let the split be by group"
    )


def _choose_windows(times: "pd.Series[Any]", production: float) -> str | int:
    """Choose months or weeks if the last share of the rows fills several of them, else a number of windows."""
    days, rows = (times.max() - times.min()).days * production, len(times) * production
    for name, length in (("month", 30), ("week", 7)):
        if days / length >= 2 and rows * length / days >= LEAST:
            return name
    return int(min(max(rows // LEAST, 2), 4))
