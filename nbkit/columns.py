"""Kinds of columns, and rows made ready to be learned from."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadSource
from nbkit.wording import suggest

SAMPLE = 20_000
LARGEST = 1e100


def column_kind(column: "pd.Series[Any]") -> str:
    """Return the kind of a column: number, text, datetime or boolean."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "datetime"
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return "number"
    return "text"


def spell_level(value: Any) -> str:
    """Return how a level reads, so that 3.0 and 3 are one, and True and 1.

    Examples
    --------
    >>> spell_level(3.0), spell_level(True), spell_level(2.5), spell_level("EWR")
    ('3', '1', '2.5', 'EWR')
    """
    whole = isinstance(value, bool | np.bool_) or (isinstance(value, float | np.floating) and float(value).is_integer())
    return str(int(value)) if whole else str(value)


def take_sample(table: pd.DataFrame, seed: int = 0, rows: int = SAMPLE) -> pd.DataFrame:
    """Keep at most so many rows, in order, always the same for one seed."""
    if len(table) <= rows:
        return table
    return table.iloc[np.sort(np.random.default_rng(seed).choice(len(table), rows, replace=False))]


def take_labelled(table: pd.DataFrame, target: str, task: str) -> pd.DataFrame:
    """Keep the rows whose target is there (for regression: a finite number).

    Parameters
    ----------
    table, target, task
        As in `summarize_target`.

    Raises
    ------
    BadSource
        If the target is not a column.
    """
    if target not in table.columns:
        raise BadSource(f"target {target!r} is not a column{suggest(target, table.columns)}")
    values = table[target]
    if task == "regression":
        plain = values if values.dtype.kind in "iufb" else values.astype("str")
        values = pd.to_numeric(plain, errors="coerce").astype("float64")
        values = values.where(np.isfinite(values))
    elif values.dtype.kind == "O" and values.map(lambda one: isinstance(one, list | dict | set | np.ndarray)).any():
        values = values.astype("str")
    table = table.copy(deep=False)
    table[target] = values
    for name in table.columns:
        if table[name].dtype.kind == "O":  # lists and the like, or numbers among texts
            table[name] = table[name].astype("str").where(table[name].notna())
    return table[values.notna()]


def bound_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Divide a column with numbers beyond 1e100 by the largest of them, as their squares would not be finite.

    Examples
    --------
    >>> bound_numbers(pd.DataFrame({"a": [1e300, -5e299], "b": [1.0, 2.0]})).to_numpy().tolist()
    [[1.0, 1.0], [-0.5, 2.0]]
    """
    for name in table.columns[[dtype.kind == "f" for dtype in table.dtypes]]:
        finite = table[name].where(np.isfinite(table[name].to_numpy(dtype="float64", na_value=np.nan)))
        if (largest := finite.abs().max()) > LARGEST:
            table = table.assign(**{name: finite / largest})
    return table
