"""A table is cut into training, validation, test and production windows that share nothing."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from nbkit.data.sources import hash_rows, take_snapshot
from nbkit.errors import BadSplit
from nbkit.problem import Problem
from nbkit.wording import suggest

SPEC = {
    "time": ("by", "train_until", "valid_until", "test_until", "valid", "test", "production", "windows"),
    "random": ("by", "valid", "test", "production", "windows"),
    "stratified": ("by", "valid", "test", "production", "windows"),
    "group": ("by", "valid", "test", "production", "windows"),
    "position": ("by", "train_until", "valid_until", "test_until", "valid", "test", "production", "windows"),
}
UNTIL = ("train_until", "valid_until", "test_until")
SUMMARY = ("split", "rows", "share", "first", "last", "target_mean", "classes")
WITHOUT_TIME = "without time, give a number of windows"
PERIODS = {"month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}


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


def split_table(
    table: pd.DataFrame,
    spec: dict[str, Any],
    problem: Problem,
) -> Splits:
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
    target, time, group, keys = problem.target, problem.time, problem.group, problem.keys
    by = _check_spec(table, spec, target, time, group, keys)
    table = table.reset_index(drop=True)
    if by == "time":
        labels = _label_by_time(table[time], spec)
    elif by == "position":
        labels = _label_by_position(len(table), spec)
    else:
        units = table[[group]] if by == "group" else table[list(keys)] if keys else table
        strata = table[target].to_numpy() if by == "stratified" else np.zeros(len(table))
        labels = _label_by_hash(units, strata, spec, problem.seed)
    rows: dict[str, Any] = {str(name): np.flatnonzero(labels == name) for name in dict.fromkeys(labels)}
    found = {name: table.iloc[rows.get(name, [])].reset_index(drop=True) for name in ("train", "valid", "test")}
    _refuse_bad_parts(found, target, problem.task, problem.positive)
    names = sorted(set(rows) - set(found), key=lambda name: (len(name), name))
    windows = {name: table.iloc[rows[name]].reset_index(drop=True) for name in names}
    parts = {**found, **windows}
    summary = [_summarize(name, part, len(table), problem) for name, part in parts.items()]
    return Splits(**found, windows=windows, summary=pd.DataFrame(summary), positions=rows["train"])


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
    later = [_read_times(part[time]).min() for part in splits.windows.values()]
    valid, test = _read_times(splits.valid[time]), _read_times(splits.test[time])
    limits = [valid.min(), test.min(), min(later) if later else test.max() + pd.Timedelta("1us")]
    if any(pd.isna(limit) for limit in limits):
        return spec
    dates = {key: limit.isoformat() for key, limit in zip(UNTIL, limits, strict=True)}
    return {"by": "time", **dates, "windows": spec.get("windows", "month")}


def read_window(
    ingest: dict[str, Any], problem: Problem, name: str = "", *, root: str | os.PathLike[str] = "."
) -> pd.DataFrame:
    """Read the sources again and return one part: a window, or train, valid, test.

    Parameters
    ----------
    ingest
        The params of 02_ingest: sources, query, rows, split.
    problem
        What is predicted.
    name
        Of the window; the first if empty.
    root
        The folder that relative files are looked up in.

    Raises
    ------
    BadSplit
        If there is no such window.
    """
    splits = _split_again(ingest, problem, root)
    name = name or next(iter(splits.windows), "")
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
        As for `read_window`.
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


def check_split(spec: Any, *, time: str = "", group: str = "") -> str:
    """Check what can be said of a split without a table, and return what it splits by.

    Parameters
    ----------
    spec, time, group
        As in `split_table`.

    Raises
    ------
    BadSplit
        If a key or a way is unknown, a column is not named, shares do not add up, or windows cannot be made.
    """
    if not isinstance(spec, dict):
        raise BadSplit(f"split must be a mapping such as {{by: random, valid: 0.2, test: 0.2}}, not {spec!r}")
    by = str(spec.get("by", "time" if time else "random"))
    if by not in SPEC:
        raise BadSplit(f"split by {by!r} is unknown{suggest(by, list(SPEC))}")
    for key in spec:
        if key not in SPEC[by]:
            raise BadSplit(f"split by {by} has no {key!r}{suggest(key, SPEC[by])}")
    for role, column in {"time": time, "group": group}.items():
        if by == role and not column:
            raise BadSplit(f"a split by {by} needs the {role} column: set shared.{role}")
    if not any(spec.get(key) for key in UNTIL):
        _shares(spec)
    elif by == "position":
        _read_places(spec)
    windows = spec.get("windows", 1)
    if not _is_count(windows) and not (by == "time" and isinstance(windows, str) and windows in PERIODS):
        ways = f"choose one of {', '.join(PERIODS)}, or a number of windows" if by == "time" else WITHOUT_TIME
        raise BadSplit(f"windows {windows!r}: {ways}")
    return by


def _check_spec(
    table: pd.DataFrame, spec: dict[str, Any], target: str, time: str, group: str, keys: Sequence[str]
) -> str:
    by = check_split(spec, time=time, group=group)
    needed = {
        "target": target,
        **({"time": time} if by == "time" else {}),
        **({"group": group} if by == "group" else {}),
    }
    for role, column in [*needed.items(), *(("keys", key) for key in keys)]:
        if not column:
            raise BadSplit(f"a split by {by} needs the {role} column: set shared.{role}")
        if column not in table.columns:
            raise BadSplit(f"{role} {column!r} is no column{suggest(column, list(table.columns))}")
    if not len(table):
        raise BadSplit("the table has no rows: look at its source, and at the query if there is one")
    if time in table.columns:
        _check_dates(table[time])
    if by in ("time", "group") and (gone := int(table[needed[by]].isna().sum())):
        raise BadSplit(f"{gone} of {len(table)} rows have no {needed[by]}: leave them out in the query")
    return by


def _check_dates(times: "pd.Series[Any]") -> None:
    """Refuse a column of words that are no dates: the rows of a day could not be told, whatever the split."""
    known = times.dropna()
    if not pd.api.types.is_string_dtype(known.dtype) or not len(known):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the format, which may differ from row to row
        dates = pd.to_datetime(known.head(1000), errors="coerce", format="mixed")
    if dates.isna().all():
        raise BadSplit(
            f"time {times.name!r} holds no dates (but {known.iloc[0]!r}): name one that does, or cast it in the query"
        )


def _shares(spec: dict[str, Any]) -> list[float]:
    """Return the ends of train, valid and test as shares of the rows."""
    usual = {"valid": 0.2, "test": 0.2, "production": 0.0}
    try:
        given = {name: float(spec.get(name, share)) for name, share in usual.items()}
    except (TypeError, ValueError):
        raise BadSplit(f"valid, test and production must be shares such as 0.2, not {spec}") from None
    if not (min(given.values()) >= 0 and sum(given.values()) < 1):
        words = ", ".join(f"{name} {share:g}" for name, share in given.items())
        raise BadSplit(f"shares must not be negative and must leave some for train: {words}")
    train = 1 - sum(given.values())
    return [train, train + given["valid"], train + given["valid"] + given["test"]]


def _read_times(times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return times as such, also of texts like 2013-04-01."""
    if times.dtype.kind == "M":
        return times
    read = pd.to_datetime(times.astype("str"), format="ISO8601", errors="coerce")
    if read.isna().any():
        odd = times[read.isna()].iloc[0]
        raise BadSplit(f"time {times.name!r} holds {odd!r}, no date such as 2013-04-01: cast it in the query")
    return read


