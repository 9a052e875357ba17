"""A table is taken from its sources once, with a manifest that says what was read."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from nbkit import observe
from nbkit.data.delimited import quote_name, quote_text
from nbkit.data.exclusions import COLUMNS, count_left_out, describe_left_out
from nbkit.data.readers import SOURCES, Reading, guess_kind
from nbkit.data.tables import describe_table, digest_table, fetch_table
from nbkit.errors import BadSource
from nbkit.scrub import Scrubber
from nbkit.wording import format_count, suggest

Spec = dict[str, Any]
FACTS = "name kind location package modified rows columns bytes sha256"  # of a source


@dataclass(frozen=True)
class Snapshot:
    """A table as it was at one moment, and where it came from.

    Parameters
    ----------
    table
        The rows.
    sources
        One row a source: name, kind, location, package (of a Python object: which version of what carries it), modified
        (UTC; both empty where unknown), rows, columns, bytes (of its files), sha256.
    schema
        One row a column: column, type, missing, distinct.
    query
        The SQL that joined the sources; empty if there was none.
    digest
        The sha256 of the table's content, however it was read.
    notes
        What was repaired on the way, in words.
    ordered
        Whether the rows stand in an order of their own: that of the only source, or of the query's ORDER BY.
    exclusions
        What left out how many rows: as in `nbkit.data.exclusions.count_left_out`, with the sample, if there was one,
        and each in a sentence.
    """

    table: pd.DataFrame
    sources: pd.DataFrame
    schema: pd.DataFrame
    query: str
    digest: str
    notes: list[str] = field(default_factory=list)
    ordered: bool = True
    exclusions: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=[*COLUMNS, "sentence"]))


def take_snapshot(
    sources: Mapping[str, str | Spec], query: str = "", *,
    root: str | os.PathLike[str] = ".", rows: int = 0, seed: int = 0, keys: Sequence[str] = (), threads: int = 1,
) -> Snapshot:  # fmt: skip
    """Read the sources, join them by a query, and describe the result.

    Parameters
    ----------
    sources
        Name to location, or to a spec ``{kind:, location: | url:, …options}``. The kind is guessed from the location:
        a file (csv, tsv, parquet, json, also packed, a folder or a glob), an fsspec URL, an SQLAlchemy URL
        (with ``table:`` or ``query:``), or Python's ``module:name``. ``${NAME}`` is filled from the environment.
    query
        One DuckDB SELECT over the sources by name; empty for the only source as it is.
        Rows keep the order of the source where there is no query, or one that only picks rows and columns of one
        source; after any other they are ordered by all columns, unless the query ends in its own ORDER BY.
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
        Its table has bool, int64, float64, str and datetime64[us] columns.

    Raises
    ------
    BadSource
        If a source or the query cannot be read; what was filled from the environment is never shown.
    """
    if not sources:
        raise BadSource(
            "no source is named: do so in `sources` of the params. A notebook that jupyter nbconvert started got no "
            "parameters: use `nbkit run PARAMS`, then `nbkit lab`, or papermill -f with a file of its own parameters"
        )
    if not query.strip() and len(sources) > 1:
        raise BadSource(f"{len(sources)} sources and no query: say in `query` how to join {', '.join(sources)}")
    notes: list[str] = []
    secrets: list[str] = []
    try:
        with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false; SET enable_progress_bar = false")
            con.execute(f"SET temp_directory = {quote_text(scratch)}")
            manifest = []
            for name, spec in sources.items():
                full = _as_spec(name, spec, Path(root))
                folder = Path(tempfile.mkdtemp(dir=scratch))
                line, said = _read_source(Reading(con, name, full, Path(root), folder), secrets)
                manifest.append(line)
                notes += said if len(sources) == 1 else [f"{name}: {note}" for note in said]
            con.execute(f"SET threads = {int(threads)}")
            table, ordered = _run_query(con, query, list(sources))
            con.execute("RESET threads")  # a count is the same with any number
            left_out = count_left_out(con, query.strip().rstrip(";"), len(table)) if query.strip() else pd.DataFrame()
    except BadSource as error:
        raise BadSource(_hide(str(error), secrets)) from None
    if keys:
        notes += _check_keys(table, keys)
    if 0 < rows < len(table):
        notes.append(f"a sample of {rows:,} of {format_count(len(table), 'row')} (seed {seed})")
        left_out = pd.concat([left_out, pd.DataFrame([("the sample", len(table) - rows, notes[-1])], columns=COLUMNS)])
        table = _sample(table, rows, seed, keys)
    read = pd.DataFrame(manifest).astype({"bytes": "Int64"})
    exclusions = left_out.reindex(columns=COLUMNS).reset_index(drop=True)
    exclusions["sentence"] = [describe_left_out(*row) for row in exclusions.to_numpy()]
    many = exclusions["left_out"]
    exclusions["left_out"] = many.astype("float64" if many.isna().any() else "int64")
    return Snapshot(table, read, describe_table(table), query, digest_table(table), notes, ordered, exclusions)


def _as_spec(name: str, spec: str | Spec, root: Path) -> Spec:
    if not isinstance(spec, str | Mapping):
        raise BadSource(f"source {name!r} must be a location or a mapping, not {spec!r}")
    full: Spec = {"location": spec} if isinstance(spec, str) else dict(spec)
    full["location"] = full.pop("url", full.get("location"))
    location = str(full["location"] or "")
    if not location:
        raise BadSource(f"source {name!r} has no location: give a file, a URL or module:name")
    full.setdefault("kind", guess_kind(location, root))
    if not full["kind"]:
        ways = f"save it as CSV or Parquet, set `kind` to one of {', '.join(SOURCES)}, or read it with Python"
        raise BadSource(f"source {name!r}: {location} tells no kind; {ways} (location: pandas:read_excel, args: …)")
    if full["kind"] not in SOURCES:
        raise BadSource(f"source {name!r}: no kind {full['kind']!r}{suggest(full['kind'], SOURCES)}")
    return full


def _read_source(reading: Reading, secrets: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Make a view of a source; return its line of the manifest, with the location as written, and notes."""
    con, name, spec, root, _ = reading
    kind, place = spec["kind"], str(spec["location"])
    everything = f"SELECT * FROM {quote_name(name)}"  # noqa: S608
    try:
        read = SOURCES[kind][1](reading._replace(spec=_fill(spec, secrets)))
        con.execute(f"CREATE TEMP VIEW {quote_name(name)} AS {read.query}")
        _note(spec, read.files, root)
        count = con.sql(everything).aggregate("count(*)").fetchall()[0][0]
        content = _hash_files(read.files) if read.files else digest_table(fetch_table(con, everything))
    except BadSource:
        raise
    except Exception as error:
        install = "; install it, or place it beside the project" if isinstance(error, ImportError) else ""
        said = "; ".join((str(error).strip() or type(error).__name__).splitlines()[:3])[:300]
        raise BadSource(f"source {name!r} at {place} cannot be read as {kind}: {said}{install}") from None
    columns, size = len(con.sql(everything).columns), sum(file.stat().st_size for file in read.files) or None
    carrier = _name_package(place.partition(":")[0].partition(".")[0]) if kind == "python" else ""
    changed = "" if "://" in place and kind != "sql" else _last_change(read.files)
    line = (name, kind, _hide(place, []), carrier, changed, int(count), columns, size, content)
    return dict(zip(FACTS.split(), line, strict=True)), read.notes


