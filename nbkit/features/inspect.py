"""A table of one's own is looked at, and a project proposed for it, each decision with its reason."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.data.personal import looks_personal
from nbkit.data.sources import Snapshot
from nbkit.errors import BadSource
from nbkit.features.propose_split import propose_split
from nbkit.features.target import read_target
from nbkit.leakage.find import find_leakage
from nbkit.leakage.order import measure_order
from nbkit.problem import Problem
from nbkit.wording import format_count, suggest

SUSPECT, KEY, OTHER = "suspect", "key", "other"  # kinds of columns that are left out
SLICES = 3
PROTECTED = {"sex", "gender", "race", "ethnicity", "nationality", "religion", "disability", "marital", "birth", "dob"}
LATER = {"after", "afterward", "afterwards", "later", "subsequent", "subsequently", "eventual", "eventually"}
AGED = {"age", "applicant", "client", "customer", "driver", "employee", "patient", "person", "user"}  # not plane_age
NAMES_ONE = re.compile(r"(^|[_\s.-])(id|ID|Id)$|[a-z](Id|ID)$|^(customer|patient|user|subject|client)$")


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
        Each decision with its reason, and what was repaired on reading.
    problem
        The roles of columns, the task and the metric.
    features, split
        The parameters of 05_features, and the spec of `split_table`.
    protected, slice_by
        The features whose groups must be treated alike, and those by which weak spots are looked for.
    drop
        DataFrame: column, kind (suspect, key, other), reason.
    """

    table: pd.DataFrame
    unlabelled: int
    notes: list[str]
    problem: Problem
    features: dict[str, Any]
    split: dict[str, Any]
    protected: list[str]
    slice_by: list[str]
    drop: pd.DataFrame


def inspect_snapshot(snapshot: Snapshot, *, target: str, time: str = "", name: str = "the table") -> Inspection:
    """Look at a table and propose roles, features and a split.

    Parameters
    ----------
    snapshot
        The table, from `nbkit.data.take_snapshot`.
    target
        The column to predict.
    time
        The column of the event's time; empty to look for one.
    name
        What messages call the table.

    Raises
    ------
    BadSource
        If the target or time is not a column, or the target cannot be learnt.
    """
    table, notes = snapshot.table, list(snapshot.notes)
    target, time = (_find_column(table, each) for each in (target, time))
    for role, wanted in (("target", target), ("time", time)):
        if wanted and wanted not in table.columns:
            raise BadSource(f"{role} {wanted!r} is not a column of {name}{suggest(wanted, table.columns)}")
    if target == time:
        raise BadSource(f"{target!r} cannot be both the target and the time")
    notes.append(f"{format_count(len(table), 'row')}, {format_count(len(table.columns), 'column')}")
    if not len(table):
        raise BadSource(f"{name} has {format_count(len(table.columns), 'column')} and no rows")
    task, positive, said = read_target(table[target], target)
    notes += said
    unlabelled = int(table[target].isna().sum())
    table = table[table[target].notna()].reset_index(drop=True)
    if len(table) < 20:
        raise BadSource(f"{len(table)} rows with a {target} are too few to learn from, test and watch")
    time, said = _find_time(table, target, time)
    notes += [*said, *_count_repeats(table)]
    problem = Problem(target, task, positive, time)
    drop = _find_drops(table, problem)
    group = _find_group(table.drop(columns=[target, *([time] if time else []), *drop]))
    suspects = [column for column, (kind, _) in drop.items() if kind == SUSPECT and not _names_each(table[column])]
    if set(table.columns) <= {target, time, group, *drop} and suspects:
        reasons = {drop.pop(column)[1].partition(":")[0] for column in suspects}
        words = f"{' and '.join(sorted(reasons))}, kept as there is no other; make sure it is known in time"
        notes.append(f"{', '.join(suspects)}: {words}")
    left_out = [f"{column} is left out: {reason}" for column, (_, reason) in drop.items()]
    features = _propose_features(table, target, time, group, list(drop))
    if not any(features.values()):
        raise BadSource(f"{name} has no column to learn {target} from{''.join(f'; {each}' for each in left_out)}")
    keys = [column for column, (kind, _) in drop.items() if kind == KEY][:1]
    order = measure_order(table, problem) if not time and snapshot.ordered else None
    problem = replace(problem, group=group, keys=tuple(keys))
    split, said = propose_split(table, problem, order)
    if split["by"] == "time" and "month" in features.get("date_parts", ()):
        features["date_parts"].remove("month")
        notes.append("month is not among date_parts: each window of the monitor would have one of its own, and drift")
    protected = [name for name in _list_candidates(table, features) if _tells_of_people(name)]
    slice_by = few_valued(table, features)[:SLICES]
    notes += [*left_out, *said, *_explain_choices(features, protected, slice_by)]
    if personal := [str(each) for each, column in table.items() if looks_personal(str(each), column)]:
        words = "so the contract marks it personal, and no page shows its single values: correct that where it is wrong"
        notes.append(f"{', '.join(personal)}: seems to tell something about a person, {words}")
    lost = pd.DataFrame([(column, *found) for column, found in drop.items()], columns=["column", "kind", "reason"])
    return Inspection(table, unlabelled, notes, problem, features, split, protected, slice_by, lost)


