"""A table is cut into training, validation, test and production windows that share nothing."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbkit.data.sources import take_snapshot
from nbkit.errors import BadSplit

SPEC = {
    "time": ("by", "train_until", "valid_until", "test_until", "valid", "test", "production", "windows"),
    "random": ("by", "valid", "test", "production", "windows"),
    "stratified": ("by", "valid", "test", "production", "windows"),
    "group": ("by", "valid", "test", "production", "windows"),
}
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
        or the mean; NaN for many classes), classes (their shares, in words).
    """

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    windows: dict[str, pd.DataFrame]
    summary: pd.DataFrame


def split_table(
    table: pd.DataFrame,
    spec: dict[str, Any],
    *,
    target: str,
    task: str = "binary",
    positive: Any = None,
    time: str = "",
    group: str = "",
    keys: Sequence[str] = (),
    seed: int = 0,
) -> Splits:
    """Cut a table into parts.

    Parameters
    ----------
    table
        The rows.
    spec
        ``{by: time, train_until:, valid_until:, test_until:, windows: month|week|day}``: a part ends *before* its date;
        what is later than ``test_until`` goes to windows named 2013-06, 2013-W23 or 2013-06-01.
        ``{by: time|random|stratified|group, valid: 0.2, test: 0.2, production: 0.2, windows: 2}``: shares of the rows
        (the rest is train); windows are named rows-1, rows-2.
    target, task, positive
        The column to predict, ``binary``, ``multiclass`` or ``regression``, and the class that counts as 1.
    time
        The column of the event's time. A date without an offset is read in the column's own zone; a column without a
        zone is taken as it stands. Rows of one moment stay together.
    group
        The column whose values never straddle two parts (``by: group``).
    keys
        Columns that identify a row. Membership by shares is decided by the order of a hash of these (else of the whole
        row) and the seed: it does not depend on the order of rows, and identical rows stay together.
    seed
        Of the hash.

    Returns
    -------
    Splits
        Train, valid, test, windows and a summary.

    Raises
    ------
    BadSplit
        If a part would be empty, a time or target is missing, a class is absent from train, or the spec is wrong.
    """
    by = _check_spec(table, spec, target, time, group, keys)
    if by == "time":
        labels = _label_by_time(table[time], spec)
    else:
        units = table[group] if by == "group" else table[list(keys)] if keys else table
        strata = table[target] if by == "stratified" else pd.Series(0, index=table.index)
        labels = _label_by_hash(units, strata, spec, seed)
    parts = {name: table[labels == name].reset_index(drop=True) for name in ("train", "valid", "test")}
    _refuse_bad_parts(parts, target, task)
    names = [name for name in _ordered(labels) if name not in parts]
    windows = {name: table[labels == name].reset_index(drop=True) for name in names}
    summary = [_summarize(n, p, len(table), target, task, positive, time) for n, p in {**parts, **windows}.items()]
    return Splits(**parts, windows=windows, summary=pd.DataFrame(summary))


def read_window(ingest: dict[str, Any], name: str, *, root: str | os.PathLike[str] = ".") -> pd.DataFrame:
    """Read the sources again and return one part: a window, or train, valid, test.

    Parameters
    ----------
    ingest
        The params of 02_ingest: sources, query, rows, split, target, task, positive, time, group, keys, seed.
    name
        Of the window.
    root
        The folder that relative files are looked up in.

    Raises
    ------
    BadSplit
        If there is no such window.
    """
    splits = _split_again(ingest, root)
    parts = {**splits.windows, "train": splits.train, "valid": splits.valid, "test": splits.test}
    if name not in parts:
        known = ", ".join(splits.windows) or "no windows: set `production` or `test_until` in the split"
        raise BadSplit(f"no window {name!r}{_did_you_mean(name, list(parts))}; there are {known}")
    return parts[name]


def list_windows(ingest: dict[str, Any], *, root: str | os.PathLike[str] = ".") -> list[str]:
    """List the names of the windows, in order.

    Parameters
    ----------
    ingest
        As for `read_window`.
    root
        The folder that relative files are looked up in.
    """
    return list(_split_again(ingest, root).windows)