@cache
def _name_package(module: str) -> str:
    """Return the package of a module with its version; empty if it is the project's own."""
    found = metadata.packages_distributions().get(module, [])[:1]
    return "".join(f"{name} {metadata.version(name)}" for name in found)


def _note(spec: Spec, files: Sequence[Path], root: Path) -> None:
    """Let the run know what was read; what lies on a server may be another tomorrow."""
    place = str(spec["location"])
    if "://" in place and not (spec["kind"] == "sql" and files):
        observe.note_outside(_hide(place, []))
        return
    observe.note_files(list(files))
    if spec["kind"] == "python":
        observe.note_import(place.partition(":")[0])
    elif spec["kind"] != "sql" and not (root / place).is_file():  # a folder or a pattern: a file may come
        observe.note_files(sorted({file.parent for file in files}))


def _fill(value: Any, secrets: list[str]) -> Any:
    """Fill ``${NAME}`` from the environment, and remember what was filled in, so that it can be hidden."""
    if isinstance(value, dict):
        return {key: _fill(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, secrets) for inner in value]
    if not isinstance(value, str):
        return value
    for wanted in re.findall(r"\$\{(\w+)\}", value):
        if wanted not in os.environ:
            raise BadSource(f"a source wants ${{{wanted}}}: set {wanted} in the environment")
        secrets += [os.environ[wanted]]
        value = value.replace(f"${{{wanted}}}", os.environ[wanted])
    return value


