"""What a table holds, column by column, in tables."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind, take_labelled
from nbkit.errors import BadSource
from nbkit.features.relations import line_up
from nbkit.problem import Problem
from nbkit.stats import bound_means, bound_shares
from nbkit.tables import write_value
from nbkit.wording import format_count, suggest

SUMMARY = ("column", "type", "missing", "distinct", "mean", "std", "min", "median", "max", "top", "top_share")


def summarize_columns(table: pd.DataFrame, target: str = "") -> pd.DataFrame:
    """Describe each column.

    Parameters
    ----------
    table
        The rows.
    target
        Comes first, if given.

    Returns
    -------
    DataFrame
        One row a column: column, type (number, text, datetime, boolean), missing (share), distinct, mean and std (of
        finite values), min, median, max (text; of numbers and dates), top (the commonest value), top_share (of the
        rows that have a value).
    """
    names = sorted(table.columns, key=lambda name: name != target)
    return pd.DataFrame([_summarize(name, table[name]) for name in names])


def _summarize(name: str, column: "pd.Series[Any]") -> dict[str, Any]:
    kind, values = column_kind(column), column.dropna()
    if kind == "text":
        values = values.astype("str")
    counts = values.value_counts()
    top = counts[counts == counts.max()].index.min() if len(counts) else ""
    numbers = values.astype("float64") if kind in ("number", "boolean") else pd.Series(dtype="float64")
    numbers = numbers[np.isfinite(numbers)]
    ranged = numbers if kind != "datetime" else values
    show: Any = str if kind == "datetime" else write_value
    found = (ranged.min(), ranged.median(), ranged.max()) if len(ranged) else ()
    low, middle, high = map(show, found) if found else ("", "", "")
    share = float(counts.max() / len(values)) if len(counts) else float("nan")
    missing = float(column.isna().mean()) if len(column) else 0.0
    average, spread = float(numbers.mean()), float(numbers.std())
    line = (name, kind, missing, len(counts), average, spread, low, middle, high, write_value(top)[:60], share)
    return dict(zip(SUMMARY, line, strict=True))


def summarize_target(table: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """Describe the target, over time where there is a time.

    Parameters
    ----------
    table
        The rows.
    problem
        What is predicted.

    Returns
    -------
    DataFrame
        period (day, week or month, whichever makes 6 to 60 of them; ``all`` without time), class (empty for
        regression), n, value (rate, or mean), low, high (95 %, from `nbkit.stats.bound_shares` and `bound_means`: where
        the problem names blocks of rows that are alike, these count, and a period of one block has no interval).
    """
    target, task, positive, time = problem.target, problem.task, problem.positive, problem.time
    rows = take_labelled(table, target, task)
    values = rows[target]
    if time and time not in table.columns:
        raise BadSource(f"time {time!r} is not a column{suggest(time, table.columns)}")
    periods = _periods(rows[time]) if time else pd.Series("all", index=rows.index, dtype="str")
    codes, names = pd.factorize(periods, sort=True)
    marks = problem.blocks(rows)
    blocks = None if marks is None else pd.factorize(marks, use_na_sentinel=False)[0]
    levels = [values.max() if positive is None else positive] if task == "binary" else sorted(values.unique(), key=str)
    parts = [pd.DataFrame(columns=["period", "class", "n", "value", "low", "high"])]
    for level in levels if task != "regression" else [""]:
        shown = (values == level if task != "regression" else values).to_numpy(dtype="float64")
        bound = bound_means if task == "regression" else bound_shares
        n, value, _, low, high = bound(shown, codes, len(names), blocks)
        lines = {"period": names, "class": str(level), "n": n, "value": value, "low": low, "high": high}
        parts.append(pd.DataFrame(lines))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _periods(times: "pd.Series[Any]") -> "pd.Series[str]":
    times = times if column_kind(times) == "datetime" else pd.to_datetime(times, format="ISO8601")
    days = (times.max() - times.min()).days if times.notna().any() else 0
    form = "%Y-%m-%d" if days < 60 else "%G-W%V" if days < 180 else "%Y-%m" if days < 366 * 6 else "%Y"
    return times.dt.strftime(form).astype("str").where(times.notna(), "no time")


def measure_missing(table: pd.DataFrame) -> pd.DataFrame:
    """Count missing values, and tell which columns miss them together.

    Parameters
    ----------
    table
        The rows.

    Returns
    -------
    DataFrame
        One row a column that misses values, most first: column, missing, share, together (columns missing in exactly
        the same rows).
    """
    gone = {name: column.isna() for name, column in table.items() if column.isna().any()}
    prints = {name: mask.to_numpy().tobytes() for name, mask in gone.items()}
    lines = []
    for name, mask in gone.items():
        together = ", ".join(str(other) for other in gone if other != name and prints[other] == prints[name])
        lines.append((name, int(mask.sum()), float(mask.mean()), together))
    result = pd.DataFrame(lines, columns=["column", "missing", "share", "together"])
    return result.sort_values("missing", ascending=False, kind="stable", ignore_index=True)


def map_missing(table: pd.DataFrame, stretches: int = 80) -> pd.DataFrame:
    """Map where values are missing: what is missing together, and since when.

    Parameters
    ----------
    table
        The rows, in their order.
    stretches
        Into so many the rows are cut, one after the other.

    Returns
    -------
    DataFrame
        One row a column that misses values, one column a stretch of rows: the share that is missing. Columns that are
        missing in the same rows stand side by side.
    """
    gone = table.loc[:, table.isna().any()].isna().astype(float)
    shares = gone.groupby(np.arange(len(gone)) * stretches // max(len(gone), 1)).mean()
    most = gone[gone.mean().sort_values(ascending=False, kind="stable").index]
    return shares[line_up(most.corr())].T


def find_oddities(table: pd.DataFrame) -> pd.DataFrame:
    """Find columns that a model cannot learn from, values that need cleaning, and rows that come twice.

    A *sentinel* is a number that seems to stand for a missing one: the least or the largest of a column, in at least
    three rows, and either a usual code or with at least ten different others three times as far away as those are from
    each other. Usual codes are 99, 999, … with either sign: at least three different others, half as far away as those
    are from each other; and -1, -9, -99, …: the only negative value beside at least ten different others.
    *Spellings* are texts that differ in case or blanks only, in a column whose values come twice or more on average.

    Parameters
    ----------
    table
        The rows.

    Returns
    -------
    DataFrame
        column, finding (empty, constant, id-like, sentinel, spellings, duplicate column, duplicate rows), evidence.
    """
    found = []
    seen: dict[bytes, str] = {}
    for name, column in table.items():
        filled, n = column.dropna(), len(table)
        texts = filled.astype("str") if column_kind(column) == "text" else filled
        distinct = texts.nunique()
        if n and not len(filled):
            found.append((name, "empty", "no row has a value"))
        elif distinct == 1:
            found.append((name, "constant", f"always {filled.iloc[0]}" + ("" if len(filled) == n else " or missing")))
        elif n >= 20 and column_kind(column) != "datetime" and distinct == len(filled) and not _is_measure(filled):
            found.append((name, "id-like", f"{format_count(distinct, 'different value')} in {format_count(n, 'row')}"))
        dirt = {"number": ("sentinel", _find_sentinels), "text": ("spellings", _find_spellings)}
        finding, look = dirt.get(column_kind(column), ("", None))
        found += [(name, finding, evidence) for evidence in look(texts)] if look else []
        digest = pd.util.hash_pandas_object(column.astype("str") if column.dtype.kind == "O" else column, index=False)
        first = seen.setdefault(digest.to_numpy().tobytes(), str(name))
        if first != name and distinct > 1:
            found.append((name, "duplicate column", f"equal to {first} in every row"))
    plain = table.astype({name: "str" for name in table if table[name].dtype.kind == "O"})
    if repeated := int(plain.duplicated().sum()):
        found.append(("", "duplicate rows", f"{repeated:,} of {format_count(len(table), 'row')} repeat an earlier one"))
    return pd.DataFrame(found, columns=["column", "finding", "evidence"])


def _is_measure(filled: "pd.Series[Any]") -> bool:
    """Return whether numbers are a measurement, whose values may well all differ, rather than names of rows."""
    return column_kind(filled) == "number" and not bool((filled == filled.round()).all())


def _find_sentinels(filled: "pd.Series[Any]") -> list[str]:
    """Describe which numbers seem to stand for missing ones, as `find_oddities` defines it."""
    numbers = filled.astype("float64")
    counts = numbers[np.isfinite(numbers)].value_counts().sort_index()
    found = []
    for place in (0, -1) if len(counts) >= 4 else ():
        value, others = float(counts.index[place]), counts.index.delete(place).to_numpy()
        low, high = float(others[0]), float(others[-1])
        away = max(low - value, value - high)
        nines = value == round(value) and set(f"{abs(value):.0f}") == {"9"}
        far = away > (high - low) * (0.5 if nines and abs(value) > 9 else 3 if len(others) >= 10 else np.inf)
        alone = len(others) >= 10 and low >= 0 > value and (nines or value == -1)
        if counts.iloc[place] >= 3 and (far or alone):
            rows = format_count(counts.iloc[place], "row")
            said = f"all others from {write_value(low)} to {write_value(high)}: this may mean missing"
            found.append(f"{write_value(value)} in {rows}, {said}")
    return found


def _find_spellings(texts: "pd.Series[Any]") -> list[str]:
    """Describe which texts differ in case or blanks only, the commonest first."""
    counts = texts.value_counts()
    if len(counts) > len(texts) / 2:
        return []
    same = counts.groupby([" ".join(str(level).split()).casefold() for level in counts.index], sort=False)
    groups = [", ".join(f"{level!r} ({count:,})" for level, count in part.items()) for _, part in same if len(part) > 1]
    shown = "; ".join(groups[:3]) + ("; …" if len(groups) > 3 else "")
    return [f"{shown} differ in case or blanks only"] if groups else []
