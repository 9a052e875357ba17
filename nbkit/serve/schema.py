"""What a request must look like, as data: read from a bundle's golden rows, compiled to msgspec types at start."""

import datetime as dt
from collections.abc import Callable, Collection
from typing import Any

import msgspec
import pandas as pd
from pandas.api import types

from nbkit.errors import BadParameter

JSON_TYPES: dict[str, Any] = {
    "number": float | None,
    "integer": int | float | None,  # 3.0 is an integer to everyone but a type checker
    "boolean": bool | None,
    "time": dt.datetime | None,
    "text": str | None,
}
Decoder = Callable[[bytes], pd.DataFrame]


def describe_columns(rows: pd.DataFrame, required: Collection[str] | None = None) -> pd.DataFrame:
    """Describe the columns of raw rows as a service takes them; any value may be null, which means missing.

    Parameters
    ----------
    rows
        Some raw rows with the dtypes of training.
    required
        Columns that the model looks at and that a request must therefore hold; all by default.

    Returns
    -------
    DataFrame
        column, type (number, integer, boolean, time, text), dtype, required.

    Examples
    --------
    >>> describe_columns(pd.DataFrame({"hour": [6], "carrier": ["UA"]}), ["hour"]).values.tolist()
    [['hour', 'integer', 'int64', True], ['carrier', 'text', 'str', False]]
    """
    wanted = set(rows.columns if required is None else required)
    facts = [(str(name), _json_type(rows[name].dtype), str(rows[name].dtype), name in wanted) for name in rows.columns]
    return pd.DataFrame(facts, columns=["column", "type", "dtype", "required"])


def compile_decoder(schema: pd.DataFrame) -> Decoder:
    """Make the function that turns a request's bytes into raw rows with the dtypes of training.

    Parameters
    ----------
    schema
        From `describe_columns`. Columns it does not name are ignored.

    Returns
    -------
    callable
        bytes to DataFrame; raises `msgspec.ValidationError` with the path of the wrong value (``$.rows[0].hour``),
        `msgspec.DecodeError` for what is no JSON.
    """
    names = dict(zip((f"c{place}" for place in range(len(schema))), schema["column"], strict=True))
    fields, lists = [], []
    for field, kind, required in zip(names, schema["type"], schema["required"], strict=True):
        json_type = JSON_TYPES[kind]
        fields.append((field, json_type) if required else (field, json_type, None))
        lists.append((field, list[json_type]) if required else (field, list[json_type] | None, None))  # type: ignore[valid-type]
    row = msgspec.defstruct("Row", sorted(fields, key=len), rename=names)
    columns = msgspec.defstruct("Columns", sorted(lists, key=len), rename=names)
    request = msgspec.defstruct("Request", [("rows", list[row] | None, None), ("columns", columns | None, None)])  # type: ignore[valid-type]
    decoder = msgspec.json.Decoder(request)

    def decode(body: bytes) -> pd.DataFrame:
        asked: Any = decoder.decode(body)
        if (asked.rows is None) == (asked.columns is None):
            raise msgspec.ValidationError("Expected either `rows` or `columns` - at `$`")
        if asked.rows is not None:
            values = {field: [getattr(one, field) for one in asked.rows] for field in names}
            count = len(asked.rows)
        else:
            values = {field: getattr(asked.columns, field) for field in names}
            lengths = {len(column) for column in values.values() if column is not None}
            if len(lengths) > 1:
                raise msgspec.ValidationError("Expected columns of equal length - at `$.columns`")
            count = lengths.pop() if lengths else 0
        if count == 0:
            raise msgspec.ValidationError("Expected at least one row - at `$`")
        return pd.DataFrame(
            {
                name: _cast(values[field] or [None] * count, kind, dtype)
                for (field, name), kind, dtype in zip(names.items(), schema["type"], schema["dtype"], strict=True)
            }
        )

    return decode


def _json_type(dtype: Any) -> str:
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_integer_dtype(dtype):
        return "integer"
    if types.is_numeric_dtype(dtype):
        return "number"
    if types.is_datetime64_any_dtype(dtype):
        return "time"
    if types.is_string_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype) or types.is_object_dtype(dtype):
        return "text"
    raise BadParameter(
        f"a service cannot take a column of dtype {dtype} as JSON; give the model a number, text or time"
    )


def _cast(values: list[Any], kind: str, dtype: Any) -> pd.Series:
    """Make a column of the dtype of training, or of the nearest one that can hold missing values."""
    if kind == "time":
        zone = dtype.partition(",")[2].strip(" ]")
        times: pd.Series = pd.to_datetime(pd.Series(values, dtype=object), utc=True)
        times = times.dt.tz_convert(zone) if zone else times.dt.tz_localize(None)
        return times.astype(dtype)
    nullable = dtype[0].isupper() or dtype == "boolean"  # pandas' own dtypes, such as Int64
    if kind == "number" and not nullable:
        dtype = "float64"
    if kind == "integer" and any(one is None or one % 1 for one in values):
        dtype = dtype if nullable and all(one is None or one % 1 == 0 for one in values) else "float64"
    if kind == "boolean" and not nullable:
        dtype = "object" if None in values else "bool"
    if kind == "text":
        dtype = "str" if dtype == "category" else dtype
    return pd.Series(values, dtype=dtype)
