"""Columns that say when a row came though they hold no dates: serial numbers, epochs, periods, a year and a month."""

import calendar
import re
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind

UNIQUE, REGULAR = 0.98, 1.5  # distinct values of a serial number, and the spread of its gaps as a share of their mean
EPOCHS = ((946_684_800, 4_102_444_800), (946_684_800_000, 4_102_444_800_000))  # 2000 to 2100, in s and in ms
YEARS = (1950, 2100)
YEAR_NAMES = re.compile(r"(fiscal|calendar)?_?(year|yr|jahr|annee|año|ano|anno)", re.IGNORECASE)
PART_NAMES = {
    12: re.compile(r"\b(mon|month|monat|mes|mois)\b", re.IGNORECASE),
    4: re.compile(r"\b(q|qtr|quarter|quartal)\b", re.IGNORECASE),
    53: re.compile(r"\b(wk|week|kw|woche)\b", re.IGNORECASE),
}
MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
PERIOD = r"(?P<year>(?:19|20)\d\d)[-/ _.]?[WQHMKwqhmk]*(?P<part>\d{1,2})(?:[-/ .](?P<day>\d{1,2}))?"
NUMBERED = r"\D*(?P<number>\d+)\D*"


def list_time_keys(rows: pd.DataFrame) -> dict[str, "pd.Series[Any]"]:
    """List what rows may be put in the order of their time by.

    Parameters
    ----------
    rows
        The table without its target.

    Returns
    -------
    dict
        The column, or the columns with a comma between them, to numbers that rise with time. Only columns without
        missing values: whole numbers that are all different at regular distances, seconds or milliseconds since 1970,
        periods such as 202301 or 2023-W05, texts that end in a serial number, and a year with a month beside it.

    Examples
    --------
    >>> rows = pd.DataFrame({"year": [2020, 2020, 2021], "month": [2, 3, 1], "age": [40, 40, 40]})
    >>> list_time_keys(rows)["year, month"].tolist()
    [202002.0, 202003.0, 202101.0]
    """
    whole = rows[[name for name in rows.columns if rows[name].notna().all()]]
    pairs = _list_parts(whole)
    years = {pair.split(", ")[0] for pair in pairs}
    alone = {str(name): key for name in whole.columns if (key := _read_key(whole[name])) is not None}
    return pairs | {name: key for name, key in alone.items() if name not in years}


def numbers_rows(column: "pd.Series[Any]") -> bool:
    """Return whether whole numbers are nearly all different, and spread evenly enough to be given one after the other.

    Examples
    --------
    >>> numbers_rows(pd.Series([3, 1, 2, 5])), numbers_rows(pd.Series([1, 2, 3, 4, 5, 9999]))
    (True, False)
    """
    numbers = column.to_numpy(dtype="float64")
    if len(numbers) < 2 or not (numbers == np.round(numbers)).all() or column.nunique() < UNIQUE * len(numbers):
        return False
    gaps = np.diff(np.unique(numbers))
    return bool(gaps.std() <= REGULAR * gaps.mean())


def _read_key(column: "pd.Series[Any]") -> "pd.Series[Any] | None":
    kind = column_kind(column)
    if kind == "text":
        return _read_texts(column.astype("str"))
    if kind != "number" or not (column == column.round()).all():
        return None
    many = column.nunique() > len(column) / 20
    epoch = many and any(column.between(first, last, inclusive="left").all() for first, last in EPOCHS)
    year = _is_year(column) and YEAR_NAMES.fullmatch(str(column.name))
    return column.astype("float64") if epoch or numbers_rows(column) or _is_period(column) or year else None


def _is_year(column: "pd.Series[Any]") -> bool:
    return bool(column.between(*YEARS).all() and column.nunique() > 1)


def _is_period(column: "pd.Series[Any]") -> bool:
    """Return whether all numbers are years with two digits of a month, quarter or week, or whole days as 20230131."""
    numbers = column.astype("int64") if column.abs().max() < 1e9 else pd.Series(dtype="int64")
    if column.nunique() < 4 or numbers.empty:
        return False
    short = (numbers // 100).between(*YEARS) & (numbers % 100).between(1, 53)
    days = (numbers // 10_000).between(*YEARS) & (numbers // 100 % 100).between(1, 12) & (numbers % 100).between(1, 31)
    return bool(short.all() or days.all())


def _read_texts(column: "pd.Series[Any]") -> "pd.Series[Any] | None":
    parts = column.str.extract(f"^{PERIOD}$")
    if parts["year"].notna().all() and column.nunique() > 3:
        day = parts["day"].fillna("0").astype("float64")
        return parts["year"].astype("float64") * 1e4 + parts["part"].astype("float64") * 100 + day
    number = column.str.extract(f"^{NUMBERED}$")["number"]
    if number.notna().all() and number.str.len().max() < 16:
        numbers = number.astype("float64")
        return numbers if numbers_rows(numbers) else None
    return None


def _list_parts(rows: pd.DataFrame) -> dict[str, "pd.Series[Any]"]:
    """List the pairs of the first column of years and each of months, quarters or weeks."""
    for name in rows.columns:
        year = rows[name]
        if column_kind(year) == "number" and (year == year.round()).all() and _is_year(year):
            parts = {f"{name}, {other}": _read_part(rows[other]) for other in rows.columns}
            return {pair: year.astype("float64") * 100 + part for pair, part in parts.items() if part is not None}
    return {}


def _read_part(column: "pd.Series[Any]") -> "pd.Series[Any] | None":
    if column_kind(column) == "text":
        months = column.astype("str").str[:3].str.lower().map(MONTHS)
        return months.astype("float64") if months.notna().all() and column.nunique() > 3 else None
    words = re.sub(r"[\W\d_]+", " ", str(column.name))
    for most, pattern in PART_NAMES.items():
        if pattern.search(words) and column.between(1, most).all() and column.nunique() > 2:
            return column.astype("float64")
    return None