def _split_again(ingest: dict[str, Any], root: str | os.PathLike[str]) -> Splits:
    given = {key: ingest[key] for key in ("rows", "seed", "keys") if key in ingest}
    table = take_snapshot(ingest["sources"], ingest.get("query", ""), root=root, **given).table
    roles = ("target", "task", "positive", "time", "group", "keys", "seed")
    return split_table(table, ingest["split"], **{key: ingest[key] for key in roles if key in ingest})


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_spec(
    table: pd.DataFrame, spec: dict[str, Any], target: str, time: str, group: str, keys: Sequence[str]
) -> str:
    by = str(spec.get("by", "time" if time else "random"))
    if by not in SPEC:
        raise BadSplit(f"split by {by!r} is unknown{_did_you_mean(by, list(SPEC))}; choose one of {', '.join(SPEC)}")
    for key in spec:
        if key not in SPEC[by]:
            raise BadSplit(
                f"split by {by} has no {key!r}{_did_you_mean(key, SPEC[by])}; it takes {', '.join(SPEC[by])}"
            )
    needed = {
        "target": target,
        **({"time": time} if by == "time" else {}),
        **({"group": group} if by == "group" else {}),
    }
    for role, column in [*needed.items(), *(("keys", key) for key in keys)]:
        if not column:
            raise BadSplit(f"a split by {by} needs the {role} column: set shared.{role}")
        if column not in table.columns:
            raise BadSplit(f"{role} {column!r} is no column{_did_you_mean(column, list(table.columns))}")
    if not len(table):
        raise BadSplit("the table has no rows: check the query")
    if by in ("time", "group") and (gone := int(table[needed[by]].isna().sum())):
        raise BadSplit(f"{gone} of {len(table)} rows have no {needed[by]}: leave them out in the query")
    return by


def _shares(spec: dict[str, Any]) -> dict[str, float]:
    shares = {
        name: float(spec.get(name, usual)) for name, usual in (("valid", 0.2), ("test", 0.2), ("production", 0.0))
    }
    if min(shares.values()) < 0 or sum(shares.values()) >= 1:
        words = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise BadSplit(f"shares must not be negative and must leave some for train: {words}")
    return {"train": 1 - sum(shares.values()), **shares}


def _label_by_time(times: "pd.Series[Any]", spec: dict[str, Any]) -> "pd.Series[str]":
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        try:
            times = pd.to_datetime(times, format="ISO8601")
        except (ValueError, TypeError) as error:
            raise BadSplit(f"time {times.name!r} is not a date: {error}; cast it in the query") from None
    if "train_until" in spec:
        limits = _read_limits(spec, times)
    else:
        shares = _shares(spec)
        ordered = times.sort_values(kind="stable").reset_index(drop=True)
        ends = np.cumsum([shares["train"], shares["valid"], shares["test"]])
        places = [round(end * len(ordered)) for end in ends]
        limits = [
            ordered.iloc[place] if place < len(ordered) else ordered.iloc[-1] + pd.Timedelta("1us") for place in places
        ]
    labels = pd.Series("production", index=times.index)
    for name, limit in reversed(list(zip(("train", "valid", "test"), limits, strict=False))):
        labels = labels.mask(times < limit, name)
    if len(limits) < 3:
        labels = labels.replace("production", "test")
    late = labels == "production"
    return labels.mask(late, _name_windows(times[late], spec.get("windows", "month")).reindex(labels.index))


def _read_limits(spec: dict[str, Any], times: "pd.Series[Any]") -> list[pd.Timestamp]:
    limits = []
    for key in ("train_until", "valid_until", "test_until"):
        if not spec.get(key):
            if key == "test_until":
                break
            raise BadSplit(f"a split by dates needs {key}, such as {key}: 2013-04-01")
        try:
            limit = pd.Timestamp(str(spec[key]))
        except ValueError as error:
            raise BadSplit(f"{key}: {spec[key]!r} is no date ({error})") from None
        if times.dt.tz is not None:
            limit = limit.tz_localize(times.dt.tz) if limit.tz is None else limit.tz_convert(times.dt.tz)
        elif limit.tz is not None:
            raise BadSplit(f"{key} has an offset but {times.name!r} has no time zone: write the date without it")
        limits.append(limit)
    if limits != sorted(limits) or len(set(limits)) < len(limits):
        raise BadSplit(f"dates must rise from train_until to test_until: {', '.join(str(limit) for limit in limits)}")
    return limits


