"""A table is taken from its sources once, with a manifest that says what was read."""

import difflib
import hashlib
import importlib
import inspect
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from nbkit.data.delimited import clean_names, query_delimited, quote_name, quote_text
from nbkit.errors import BadSource

Spec = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """A table as it was at one moment, and where it came from.

    Parameters
    ----------
    table
        The rows.
    sources
        One row a source: name, kind, location, rows, columns, bytes, sha256, modified (UTC, empty where unknown).
    schema
        One row a column: column, type, missing, distinct, example.
    query
        The SQL that joined the sources; empty if there was none.
    digest
        The sha256 of the table's content, however it was read.
    notes
        What was mended on the way, in words.
    """

    table: pd.DataFrame
    sources: pd.DataFrame
    schema: pd.DataFrame
    query: str
    digest: str
    notes: list[str] = field(default_factory=list)


class Reading(NamedTuple):
    """What a reader needs: the connection, the resolved spec, the project's root, a scratch folder."""

    con: duckdb.DuckDBPyConnection
    name: str
    spec: Spec
    root: Path
    scratch: Path


class Read(NamedTuple):
    """What a reader gives: a SELECT over the source, its files, and notes."""

    query: str
    files: list[Path]
    notes: list[str]


def take_snapshot(
    sources: Mapping[str, str | Spec],
    query: str = "",
    *,
    root: str | os.PathLike[str] = ".",
    rows: int = 0,
    seed: int = 0,
    keys: Sequence[str] = (),
    threads: int = 1,
) -> Snapshot:
    """Read the sources, join them by a query, and describe the result.

    Parameters
    ----------
    sources
        Name to location, or to a spec ``{kind:, location: | url:, …options}``. The kind is guessed from the location:
        a file (csv, tsv, parquet, json, also packed, a folder or a glob), an fsspec URL, an SQLAlchemy URL
        (with ``table:`` or ``query:``), or Python's ``module:name``. ``${NAME}`` is filled from the environment.
    query
        One DuckDB SELECT over the sources by name; empty for the only source as it is.
        Rows come ordered by all columns unless the query ends in its own ORDER BY.
    root
        The folder that relative files are looked up in.
    rows
        Keep a sample of so many rows, in order; 0 for all.
    seed
        Of the sample.
    keys
        Columns that identify a row: the sample then holds the same rows when others are added.
    threads
        Of the query. More is faster, but sums of floats may then differ in the last bits from run to run.

    Returns
    -------
    Snapshot
        Columns are bool, int64, float64, str or datetime64[us].

    Raises
    ------
    BadSource
        If a source or the query cannot be read.
    """
    if not sources:
        raise BadSource("no sources: name at least one table under shared.sources in the params file")
    if not query and len(sources) > 1:
        raise BadSource(f"{len(sources)} sources and no query: say how to join {', '.join(sources)} in `query`")
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect(config={"threads": threads}) as con:
        con.execute("SET TimeZone = 'UTC'")
        manifest, notes = [], []
        for number, (name, spec) in enumerate(sources.items()):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            line, said = _read_source(con, name, _as_spec(name, spec), Path(root), folder)
            manifest.append(line)
            notes += said if len(sources) == 1 else [f"{name}: {note}" for note in said]
        table = _run_query(con, query, list(sources))
    if not len(table.columns):
        raise BadSource("the table has no columns: check the query")
    if keys:
        notes += _check_keys(table, keys)
    if 0 < rows < len(table):
        notes.append(f"a sample of {rows} of {len(table)} rows (seed {seed})")
        table = _sample(table, rows, seed, keys)
    return Snapshot(table, pd.DataFrame(manifest), _describe(table), query, digest_table(table), notes)


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
        digest.update(json.dumps([str(name), _kind(column)]).encode())
        digest.update(np.packbits(missing).tobytes())
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            plain = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
            values = plain.to_numpy().astype("datetime64[us]").astype("int64")
            digest.update(np.where(missing, 0, values).tobytes())
        elif pd.api.types.is_integer_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
            digest.update(column.fillna(0).to_numpy(dtype="int64").tobytes())
        elif pd.api.types.is_float_dtype(column.dtype):
            digest.update((column.to_numpy(dtype="float64", na_value=0.0) + 0.0).tobytes())
        else:
            texts = [b"" if gone else str(value).encode() for gone, value in zip(missing, column, strict=True)]
            digest.update(np.array([len(text) for text in texts], dtype="int64").tobytes())
            digest.update(b"".join(texts))
    return digest.hexdigest()


