"""What a request must look like, as data: read from a bundle's golden rows, compiled to msgspec types at start."""

import datetime as dt
import json
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd
from pandas.api import types

from nbkit.errors import BadParameter

ODD = re.compile(r'["\\\x00-\x1f]')  # a name that JSON writes with escapes
ESCAPED = re.compile(rb'\\[^"]*"\s*:')  # perhaps a name written with escapes
KEYS = (b'"rows"', b'"columns"')


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
        column, type (number, integer, boolean, time, text), dtype, required. A column that is not required and of a
        dtype that JSON cannot hold is left out.

    Raises
    ------
    BadParameter
        A required column is of a dtype that JSON cannot hold, such as timedelta64.

    Examples
    --------
    >>> describe_columns(pd.DataFrame({"hour": [6], "carrier": ["UA"]}), ["hour"]).values.tolist()
    [['hour', 'integer', 'int64', True], ['carrier', 'text', 'str', False]]
    """
    wanted = set(rows.columns if required is None else required)
    facts = []
    for name in rows.columns:
        kind, dtype = _json_type(rows[name].dtype), str(rows[name].dtype)
        if kind is None and name in wanted:
            raise BadParameter(
                f"a service cannot take column {name!r} of dtype {dtype} as JSON; give the model a number, text or time"
            )
        if kind is not None:
            facts.append((str(name), kind, dtype, name in wanted))
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
        self._quoted = [f'"{name}"'.encode() for name in schema.loc[schema["required"].astype(bool), "column"]]
        mark = uuid.uuid4().hex  # msgspec's structs take no such names, so these columns have another one inside
        self._aliases = {name: f"{mark} {field}" for field, name in self._names.items() if ODD.search(name)}
        inside = {field: self._aliases.get(name, name) for field, name in self._names.items()}
        fields, lists = [], []
        for field, kind, required in zip(self._names, schema["type"], schema["required"], strict=True):
            one: Any = JSON_TYPES[kind]
            fields.append((field, one) if required else (field, one, None))
            lists.append((field, list[one]) if required else (field, list[one] | None, None))
        # required fields come first, as in any signature
        row: Any = msgspec.defstruct("Row", sorted(fields, key=len), rename=inside)
        columns: Any = msgspec.defstruct("Columns", sorted(lists, key=len), rename=inside)
        both = [("rows", list[row] | None, None), ("columns", columns | None, None)]
        self._request: Any = msgspec.defstruct("Request", both)
        self._decoder = msgspec.json.Decoder(self._request, dec_hook=_read_moment)

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
            It is not JSON.
        UnicodeDecodeError
            It is not UTF-8.
        RecursionError
            It is nested too deeply.
        """
        body.decode()  # what is skipped must be UTF-8 too
        asked: Any = self._decode_odd(body) if self._aliases else self._decoder.decode(body)
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
        self._refuse_repeats(body, count if asked.rows is not None else 1)
        times = {name: _to_datetimes(values[name]) for name, (kind, _) in self.kinds.items() if kind == "time"}
        return {**values, **times}

    def _decode_odd(self, body: bytes) -> Any:
        """Decode by way of plain objects, for columns whose names need escapes in JSON."""
        given = msgspec.json.decode(body)
        if isinstance(given, dict):
            rows, columns = given.get("rows"), given.get("columns")
            given = {
                "rows": [self._rename(row) for row in rows] if isinstance(rows, list) else rows,
                "columns": self._rename(columns),
            }
        try:
            return msgspec.convert(given, self._request, dec_hook=_read_moment)
        except msgspec.ValidationError as error:
            said = str(error)
            for name, alias in self._aliases.items():
                said = said.replace(alias, json.dumps(name, ensure_ascii=False)[1:-1])
            raise msgspec.ValidationError(said) from None

    def _rename(self, row: Any) -> Any:
        return {self._aliases.get(key, key): value for key, value in row.items()} if isinstance(row, dict) else row

    def _refuse_repeats(self, body: bytes, count: int) -> None:
        """Refuse a needed column that stands twice in one object: readers of JSON would silently take the last."""
        often = any(body.count(name) > count for name in self._quoted) or any(body.count(key) > 1 for key in KEYS)
        if often or ESCAPED.search(body):  # a value may equal a name, and an escape may hide one: look closely
            json.loads(body, object_pairs_hook=_refuse_twice, parse_int=str, parse_float=str)

    def build(self, requests: Sequence[Mapping[str, list[Any]]]) -> pd.DataFrame:
        """Make one table of the rows of several requests, in their order."""
        table = {}
        for name, (kind, dtype) in self.kinds.items():
            values = [value for request in requests for value in request[name]]
            table[name] = _cast(values, kind, dtype)
        return pd.DataFrame(table)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise msgspec.ValidationError(f"Expected each name once in an object, got `{twice}` again")


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


def _json_type(dtype: Any) -> str | None:
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
    return None


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