def _hide(text: str, secrets: Sequence[str]) -> str:
    """Take secrets, and passwords inside URLs, out of a text."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]+@", r"\1:***@", Scrubber(secrets).clean(text))


def _run_query(con: duckdb.DuckDBPyConnection, query: str, names: list[str]) -> tuple[pd.DataFrame, bool]:
    """Return the rows, and whether they have an order of their own."""
    inner = query.strip().rstrip(";") or f"SELECT * FROM {quote_name(names[0])}"  # noqa: S608
    try:
        ordered = _is_ordered(con, inner)
        return fetch_table(con, inner if ordered else f"SELECT * FROM ({inner}\n) ORDER BY ALL"), ordered  # noqa: S608
    except duckdb.Error as error:
        raise BadSource(f"the query over {', '.join(names)} cannot run: {error}") from None


def _is_ordered(con: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Return whether the rows of a query have an order: its own ORDER BY, or that of the only source it picks from."""
    parsed = json.loads(con.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    if parsed.get("error") or len(parsed["statements"]) != 1:
        raise BadSource(f"the query is not one SELECT: {parsed.get('error_message', 'there are several')}")
    node = parsed["statements"][0]["node"]
    if any(one["type"] == "ORDER_MODIFIER" for one in node.get("modifiers", [])):
        return True
    if node["type"] != "SELECT_NODE":
        return False
    plain = not any(node[part] for part in ("modifiers", "group_expressions", "qualify", "sample"))
    one = plain and not node["cte_map"]["map"] and (node["from_table"] or {}).get("type") == "BASE_TABLE"
    return one and not any(f'"class": "{kind}"' in json.dumps(node) for kind in ("WINDOW", "SUBQUERY"))


def _check_keys(table: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    for key in keys:
        if key not in table.columns:
            raise BadSource(f"key {key!r} is not a column{suggest(key, table.columns)}")
    repeated = int(table.duplicated(list(keys)).sum())
    return [f"{format_count(repeated, 'row')} with the keys {', '.join(keys)} of an earlier row"] if repeated else []


def _sample(table: pd.DataFrame, rows: int, seed: int, keys: Sequence[str]) -> pd.DataFrame:
    if keys:
        chosen = np.argsort(hash_rows(table[list(keys)], seed), kind="stable")[:rows]
    else:
        chosen = np.random.default_rng(seed % 2**64).choice(len(table), rows, replace=False)
    return table.iloc[np.sort(chosen)].reset_index(drop=True)


def hash_rows(table: pd.DataFrame, seed: int) -> np.ndarray:
    """Give each row a number that depends on its content and the seed alone.

    Parameters
    ----------
    table
        The columns that count.
    seed
        Another seed gives another order.
    """
    plain = table.astype({name: "str" for name in table if table[name].dtype.kind == "O"})
    hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy() + np.uint64(seed % 2**64)
    return np.asarray(pd.util.hash_array(hashes))


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