def _label_by_time(times: "pd.Series[Any]", spec: dict[str, Any]) -> Any:
    times = _read_times(times)
    if dated := [key for key in UNTIL if spec.get(key)]:
        limits = _read_limits(spec, times)
        if mixed := [key for key in ("valid", "test", "production") if key in spec]:
            raise BadSplit(f"either dates ({', '.join(dated)}) or shares ({', '.join(mixed)}), not both")
    else:
        ordered = times.sort_values(kind="stable", ignore_index=True)
        places = [round(end * len(ordered)) for end in _shares(spec)]
        after = ordered.iloc[-1] + pd.Timedelta("1us")
        limits = [ordered.iloc[place] if place < len(ordered) else after for place in places]
    labels = np.full(len(times), "test", dtype=object)
    for name, limit in reversed(list(zip(("train", "valid", "test"), limits, strict=False))):
        labels[(times < limit).to_numpy()] = name
    if len(limits) == 3:
        late = (times >= limits[2]).to_numpy()
        labels[late] = _name_windows(times[late], spec.get("windows", "month"))
    return labels


def _label_by_position(rows: int, spec: dict[str, Any]) -> Any:
    """Cut the table by the place of its rows: the first are train, the last the windows."""
    dated = any(spec.get(key) for key in UNTIL)
    ends = _read_places(spec) if dated else [round(end * rows) for end in _shares(spec)]
    places = np.arange(rows)
    labels = np.array(["train", "valid", "test", "later"], dtype=object)[np.searchsorted(ends, places, side="right")]
    late = labels == "later"
    labels[late] = _name_windows(pd.Series(places[late]), spec.get("windows", 1))
    return labels


