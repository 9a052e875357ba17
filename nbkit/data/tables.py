"""Tables go into DuckDB and come out in the few types that models can use, with a fingerprint of their content."""

import hashlib
import json
import re
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from nbkit.data.delimited import clean_names, quote_name

CASTS = (
    (r"DECIMAL\(\d+,0\)", "{0}"),
    (r"DECIMAL.*|FLOAT", "CAST({0} AS DOUBLE)"),
    (r"INTERVAL", "epoch({0})"),
    (r"TIMESTAMP WITH TIME ZONE", "{0}"),
    (r"DATE|TIMESTAMP.*", "CAST({0} AS TIMESTAMP)"),
    (r"TIME.*|UUID|ENUM.*|BIT.*|BLOB|GEOMETRY", "CAST({0} AS VARCHAR)"),
    (r".*\[\d*\]|STRUCT.*|MAP.*|UNION.*|JSON|VARIANT", "CAST(to_json({0}) AS VARCHAR)"),
)


def fetch_table(con: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    """Run a query; the result has bool, int64, float64, str and datetime64[us] columns only.

    Whole numbers with missing values are float64, booleans with missing values 0.0 and 1.0, nested values JSON text.
    Whole numbers too long for that (2^63, or 2^53 with missing values) are text: they name something.

    Parameters
    ----------
    con
        The connection.
    query
        One SELECT.
    """
    relation = con.sql(query)
    fields = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        form = next((form for pattern, form in CASTS if re.fullmatch(pattern, str(kind))), "{0}")
        fields.append(f"{form.format(quote_name(name))} AS {quote_name(name)}")
    table = relation.project(", ".join(fields)).to_arrow_table()
    return pd.DataFrame({name: _to_pandas(table.column(place)) for place, name in enumerate(relation.columns)})


def _to_pandas(column: pa.ChunkedArray) -> Any:
    kind = column.type
    if pa.types.is_null(kind):
        return pd.Series(np.full(len(column), np.nan))
    if pa.types.is_boolean(kind) and column.null_count:
        return column.cast(pa.int8()).to_pandas().astype("float64")
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        if not _is_exact(column):
            return column.cast(pa.string()).to_pandas()
        return column.cast(pa.int64()).to_pandas().astype("float64" if column.null_count else "int64")
    return column.to_pandas().dt.as_unit("us") if pa.types.is_timestamp(kind) else column.to_pandas()


def _is_exact(column: pa.ChunkedArray) -> bool:
    """Return whether whole numbers stay what they are as int64, or as float64 where some are missing."""
    bound = 2**53 if column.null_count else 2**63 - 1
    return all(limit is None or -bound <= limit <= bound for limit in pc.min_max(column).as_py().values())


def register_table(con: duckdb.DuckDBPyConnection, name: str, table: pd.DataFrame) -> list[str]:
    """Make a DataFrame known to DuckDB under a name, and say what had to be repaired.

    Parameters
    ----------
    con
        The connection.
    name
        For queries.
    table
        Any DataFrame; a named index becomes a column.

    Returns
    -------
    list of str
        A note for each column renamed or turned to text.
    """
    if any(level is not None for level in table.index.names):
        table = table.reset_index()
    names, notes = clean_names(list(table.columns))
    arrays = {}
    for place, column_name in enumerate(names):
        column = table.iloc[:, place]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype if column.notna().all() else object).infer_objects()
        try:
            arrays[column_name] = pa.array(column, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            texts = [None if gone else str(value) for gone, value in zip(column.isna(), column, strict=True)]
            arrays[column_name] = pa.array(texts, pa.string())
            notes.append(f"column {column_name!r} mixes types: kept as text")
    con.register(name, pa.table(arrays))
    return notes


def describe_table(table: pd.DataFrame) -> pd.DataFrame:
    """List columns: column, type, missing, distinct."""
    lines = []
    for name, column in table.items():
        lines.append((name, str(column.dtype), int(column.isna().sum()), int(column.dropna().nunique())))
    return pd.DataFrame(lines, columns=["column", "type", "missing", "distinct"])


def digest_table(table: pd.DataFrame) -> str:
    """Compute the sha256 of a table's content: names, kinds and values in order, whatever holds them.

    Parameters
    ----------
    table
        Any table; the index does not count.

    Examples
    --------
    >>> digest_table(pd.DataFrame({"a": [1, 2]}))[:12] == digest_table(pd.DataFrame({"a": [1, 2]}, [7, 8]))[:12]
    True
    """
    digest = hashlib.sha256(str(len(table)).encode())
    for name, column in table.items():
        missing = column.isna().to_numpy()
        kind, values = _to_bytes(column, missing)
        digest.update(json.dumps([str(name), kind]).encode())
        digest.update(np.packbits(missing).tobytes())
        digest.update(values)
    return digest.hexdigest()


def _to_bytes(column: "pd.Series[Any]", missing: np.ndarray) -> tuple[str, bytes]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object).infer_objects()
    letter = column.dtype.kind
    if letter == "M":
        plain = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
        values = plain.to_numpy().astype("datetime64[us]").astype("int64")
        return "datetime", np.where(missing, 0, values).tobytes()
    if letter in "iub":
        return "integer", column.fillna(0).to_numpy(dtype="int64").tobytes()
    if letter == "f":
        return "number", (column.to_numpy(dtype="float64", na_value=0.0) + 0.0).tobytes()
    texts = column
    if not isinstance(column.dtype, pd.StringDtype):
        texts = pd.Series(["" if gone else str(value) for gone, value in zip(missing, column, strict=True)])
    array = pc.fill_null(pa.array(texts.astype("str"), pa.large_string(), from_pandas=True), "")
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    offsets = np.frombuffer(array.buffers()[1], "int64")[array.offset : array.offset + len(array) + 1]
    data = memoryview(array.buffers()[2] or b"")[offsets[0] : offsets[-1]] if len(array) else b""
    return "text", np.diff(offsets).tobytes() + bytes(data)