def _list_candidates(table: pd.DataFrame, features: dict[str, Any]) -> list[str]:
    """List the features that cut rows into groups: numbers and dates (at quantiles), and texts of few values."""
    few, ordered = few_valued(table, features, 10), [*features["numeric"], *features.get("datetime", ())]
    return [*few, *(name for name in ordered if name not in few)]


def _tells_of_people(name: str) -> bool:
    """Return whether a column's name is that of something by which people must not be told apart.

    Examples
    --------
    >>> [_tells_of_people(name) for name in ("Sex", "customerAge", "age_years", "plane_age", "page")]
    [True, True, True, False, False]
    """
    words = _split_words(name)
    return bool(PROTECTED & set(words)) or ("age" in words and words[0] in AGED)


def _split_words(name: str) -> list[str]:
    return [word.casefold() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


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


def _find_time(table: pd.DataFrame, target: str, time: str) -> tuple[str, list[str]]:
    if time:
        if column_kind(table[time]) != "datetime":
            raise BadSource(f"time {time!r} holds no dates (such as {table[time].iloc[0]!r}): cast it in a query")
        return time, []
    dates = {str(name): column.nunique() for name, column in table.items() if _may_be_event(column) and name != target}
    if not dates:
        return "", ["no complete column of dates, so the order of time is not known"]
    best = max(dates, key=lambda name: dates[name])
    others = ", ".join(name for name in dates if name != best)
    return best, [f"{best} is taken as the event's time" + (f", not {others}" if others else "")]


def _may_be_event(column: "pd.Series[Any]") -> bool:
    dated = column_kind(column) == "datetime" and column.notna().all() and column.nunique() > 1
    return bool(dated and not re.search("birth|dob", str(column.name), re.IGNORECASE))


def _count_repeats(table: pd.DataFrame) -> list[str]:
    again = table.astype({name: "str" for name in table if table[name].dtype.kind == "O"}).duplicated().sum()
    words = f"{format_count(again, 'row')} of {len(table):,} repeat an earlier one in every column"
    return [f"{words}: if they are one case twice, let the query drop them (SELECT DISTINCT)"] if again else []


def _names_each(column: "pd.Series[Any]") -> bool:
    """Return whether a column names each row: texts that are all different, or whole numbers without wide gaps."""
    values, kind = column.dropna(), column_kind(column)
    if kind == "text":
        return bool(len(values) > 1 and values.astype("str").is_unique)
    if kind != "number" or len(values) < 2 or not values.is_unique or not np.isfinite(values).all():
        return False
    return bool((values == values.round()).all() and values.max() - values.min() < 10 * len(column))


def _find_drops(table: pd.DataFrame, problem: Problem) -> dict[str, tuple[str, str]]:
    """Find the columns to leave out, each with its kind and reason."""
    rest = table.drop(columns=[problem.target, *([problem.time] if problem.time else [])])
    leaks = find_leakage(table, problem)
    drops: dict[str, tuple[str, str]] = {}
    for row in leaks[leaks["suspect"]].to_dict("records"):
        for name in row["columns"]:
            others = ", ".join(other for other in row["columns"] if other != name)
            words = f"{f'with {others}, ' if others else ''}{row['reason']} ({row['evidence']})"
            drops[name] = (SUSPECT, f"too good to be true: {words}; keep it if it is known in time")
    idle = {name: _find_idle(column) for name, column in rest.items() if name not in drops}
    drops |= {str(name): found for name, found in idle.items() if found[0]}
    return {str(name): drops[str(name)] for name in rest if str(name) in drops}


def _find_idle(column: "pd.Series[Any]") -> tuple[str, str]:
    """Describe why a column cannot help a model, or may come too late for it; empty if neither."""
    distinct = column.astype("str").nunique() if column.dtype.kind == "O" else column.nunique()
    values = format_count(distinct, "value")
    if column.isna().all():
        return OTHER, "empty"
    if distinct == 1 and column.notna().all():  # that it is missing may tell something
        return OTHER, f"constant (always {column.iloc[0]})"
    if LATER & {*_split_words(str(column.name))}:
        how = "correct its available_at, and list it in 05_features"
        return SUSPECT, f"said by its name to become known later: if it is known in time, {how}"
    if _names_each(column):
        return (KEY if column.notna().all() else OTHER), f"names each row ({values})"
    if column_kind(column) == "text" and distinct > max(50, len(column) / 2):
        return OTHER, f"free text or an identifier ({values})"
    return "", ""


def _explain_choices(features: dict[str, Any], protected: list[str], slice_by: list[str]) -> list[str]:
    """Describe what was chosen without a sign in the table that it is right."""
    columns = {name for kind, names in features.items() if kind != "date_parts" for name in names}
    notes = [
        f"every feature ({len(columns):,}) is taken as known when the prediction is due: where one is not, correct its "
        "available_at in the contract; lead says how long before the event that is"
    ]
    if protected:
        notes.append(f"protected, by name: {', '.join(protected)}; 07 asks whether all groups are treated alike")
    if slice_by:
        notes.append(f"slice_by: {', '.join(slice_by)}, the features of fewest values; 07 looks there for weak spots")
    return notes


def _find_group(rest: pd.DataFrame) -> str:
    """Return the first column, by its name and its values, that says to whom several rows belong."""
    for name, column in rest.items():
        named = NAMES_ONE.search(str(name)) and column_kind(column) != "datetime"
        if named and column.notna().all() and len(rest) / 50 < column.nunique() < len(rest) * 0.9:
            return str(name)
    return ""


def _propose_features(
    table: pd.DataFrame, target: str, time: str, group: str, dropped: Sequence[str]
) -> dict[str, Any]:
    kinds = {name: column_kind(table[name]) for name in table if name not in (target, time, group, *dropped)}
    spec: dict[str, Any] = {
        "numeric": [name for name, kind in kinds.items() if kind in ("number", "boolean")],
        "categorical": [name for name, kind in kinds.items() if kind == "text"],
    }
    dates = [*([time] if time else []), *(name for name, kind in kinds.items() if kind == "datetime")]
    if dates:
        spec["datetime"] = dates
        spec["date_parts"] = list(dict.fromkeys(part for name in dates for part in _date_parts(table[name])))
    return spec


def _date_parts(dates: "pd.Series[Any]") -> list[str]:
    hours = dates.dt.hour.nunique() > 1
    years = dates.max() - dates.min() > pd.Timedelta(days=400)  # else the months to come were never seen
    return [*(["hour"] if hours else []), "weekday", *(["month"] if years else [])]