def _read_places(spec: dict[str, Any]) -> list[int]:
    """Read the numbers of rows at which the parts of a split by position end."""
    ends: list[Any] = [spec.get(key) for key in UNTIL]
    if mixed := [key for key in ("valid", "test", "production") if key in spec]:
        raise BadSplit(f"give either numbers of rows ({', '.join(UNTIL)}) or shares ({', '.join(mixed)}), not both")
    if not all(_is_count(end) for end in ends) or any(late <= early for early, late in pairwise(ends)):
        raise BadSplit(
            f"a split by position needs rising numbers of rows, such as {{train_until: 700, valid_until: 800, "
            f"test_until: 900}}, or shares; got {', '.join(str(end) for end in ends)}"
        )
    return ends


def _read_limits(spec: dict[str, Any], times: "pd.Series[Any]") -> list[pd.Timestamp]:
    limits = []
    for key in UNTIL:
        if not spec.get(key):
            if key == "test_until":
                break
            raise BadSplit(f"a split by dates needs {key}, such as {key}: 2013-04-01")
        try:
            limit = pd.Timestamp(str(spec[key]))
            if times.dt.tz is not None:
                limit = limit.tz_localize(times.dt.tz) if limit.tz is None else limit.tz_convert(times.dt.tz)
        except ValueError as error:
            raise BadSplit(f"{key}: {spec[key]!r} is no date ({error})") from None
        if times.dt.tz is None and limit.tz is not None:
            raise BadSplit(f"{key} has an offset but {times.name!r} has no time zone: write the date without it")
        limits.append(limit)
    if any(late <= early for early, late in pairwise(limits)):
        raise BadSplit(f"dates must rise from train_until to test_until: {', '.join(str(limit) for limit in limits)}")
    return limits


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _name_windows(times: "pd.Series[Any]", windows: Any) -> Any:
    if _is_count(windows):
        before = times.rank(method="min").to_numpy() - 1  # rows of one moment stay together
        return [f"rows-{int(number) + 1}" for number in before * windows // max(len(times), 1)]
    return times.dt.strftime(PERIODS[windows]).to_numpy(dtype=object)


def _label_by_hash(units: pd.DataFrame, strata: Any, spec: dict[str, Any], seed: int) -> Any:
    """Order units by a hash, and cut that order by shares, within each stratum."""
    windows = spec.get("windows", 1)
    *_, late = ends = _shares(spec)
    names = np.array(["train", "valid", "test", *(f"rows-{place + 1}" for place in range(windows))], dtype=object)
    ends = [*ends, *(late + (1 - late) * (place + 1) / windows for place in range(windows - 1))]
    hashes = pd.Series(hash_rows(units, seed))
    ranks = hashes.groupby(strata, dropna=False).rank(method="average") - 0.5
    sizes = hashes.groupby(strata, dropna=False).transform("size")
    return names[np.searchsorted(ends, ranks / sizes, side="right")]


def _refuse_bad_parts(parts: dict[str, pd.DataFrame], target: str, task: str, positive: Any) -> None:
    sizes = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
    for name, part in parts.items():
        if not len(part):
            raise BadSplit(f"{name} would be empty ({sizes} rows): move the dates or change the shares")
        if gone := int(part[target].isna().sum()):
            raise BadSplit(f"{gone} of {len(part)} rows in {name} have no {target}: leave them out in the query")
        if task == "regression" and (odd := _count_odd(part[target])):
            raise BadSplit(
                f"{odd} of {len(part)} rows in {name} have a {target} that is no finite number: correct the query"
            )
    if task == "regression":
        return
    learnt = set(parts["train"][target].unique())
    if task == "binary" and positive is not None and positive not in learnt:
        raise BadSplit(
            f"no row of train has {target} {positive!r}, only {', '.join(sorted(str(one) for one in learnt)[:5])}"
        )
    for name in ("valid", "test"):
        if unseen := sorted(str(value) for value in set(parts[name][target].unique()) - learnt):
            raise BadSplit(
                f"{name} has classes that train has not: {', '.join(unseen[:5])}; split stratified, or later"
            )
    if len(learnt) < 2:
        raise BadSplit(f"all of train has {target} {next(iter(learnt))}: nothing to learn; change the split")


def _count_odd(values: "pd.Series[Any]") -> int:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    return int((~np.isfinite(numbers)).sum())


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


def read_rows(
    ingest: dict[str, Any],
    problem: Problem,
    window: str = "",
    *,
    source: str = "",
    root: str | os.PathLike[str] = ".",
) -> pd.DataFrame:
    """Return the rows that a monitor looks at.

    Parameters
    ----------
    ingest
        What 02 handed over; kept in a version's lineage.
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
    return read_window(ingest, problem, window, root=root)
