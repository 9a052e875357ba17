"""What a request must look like, as data: read from a bundle's golden rows, compiled to msgspec types at start."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd
from pandas.api import types

from nbkit.errors import BadParameter


class Moment(dt.datetime):
    """A date or a moment as people write it in JSON: ISO 8601, the time of day may be left out."""


JSON_TYPES: dict[str, Any] = {
    "number": float | None,
    "integer": int | float | None,  # 3.0 is an integer to everyone but a type checker
    "boolean": bool | None,
    "time": Moment | None,
    "text": str | None,
}


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


class RowDecoder:
    """Turns the bytes of requests into raw rows with the dtypes of training.

    Parameters
    ----------
    schema
        From `describe_columns`. Columns it does not name are ignored.

    Examples
    --------
    >>> decoder = RowDecoder(describe_columns(pd.DataFrame({"hour": [6], "carrier": ["UA"]})))
    >>> values = decoder.decode(b'{"rows": [{"hour": 7, "carrier": null}]}')
    >>> values, decoder.build([values, values]).shape
    ({'hour': [7], 'carrier': [None]}, (2, 2))
    """

    def __init__(self, schema: pd.DataFrame) -> None:
        self.kinds = {row["column"]: (row["type"], row["dtype"]) for row in schema.to_dict("records")}
        self._names = {f"c{place}": str(name) for place, name in enumerate(schema["column"])}
        fields, lists = [], []
        for field, kind, required in zip(self._names, schema["type"], schema["required"], strict=True):
            one: Any = JSON_TYPES[kind]
            fields.append((field, one) if required else (field, one, None))
            lists.append((field, list[one]) if required else (field, list[one] | None, None))
        # required fields come first, as in any signature
        row: Any = msgspec.defstruct("Row", sorted(fields, key=len), rename=self._names)
        columns: Any = msgspec.defstruct("Columns", sorted(lists, key=len), rename=self._names)
        request = msgspec.defstruct("Request", [("rows", list[row] | None, None), ("columns", columns | None, None)])
        self._decoder = msgspec.json.Decoder(request, dec_hook=_read_moment)

    def decode(self, body: bytes) -> dict[str, list[Any]]:
        """Read one request: ``{"rows": [{…}]}`` or ``{"columns": {…: […]}}``.

        Returns
        -------
        dict
            Column to values, all of one length, at least 1.

        Raises
        ------
        msgspec.ValidationError
            With the path of the wrong value, such as ``$.rows[0].hour``.
        msgspec.DecodeError
            It is no JSON.
        """
        asked: Any = self._decoder.decode(body)
        if (asked.rows is None) == (asked.columns is None):
            raise msgspec.ValidationError("Expected either `rows` or `columns` - at `$`")
        if asked.rows is not None:
            values = {name: [getattr(row, field) for row in asked.rows] for field, name in self._names.items()}
            count = len(asked.rows)
        else:
            given = {name: getattr(asked.columns, field) for field, name in self._names.items()}
            lengths = {len(column) for column in given.values() if column is not None}
            if len(lengths) > 1:
                raise msgspec.ValidationError("Expected columns of equal length - at `$.columns`")
            count = lengths.pop() if lengths else 0
            values = {name: column if column is not None else [None] * count for name, column in given.items()}
        if count == 0:
            raise msgspec.ValidationError("Expected at least one row - at `$`")
        times = {name: _to_datetimes(values[name]) for name, (kind, _) in self.kinds.items() if kind == "time"}
        return {**values, **times}

    def build(self, requests: Sequence[Mapping[str, list[Any]]]) -> pd.DataFrame:
        """Make one table of the rows of several requests, in their order."""
        table = {}
        for name, (kind, dtype) in self.kinds.items():
            values = [value for request in requests for value in request[name]]
            table[name] = _cast(values, kind, dtype)
        return pd.DataFrame(table)


def _read_moment(kind: type, value: Any) -> Any:
    if kind is Moment and isinstance(value, str):
        try:
            return Moment.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(f"Expected an ISO 8601 date or time such as 2013-06-01 or 2013-06-01T06:30:00, got {value!r}")


def _to_datetimes(moments: list[Any]) -> list[Any]:
    return [one if one is None else dt.datetime.combine(one.date(), one.timetz()) for one in moments]


def count_rows(request: Mapping[str, list[Any]]) -> int:
    """Return how many rows a decoded request holds."""
    return len(next(iter(request.values()), []))


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


def _cast(values: list[Any], kind: str, dtype: Any) -> Any:
    """Make a column of the dtype of training, or of the nearest one that can hold missing values."""
    if kind == "time":
        zone = dtype.partition(",")[2].strip(" ]")
        times = pd.to_datetime(pd.Series(values, dtype=object), utc=True)
        times = times.dt.tz_convert(zone) if zone else times.dt.tz_localize(None)
        return pd.Series(times, dtype=dtype)
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