def _name_windows(times: "pd.Series[Any]", windows: Any) -> "pd.Series[str]":
    if isinstance(windows, int) and not isinstance(windows, bool) and windows > 0:
        codes = times.rank(method="dense").to_numpy()
        ranks = times.rank(method="min").to_numpy()  # rows of one moment stay together
        numbers = (
            np.minimum((ranks - 1) * windows // max(len(times), 1), windows - 1).astype(int) if len(codes) else codes
        )
        return pd.Series([f"rows-{number + 1}" for number in numbers], index=times.index, dtype="str")
    if windows not in PERIODS:
        raise BadSplit(f"windows {windows!r}: choose one of {', '.join(PERIODS)}, or a number of windows")
    return times.dt.strftime(PERIODS[windows]).astype("str")


def _label_by_hash(
    units: "pd.DataFrame | pd.Series[Any]", strata: "pd.Series[Any]", spec: dict[str, Any], seed: int
) -> "pd.Series[str]":
    """Order units by a hash, and cut that order by shares, within each stratum."""
    windows = spec.get("windows", 1)
    if not isinstance(windows, int) or isinstance(windows, bool) or windows < 1:
        raise BadSplit(f"windows {windows!r}: without time, give a number of windows")
    frame = units.to_frame() if isinstance(units, pd.Series) else units
    plain = frame.assign(**{name: frame[name].astype(str) for name in frame if frame[name].dtype.kind == "O"})
    hashes = pd.util.hash_pandas_object(plain.assign(__seed=seed), index=False).to_numpy()
    hashes = pd.util.hash_array(hashes)
    shares = _shares(spec)
    names = ["train", "valid", "test", *(f"rows-{i + 1}" for i in range(windows))]
    sizes = [shares["train"], shares["valid"], shares["test"], *[shares["production"] / windows] * windows]
    ends = np.cumsum(sizes)
    ends[-1] = 1.0
    labels = np.empty(len(frame), dtype=object)
    for _, places in strata.reset_index(drop=True).groupby(strata.to_numpy(), sort=True, dropna=False).indices.items():
        ranks = pd.Series(hashes[places]).rank(method="min").to_numpy() - 0.5
        labels[places] = np.array(names, dtype=object)[
            np.searchsorted(ends, ranks / len(places), side="right").clip(max=len(names) - 1)
        ]
    return pd.Series(labels, index=frame.index, dtype="str")


def _ordered(labels: "pd.Series[str]") -> list[str]:
    return sorted(labels.unique(), key=lambda name: (len(name), name) if name.startswith("rows-") else (0, name))


def _refuse_bad_parts(parts: dict[str, pd.DataFrame], target: str, task: str) -> None:
    sizes = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
    for name, part in parts.items():
        if not len(part):
            raise BadSplit(f"{name} would be empty ({sizes} rows): move the dates or change the shares")
        if gone := int(part[target].isna().sum()):
            raise BadSplit(f"{gone} of {len(part)} rows in {name} have no {target}: leave them out in the query")
    if task == "regression":
        return
    learnt = set(parts["train"][target].unique())
    for name in ("valid", "test"):
        if unseen := sorted(str(value) for value in set(parts[name][target].unique()) - learnt):
            raise BadSplit(
                f"{name} has classes that train has not: {', '.join(unseen[:5])}; split stratified, or later"
            )
    if len(learnt) < 2:
        raise BadSplit(
            f"train holds one class of {target} only ({next(iter(learnt))}): nothing to learn; change the split"
        )


def _summarize(
    name: str, part: pd.DataFrame, total: int, target: str, task: str, positive: Any, time: str
) -> dict[str, Any]:
    values = part[target].dropna()
    mean = float("nan")
    classes = ""
    if task == "regression":
        mean = float(values.mean())
    else:
        rates = values.value_counts(normalize=True).sort_index()
        classes = ", ".join(f"{level}: {rate:.1%}" for level, rate in rates.items())
        if task == "binary":
            mean = float((values == _positive(values, positive)).mean())
    span = [str(part[time].min()), str(part[time].max())] if time in part and len(part) else ["", ""]
    return {
        "split": name,
        "rows": len(part),
        "share": len(part) / total,
        "first": span[0],
        "last": span[1],
        "target_mean": mean,
        "classes": classes,
    }


def _positive(values: "pd.Series[Any]", positive: Any) -> Any:
    """Return the class that counts as 1: the one named, else the last in order."""
    return positive if positive is not None else (values.max() if len(values) else 1)
