"""Each row of a table gets the name of the part it belongs to: train, valid, test or a later window."""

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from nbkit.data.sources import hash_rows
from nbkit.errors import BadSplit
from nbkit.problem import Problem
from nbkit.wording import suggest

UNTIL = ("train_until", "valid_until", "test_until")
SHARES = {"valid": 0.2, "test": 0.2, "production": 0.0}
BY_SHARES = ("by", *SHARES, "windows")
SPEC = {
    "time": (*UNTIL, *BY_SHARES),
    "random": BY_SHARES,
    "stratified": BY_SHARES,
    "group": BY_SHARES,
    "position": (*UNTIL, *BY_SHARES),
}
PERIODS = {"month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}


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
    given, mixed = [key for key in UNTIL if spec.get(key)], [key for key in SHARES if key in spec]
    if given and mixed:
        raise BadSplit(f"give either {', '.join(given)} or shares ({', '.join(mixed)}), not both")
    if not given:
        _shares(spec)
    elif by == "position":
        _read_places(spec)
    _check_windows(spec.get("windows", 1), by)
    return by


def _check_windows(windows: Any, by: str) -> None:
    if not _is_count(windows) and not (by == "time" and isinstance(windows, str) and windows in PERIODS):
        ways = f"choose one of {', '.join(PERIODS)}, or" if by == "time" else "without time, give"
        raise BadSplit(f"windows {windows!r}: {ways} a number of windows")


def label_rows(table: pd.DataFrame, spec: dict[str, Any], problem: Problem) -> Any:
    """Give each row the name of its part; as `split_table`, which says what is refused."""
    by = _check_table(table, spec, problem)
    if by == "time":
        return _label_along(read_times(table[problem.time]), spec, by)
    if by == "position":
        return _label_along(pd.Series(np.arange(len(table))), spec, by)
    units = table[[problem.group]] if by == "group" else table[list(problem.keys)] if problem.keys else table
    strata = table[problem.target].to_numpy() if by == "stratified" else np.zeros(len(table))
    return _label_by_hash(units, strata, spec, problem.seed)


def _check_table(table: pd.DataFrame, spec: dict[str, Any], problem: Problem) -> str:
    by = check_split(spec, time=problem.time, group=problem.group)
    own = {"time": problem.time, "group": problem.group}.get(by, problem.target)
    for role, column in (("target", problem.target), (by, own), *(("keys", key) for key in problem.keys)):
        if column not in table.columns:
            raise BadSplit(f"{role} {column!r} is not a column{suggest(column, list(table.columns))}")
    if not len(table):
        raise BadSplit("the table has no rows: look at its source, and at the query if there is one")
    if problem.time in table.columns:
        _check_dates(table[problem.time])
    if by in ("time", "group") and (gone := int(table[own].isna().sum())):
        raise BadSplit(f"{gone} of {len(table)} rows have no {own}: leave them out in the query")
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
    try:
        given = {name: float(spec.get(name, share)) for name, share in SHARES.items()}
    except (TypeError, ValueError):
        raise BadSplit(f"valid, test and production must be shares such as 0.2, not {spec}") from None
    if not (min(given.values()) >= 0 and sum(given.values()) < 1):
        words = ", ".join(f"{name} {share:g}" for name, share in given.items())
        raise BadSplit(f"shares must not be negative and must leave some for train: {words}")
    train = 1 - sum(given.values())
    return [train, train + given["valid"], train + given["valid"] + given["test"]]


def read_times(times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return times as such, also of texts like 2013-04-01."""
    if times.dtype.kind == "M":
        return times
    read = pd.to_datetime(times.astype("str"), format="ISO8601", errors="coerce")
    if read.isna().any():
        odd = times[read.isna()].iloc[0]
        raise BadSplit(f"time {times.name!r} holds {odd!r}, no date such as 2013-04-01: cast it in the query")
    return read


def _label_along(values: "pd.Series[Any]", spec: dict[str, Any], by: str) -> Any:
    """Cut rows by their time or place: the first are train, the last the windows."""
    if any(spec.get(key) for key in UNTIL):
        limits = _read_dates(spec, values) if by == "time" else _read_places(spec)
    else:
        ordered = values.sort_values(kind="stable", ignore_index=True)
        after = ordered.iloc[-1] + (pd.Timedelta("1us") if by == "time" else 1)
        places = [round(end * len(ordered)) for end in _shares(spec)]
        limits = [ordered.iloc[place] if place < len(ordered) else after for place in places]
    labels = np.full(len(values), "test", dtype=object)
    for name, limit in reversed(list(zip(("train", "valid", "test"), limits, strict=False))):
        labels[(values < limit).to_numpy()] = name
    if len(limits) == 3:
        late = (values >= limits[2]).to_numpy()
        labels[late] = _name_windows(values[late], spec.get("windows", "month" if by == "time" else 1))
    return labels


def _read_places(spec: dict[str, Any]) -> list[Any]:
    """Read the numbers of rows at which the parts of a split by position end."""
    ends: list[Any] = [spec.get(key) for key in UNTIL]
    if not all(_is_count(end) for end in ends) or any(late <= early for early, late in pairwise(ends)):
        raise BadSplit(
            f"a split by position needs rising numbers of rows, such as {{train_until: 700, valid_until: 800, "
            f"test_until: 900}}, or shares; got {', '.join(str(end) for end in ends)}"
        )
    return ends


def _read_dates(spec: dict[str, Any], times: "pd.Series[Any]") -> list[Any]:
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
            raise BadSplit(f"{key}: {spec[key]!r} is not a date ({error})") from None
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
