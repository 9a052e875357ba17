"""Cohorts: rows that meet some conditions, as they are written in the params; nothing in them is executed."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadParameter
from nbkit.stats import Array
from nbkit.wording import suggest

COHORT = "cohort"  # what the column of a table of slices says of it
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
ORDERED = (">=", "<=", ">", "<")
OTHERS = ("in", "missing", "known")
Conditions = Sequence[Mapping[str, Any]]


def find_cohort(rows: pd.DataFrame, conditions: Conditions) -> Array:
    """Return which rows meet all of some conditions.

    Parameters
    ----------
    rows
        The table.
    conditions
        Each {column, op, value}: op is ==, !=, >=, <=, >, <, `in` (value: a list), `missing` or `known` (no value).
        Levels are compared as text; a row whose value is missing meets nothing but `missing` and `!=`.

    Raises
    ------
    BadParameter
        For a column, operator or value that does not fit.

    Examples
    --------
    >>> find_cohort(pd.DataFrame({"hour": [5, 18, 20]}), [{"column": "hour", "op": ">=", "value": 18}]).tolist()
    [False, True, True]
    """
    kept = np.ones(len(rows), dtype=bool)
    for each in conditions:
        if not isinstance(each, Mapping) or not {"column", "op"} <= {*each} <= {"column", "op", "value"}:
            raise BadParameter(f"a condition is written {{column: …, op: …, value: …}}; got {each!r}")
        column, how = str(each["column"]), str(each["op"])
        if column not in rows:
            raise BadParameter(
                f"a cohort names the column {column!r}, of which there is none{suggest(column, rows.columns)}"
            )
        kept &= _compare(rows[column], how, each.get("value"))
    return kept


def describe_cohort(conditions: Conditions) -> str:
    """Write conditions as they are said.

    Examples
    --------
    >>> describe_cohort([{"column": "hour", "op": ">=", "value": 18}, {"column": "seats", "op": "missing"}])
    'hour >= 18 and seats missing'
    """
    return " and ".join(f"{each['column']} {each['op']} {each.get('value', '')}".strip() for each in conditions)


def _compare(column: "pd.Series[Any]", how: str, value: Any) -> Array:
    if how in ("missing", "known"):
        return np.asarray(column.isna() == (how == "missing"), dtype=bool)
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    time = pd.api.types.is_datetime64_any_dtype(column)
    read: Callable[[Any], Any] = float if number else pd.Timestamp if time else str
    if how not in (*OPERATORS, *OTHERS):
        raise BadParameter(
            f"no operator {how!r} in a condition on {column.name!r}{suggest(how, [*OPERATORS, *OTHERS])}"
        )
    if how in ORDERED and not (number or time):
        raise BadParameter(f"{column.name!r} has levels and no order: use ==, != or in, not {how}")
    try:
        wanted = [read(each) for each in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError) as error:
        raise BadParameter(f"{column.name!r} {how} {value!r} cannot be compared: {error}") from None
    known = column if time else column.astype(float if number else "str").where(column.notna())
    found = known.isin(wanted) if how == "in" else OPERATORS[how](known, wanted[0])
    return np.asarray(found.fillna(how == "!="), dtype=bool)