def _kind(column: "pd.Series[Any]") -> str:
    kind = column.dtype.kind
    return {"i": "integer", "u": "integer", "b": "integer", "f": "number", "M": "datetime"}.get(kind, "text")


# --- the kinds of sources: name, does a location look like it, reader; a new kind is one entry ------------------------


def _read_csv(reading: Reading) -> Read:
    files = _find_files(reading)
    parts = []
    notes: list[str] = []
    for number, file in enumerate(files):
        folder = reading.scratch / str(number)
        folder.mkdir()
        part, said = query_delimited(reading.con, file, reading.spec, folder)
        parts.append(f"({part})")
        notes += [note for note in said if note not in notes]
    return Read(" UNION ALL BY NAME ".join(parts), files, notes)


def _read_parquet(reading: Reading) -> Read:
    files = _find_files(reading)
    listed = ", ".join(quote_text(str(file)) for file in files)
    return Read(f"SELECT * FROM read_parquet([{listed}], union_by_name=true)", files, [])


def _read_json(reading: Reading) -> Read:
    files = _find_files(reading)
    listed = ", ".join(quote_text(str(file)) for file in files)
    return Read(f"SELECT * FROM read_json_auto([{listed}], sample_size=-1, maximum_object_size=268435456)", files, [])


def _read_sql(reading: Reading) -> Read:
    import sqlalchemy

    url = sqlalchemy.make_url(str(reading.spec["location"]))
    if url.drivername.startswith("sqlite") and url.database and url.database != ":memory:":
        file = reading.root / url.database
        if not file.exists():
            raise _missing_file(reading, file)
        url = url.set(database=str(file))
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            if "query" in reading.spec:
                table = pd.read_sql(sqlalchemy.text(str(reading.spec["query"])), connection)
            else:
                tables = sorted(sqlalchemy.inspect(connection).get_table_names())
                wanted = str(reading.spec.get("table") or (tables[0] if len(tables) == 1 else ""))
                if wanted.rpartition(".")[2] not in tables and "." not in wanted:
                    raise BadSource(f"source {reading.name!r} needs `table:` or `query:`{_nearest(wanted, tables)}")
                schema, _, bare = wanted.rpartition(".")
                table = pd.read_sql_table(bare, connection, schema=schema or None)
    finally:
        engine.dispose()
    return _register(reading, table)


def _read_python(reading: Reading) -> Read:
    module_name, _, name = str(reading.spec["location"]).partition(":")
    sys.path.insert(0, str(reading.root.resolve()))
    try:
        module = importlib.import_module(module_name)
    finally:
        sys.path.remove(str(reading.root.resolve()))
    if not hasattr(module, name):
        raise BadSource(f"source {reading.name!r}: module {module_name} has no {name!r}{_nearest(name, dir(module))}")
    found = getattr(module, name)
    if callable(found):
        arguments = dict(reading.spec.get("args") or {})
        if "as_frame" in _parameters(found):
            arguments.setdefault("as_frame", True)
        found = found(**arguments)
    frame = getattr(found, "frame", found)  # scikit-learn's Bunch
    if hasattr(frame, "to_pandas"):
        frame = frame.to_pandas()
    return _register(reading, frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(frame))


