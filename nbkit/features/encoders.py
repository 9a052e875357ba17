"""Functions that recipes are made of, for scikit-learn's FunctionTransformer: numbers, levels, parts of dates."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import spell_level
from nbkit.errors import BadFeature
from nbkit.wording import suggest

PARTS = ("year", "quarter", "month", "week", "day", "dayofyear", "weekday", "is_weekend", "hour", "minute")
LARGEST = float(np.finfo("float32").max)  # trees compute with no larger numbers
OTHERWISE = {  # than the attribute of that name
    "week": lambda dates: dates.isocalendar().week,
    "dayofyear": lambda dates: dates.day_of_year,
    "weekday": lambda dates: dates.day_of_week,
    "is_weekend": lambda dates: dates.day_of_week >= 5,
}


def to_numbers(table: pd.DataFrame) -> np.ndarray:
    """Turn columns into floats: yes and no become 1 and 0, missing and infinite values and those beyond 3.4e38 NaN.

    Raises
    ------
    BadFeature
        If a column holds what is not a number.

    Examples
    --------
    >>> to_numbers(pd.DataFrame({"a": [1, 2], "b": [True, None], "c": [np.inf, 0.5]})).tolist()
    [[1.0, 1.0, nan], [2.0, nan, 0.5]]
    """
    values = np.column_stack([_read_numbers(table[name]) for name in table.columns]).astype(float)
    values[np.abs(values) > LARGEST] = np.nan
    return values


def to_levels(table: pd.DataFrame) -> np.ndarray:
    """Write categories as texts that read the same whatever the column's type is: 3.0 as 3, true as 1; missing as NaN.

    Examples
    --------
    >>> to_levels(pd.DataFrame({"a": [3.0, None], "b": ["x", "y"], "c": [True, False]})).tolist()
    [['3', 'x', '1'], [nan, 'y', '0']]
    """
    return np.column_stack([_read_levels(table[name]) for name in table.columns])


def to_date_parts(table: pd.DataFrame, parts: Sequence[str] = ("month", "weekday", "hour")) -> np.ndarray:
    """Take dates apart: for each column, the parts as numbers; NaN where the date is missing.

    Parameters
    ----------
    table
        Columns of dates.
    parts
        Of year, quarter, month, week, day, dayofyear, weekday (0 is Monday), is_weekend, hour, minute.

    Examples
    --------
    >>> to_date_parts(pd.DataFrame({"at": ["2013-06-01T17:30"]}), ["month", "weekday", "hour"]).tolist()
    [[6.0, 5.0, 17.0]]
    """
    for part in parts:
        if part not in PARTS:
            raise BadFeature(f"a date has no part {part!r}{suggest(part, PARTS)}")
    columns = []
    for name in table.columns:
        dates = _read_dates(table[name])
        for part in parts:
            values = pd.Series(OTHERWISE.get(part, attrgetter(part))(dates)).to_numpy(dtype="float64", na_value=np.nan)
            columns.append(np.where(dates.isna(), np.nan, values))
    return np.column_stack(columns)


def name_date_parts(transformer: Any, names: Sequence[str]) -> np.ndarray:
    """Name what `to_date_parts` makes: ``feature_names_out`` of its FunctionTransformer."""
    parts = (transformer.kw_args or {}).get("parts", ("month", "weekday", "hour"))
    return np.array([f"{name}_{part}" for name in names for part in parts], dtype=object)


def _read_numbers(column: "pd.Series[Any]") -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan)
    try:
        return pd.to_numeric(column).to_numpy(dtype="float64", na_value=np.nan)
    except (ValueError, TypeError) as error:
        words = f"numeric feature {column.name!r} holds no number: {error}"
        raise BadFeature(f"{words}; clean it, or list it as categorical") from None


def _read_levels(column: "pd.Series[Any]") -> np.ndarray:
    values = column.to_numpy(dtype=object)
    if not isinstance(column.dtype, pd.StringDtype):
        values = np.array([spell_level(value) for value in values], dtype=object)
    return np.where(column.isna().to_numpy(), np.nan, values)


def _read_dates(column: "pd.Series[Any]") -> pd.DatetimeIndex:
    try:
        return pd.DatetimeIndex(column if column.dtype.kind == "M" else pd.to_datetime(column, format="ISO8601"))
    except (ValueError, TypeError) as error:
        raise BadFeature(f"datetime feature {column.name!r} cannot be read: {error}") from None