def _parameters(function: Callable[..., Any]) -> Sequence[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _ends(*endings: str) -> Callable[[str], bool]:
    return lambda place: place.lower().rstrip("*/").endswith(endings)


SOURCES: dict[str, tuple[Callable[[str], bool], Callable[[Reading], Read]]] = {
    "python": (lambda place: bool(re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", place)), _read_python),
    "csv": (_ends(".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".zip"), _read_csv),
    "json": (_ends(".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz"), _read_json),
    "parquet": (_ends(".parquet", ".pq", ".parq"), _read_parquet),
    "sql": (
        lambda place: bool(
            re.match(r"(sqlite|postgresql|mysql|mariadb|mssql|oracle|duckdb|snowflake)(\+\w+)?://", place)
        ),
        _read_sql,
    ),
}


def _as_spec(name: str, spec: str | Spec) -> Spec:
    full = {"location": spec} if isinstance(spec, str) else dict(spec)
    if "url" in full:
        full["location"] = full.pop("url")
    if not str(full.get("location") or ""):
        raise BadSource(f"source {name!r} has no location: give a file, a URL or module:name")
    full.setdefault("kind", _guess_kind(str(full["location"])))
    if full["kind"] not in SOURCES:
        known = ", ".join(SOURCES)
        raise BadSource(
            f"source {name!r} at {_hide(str(full['location']))}: unknown kind {full['kind']!r}; set `kind` to one of {known}"
        )
    return full


def _guess_kind(location: str) -> str:
    place = location.split("?")[0]
    for kind, (belongs, _) in SOURCES.items():
        if belongs(place):
            return kind
    return "parquet" if "." not in Path(place).name else ""


def _read_source(
    con: duckdb.DuckDBPyConnection, name: str, spec: Spec, root: Path, scratch: Path
) -> tuple[dict[str, Any], list[str]]:
    """Make a view of a source and write its line of the manifest; no secret leaves this function."""
    shown = _hide(str(spec["location"]))
    filled, secrets = _fill(name, spec)
    try:
        read = SOURCES[spec["kind"]][1](Reading(con, name, filled, root, scratch))
        con.execute(f"CREATE TEMP VIEW {quote_name(name)} AS {read.query}")
        relation = con.sql(f"SELECT * FROM {quote_name(name)}")  # noqa: S608
        count = con.execute(f"SELECT count(*) FROM {quote_name(name)}").fetchall()[0][0]  # noqa: S608
    except Exception as error:
        words = str(error)
        for secret in secrets:
            words = words.replace(secret, "***")
        if isinstance(error, BadSource):
            raise BadSource(words) from None
        raise BadSource(f"source {name!r} at {shown} cannot be read as {spec['kind']}: {words}") from None
    files = read.files
    line = {
        "name": name,
        "kind": spec["kind"],
        "location": shown,
        "rows": int(count),
        "columns": len(relation.columns),
        "bytes": sum(file.stat().st_size for file in files),
        "sha256": _hash_files(files) if files else digest_table(_fetch(con, f"SELECT * FROM {quote_name(name)}")),  # noqa: S608
        "modified": _last_change(files),
    }
    return line, read.notes


def _fill(name: str, value: Any) -> tuple[Any, list[str]]:
    """Fill ``${NAME}`` from the environment, and tell the secrets so that they can be hidden."""
    secrets: list[str] = []

    def fill(text: str) -> str:
        def one(match: re.Match[str]) -> str:
            if match[1] not in os.environ:
                raise BadSource(f"source {name!r} wants ${{{match[1]}}}: set {match[1]} in the environment")
            secrets.append(os.environ[match[1]])
            return os.environ[match[1]]

        return re.sub(r"\$\{(\w+)\}", one, text)

    def walk(item: Any) -> Any:
        if isinstance(item, str):
            return fill(item)
        if isinstance(item, dict):
            return {key: walk(inner) for key, inner in item.items()}
        return [walk(inner) for inner in item] if isinstance(item, list) else item

    return walk(value), [secret for secret in secrets if secret]


def _hide(location: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@/]+@", r"\1:***@", location)


def _find_files(reading: Reading) -> list[Path]:
    """Find the files of a location, in order of name; what lies elsewhere is copied to scratch first."""
    location = str(reading.spec["location"])
    if "://" in location:
        remote = reading.scratch / "remote"
        remote.mkdir()
        opened = fsspec.open_files(location, "rb") if "*" in location else [fsspec.open(location, "rb")]
        for one in opened:
            with one as source, (remote / Path(one.path).name).open("wb") as copy:
                while chunk := source.read(1 << 22):
                    copy.write(chunk)
        found = sorted(remote.iterdir())
    elif any(mark in location for mark in "*?["):
        base = Path(location).anchor or reading.root
        found = sorted(Path(base).glob(str(Path(location).relative_to(Path(location).anchor))))
    elif (reading.root / location).is_dir():
        belongs = SOURCES[reading.spec["kind"]][0]
        found = sorted(file for file in (reading.root / location).rglob("*") if file.is_file() and belongs(file.name))
    else:
        found = [reading.root / location]
    if not found or not all(file.exists() for file in found):
        raise _missing_file(reading, reading.root / location)
    return found


def _missing_file(reading: Reading, file: Path) -> BadSource:
    near = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
    shown = _hide(str(reading.spec["location"]))
    place = "" if file.parent.is_dir() else f"; there is no folder {file.parent.name!r}"
    return BadSource(f"source {reading.name!r}: no file {shown}{place}{_nearest(file.name, near)}")


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(sorted(known)[:10])}" if known else ""


def _register(reading: Reading, table: pd.DataFrame) -> Read:
    table = table.copy(deep=False)
    unnamed = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    if not unnamed and (table.index.name is not None or isinstance(table.index, pd.MultiIndex)):
        table = table.reset_index()
    names, notes = clean_names(list(table.columns))
    table.columns = pd.Index(names)
    arrays = {}
    for name in names:
        arrays[name], said = _to_arrow(name, table[name])
        notes += said
    reading.con.register(f"__{reading.name}", pa.table(arrays))
    return Read(f"SELECT * FROM {quote_name('__' + reading.name)}", [], notes)  # noqa: S608


def _to_arrow(name: str, column: "pd.Series[Any]") -> tuple[pa.Array, list[str]]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object).where(column.notna(), None).infer_objects()
    try:
        array = pa.array(column, from_pandas=True)
        return (array.cast(pa.string()) if pa.types.is_large_string(array.type) else array), []
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        texts = [None if gone else str(value) for gone, value in zip(column.isna(), column, strict=True)]
        return pa.array(texts, pa.string()), [f"column {name!r} mixes types: kept as text"]


# --- the query and its result -----------------------------------------------------------------------------------------


def _run_query(con: duckdb.DuckDBPyConnection, query: str, names: list[str]) -> pd.DataFrame:
    if not query.strip():
        return _fetch(con, f"SELECT * FROM {quote_name(names[0])}")  # noqa: S608
    inner = query.strip().rstrip(";")
    try:
        return _fetch(con, inner if _is_ordered(con, inner) else f"SELECT * FROM ({inner}\n) ORDER BY ALL")  # noqa: S608
    except duckdb.Error as error:
        raise BadSource(f"the query cannot run: {error}. It may use {', '.join(names)}") from None


def _is_ordered(con: duckdb.DuckDBPyConnection, query: str) -> bool:
    answer = json.loads(con.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    if answer.get("error"):
        raise BadSource(f"the query is not one SELECT: {answer.get('error_message', '')}")
    modifiers = answer["statements"][0]["node"].get("modifiers", [])
    return len(answer["statements"]) == 1 and any(one["type"] == "ORDER_MODIFIER" for one in modifiers)


CASTS = (
    (r"DECIMAL.*|FLOAT|U?HUGEINT|UBIGINT", "CAST({0} AS DOUBLE)"),
    (r"INTERVAL", "epoch({0})"),
    (r"DATE|TIMESTAMP|TIMESTAMP_\w+", "CAST({0} AS TIMESTAMP)"),
    (r"TIME.*|UUID|ENUM.*|BIT|BLOB", "CAST({0} AS VARCHAR)"),
    (r".*\[\d*\]|STRUCT.*|MAP.*|UNION.*|JSON|VARIANT", "CAST(to_json({0}) AS VARCHAR)"),
)


def _fetch(con: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    """Run a query; exact and nested types become those that models can use."""
    relation = con.sql(query)
    exact = [str(kind) for kind in relation.types]
    whole = [i for i, kind in enumerate(exact) if kind in ("HUGEINT", "UHUGEINT", "UBIGINT", "DECIMAL(38,0)")]
    table = relation.to_arrow_table() if not exact else None
    fields = []
    for name, kind in zip(relation.columns, exact, strict=True):
        cast = next((form for pattern, form in CASTS if re.fullmatch(pattern, kind)), "{0}")
        if kind == "TIMESTAMP WITH TIME ZONE":
            cast = "{0}"
        fields.append(f"{cast.format(quote_name(name))} AS {quote_name(name)}")
    table = con.sql(f"SELECT {', '.join(fields)} FROM ({query}\n)").to_arrow_table()  # noqa: S608
    frame: pd.DataFrame = pd.DataFrame(
        {name: _to_pandas(table.column(i), whole=i in whole) for i, name in enumerate(relation.columns)}
    )
    return frame


def _to_pandas(column: pa.ChunkedArray, *, whole: bool) -> "pd.Series[Any]":
    kind = column.type
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).to_pandas().astype("float64") if column.null_count else column.to_pandas()
    if pa.types.is_integer(kind) or (whole and not column.null_count):
        biggest = pc.max(pc.abs(column)).as_py() if pa.types.is_floating(kind) else 0
        if not column.null_count and (biggest or 0) < 2**63:
            return column.to_pandas().astype("int64")
        return column.to_pandas().astype("float64")
    if pa.types.is_null(kind):
        return pd.Series(np.full(len(column), np.nan))
    if pa.types.is_timestamp(kind):
        return column.to_pandas().dt.as_unit("us")
    return column.to_pandas()


def _check_keys(table: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    unknown = [key for key in keys if key not in table.columns]
    if unknown:
        raise BadSource(f"key {unknown[0]!r} is no column{_nearest(unknown[0], list(table.columns))}")
    repeated = int(table.duplicated(list(keys)).sum())
    return [f"{repeated} rows repeat the keys {', '.join(keys)} of an earlier row"] if repeated else []


def _sample(table: pd.DataFrame, rows: int, seed: int, keys: Sequence[str]) -> pd.DataFrame:
    if keys:
        hashes = pd.util.hash_array(
            pd.util.hash_pandas_object(table[list(keys)].assign(__seed=seed), index=False).to_numpy()
        )
        chosen = np.argsort(hashes, kind="stable")[:rows]
    else:
        chosen = np.random.default_rng(seed).choice(len(table), rows, replace=False)
    return table.iloc[np.sort(chosen)].reset_index(drop=True)


def _describe(table: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for name, column in table.items():
        filled = column.dropna()
        lines.append(
            {
                "column": name,
                "type": str(column.dtype),
                "missing": int(column.isna().sum()),
                "distinct": int(filled.nunique()),
                "example": str(filled.iloc[0])[:60] if len(filled) else "",
            }
        )
    return pd.DataFrame(lines, columns=["column", "type", "missing", "distinct", "example"])


def _hash_files(files: Sequence[Path]) -> str:
    hashes = []
    for file in files:
        with file.open("rb") as opened:
            hashes.append(hashlib.file_digest(opened, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _last_change(files: Sequence[Path]) -> str:
    if not files:
        return ""
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
