"""Each kind of source has a reader that makes it a query; a new kind is one decorated function."""

import importlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import duckdb
import fsspec
import pandas as pd

from nbkit import observe
from nbkit.data.delimited import query_delimited, quote_name, quote_text
from nbkit.data.tables import register_table
from nbkit.errors import BadSource
from nbkit.extend import claim
from nbkit.wording import suggest


class Reading(NamedTuple):
    """What a reader needs: the connection, the source's name and filled spec, the project's root, a scratch folder."""

    con: duckdb.DuckDBPyConnection
    name: str
    spec: dict[str, Any]
    root: Path
    scratch: Path


class Read(NamedTuple):
    """What a reader gives: a SELECT over the source, its files (if any), and notes."""

    query: str
    files: list[Path]
    notes: list[str]


def _read_csv(reading: Reading) -> Read:
    files, parts, notes = _find_files(reading), [], []
    for number, file in enumerate(files):
        folder = reading.scratch / str(number)
        folder.mkdir()
        part, said = query_delimited(reading.con, file, reading.spec, folder)
        parts.append(f"({part})")
        notes += [note for note in said if note not in notes]
    return Read(" UNION ALL BY NAME ".join(parts), files, notes)


def _read_by(function: str, options: str) -> Callable[[Reading], Read]:
    def read(reading: Reading) -> Read:
        files = _find_files(reading)
        listed = ", ".join(quote_text(str(file)) for file in files)
        return Read(f"SELECT * FROM {function}([{listed}], {options})", files, [])  # noqa: S608

    return read


def _read_sql(reading: Reading) -> Read:
    import sqlalchemy

    url, files = sqlalchemy.make_url(str(reading.spec["location"])), []
    if url.drivername.startswith("sqlite") and url.database and url.database != ":memory:":
        files = [reading.root / url.database]
        if not files[0].exists():
            raise _missing_file(reading, files[0])
        url = url.set(database=str(files[0]))
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            if "query" in reading.spec:
                table = pd.read_sql(sqlalchemy.text(str(reading.spec["query"])), connection)
            else:
                schema, _, wanted = str(reading.spec.get("table", "")).rpartition(".")
                looked = sqlalchemy.inspect(connection)
                names = sorted([*looked.get_table_names(schema or None), *looked.get_view_names(schema or None)])
                wanted = wanted or (names[0] if len(names) == 1 else "")
                if not wanted and names:
                    words = f"the database has {len(names)} tables ({', '.join(names[:8])})"
                    how = "name one as `table:` of the source, or with --table"
                    raise BadSource(f"source {reading.name!r}: {words}: {how}")
                if wanted not in names:
                    raise BadSource(f"source {reading.name!r}: no table {wanted!r}{suggest(wanted, names)}")
                table = pd.read_sql_table(wanted, connection, schema=schema or None)
    finally:
        engine.dispose()
    return _register(reading, table, files)


def _read_python(reading: Reading) -> Read:
    module_name, _, name = str(reading.spec["location"]).partition(":")
    sys.path.insert(0, str(reading.root.resolve()))
    try:
        module = importlib.import_module(module_name)
    finally:
        sys.path.remove(str(reading.root.resolve()))
    if not hasattr(module, name):
        raise BadSource(f"source {reading.name!r}: {module_name} has no {name!r}{suggest(name, dir(module))}")
    found = getattr(module, name)
    if callable(found):
        arguments = dict(reading.spec.get("args") or {})
        if module_name == "sklearn.datasets" and name.startswith(("load_", "fetch_")):
            arguments.setdefault("as_frame", True)
        found = found(**arguments)
    if not isinstance(found, pd.DataFrame):
        found = found.to_pandas() if hasattr(found, "to_pandas") else getattr(found, "frame", found)
    return _register(reading, found if isinstance(found, pd.DataFrame) else pd.DataFrame(found), [])


def _register(reading: Reading, table: pd.DataFrame, files: list[Path]) -> Read:
    notes = register_table(reading.con, f"__{reading.name}", table)
    return Read(f"SELECT * FROM {quote_name('__' + reading.name)}", files, notes)  # noqa: S608


def _packed(*endings: str) -> Callable[[str], bool]:
    ends = tuple(f".{ending}{pack}" for ending in endings for pack in ("", ".gz"))
    return lambda place: place.lower().rstrip("*").endswith(ends)


def _is_database(place: str) -> bool:
    return bool(re.match(r"(sqlite|postgresql|mysql|mariadb|mssql|oracle|duckdb|snowflake)(\+\w+)?://", place))


# kind: does a location look like it, its reader
SOURCES: dict[str, tuple[Callable[[str], bool], Callable[[Reading], Read]]] = {
    "python": (lambda place: bool(re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", place)), _read_python),
    "csv": (_packed("csv", "tsv", "tab", "txt", "data", "dat", "zip"), _read_csv),
    "json": (
        _packed("json", "jsonl", "ndjson"),
        _read_by("read_json_auto", "sample_size=-1, union_by_name=true, maximum_object_size=268435456"),
    ),
    "parquet": (_packed("parquet", "pq", "parq"), _read_by("read_parquet", "union_by_name=true")),
    "sql": (_is_database, _read_sql),
}


def reader(kind: str) -> Callable[[Callable[..., pd.DataFrame]], Callable[..., pd.DataFrame]]:
    """Make a kind of source of a function ``(location, **options)`` that returns a table.

    A source that names the kind is read by it; other keys are options: ``{kind: sheet, location: a.xls, tab: 2}``.
    The location of a file is given as its whole path. What is read from elsewhere is read again in each run.

    Parameters
    ----------
    kind
        As sources name it.

    Raises
    ------
    BadParameter
        If nbkit or another module reads sources of that kind.
    """

    def add(function: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
        def read(reading: Reading) -> Read:
            options = {key: value for key, value in reading.spec.items() if key not in ("kind", "location")}
            place = str(reading.spec["location"])
            files = [file for file in (reading.root / place,) if file.is_file()]
            if not files:
                observe.note_outside(f"source {reading.name} ({kind})")
            table = function(str(files[0]) if files else place, **options)
            if not isinstance(table, pd.DataFrame):
                raise BadSource(f"source {reading.name!r}: its reader gave no table but {type(table).__name__}")
            return _register(reading, table, files)

        claim("reader", kind, function, SOURCES)
        SOURCES[kind] = (lambda _: False, read)
        return function

    return add


def guess_kind(location: str, root: Path) -> str:
    """Return the kind of a source, judged by its location; empty if nothing fits.

    Parameters
    ----------
    location
        A file, folder, glob, URL or ``module:name``.
    root
        The folder that relative files are looked up in.
    """
    place = location.split("?")[0] if "://" in location else location
    folder = root / location
    if "://" not in location and folder.is_dir():
        place = next((str(file) for file in sorted(folder.rglob("*")) if _kind_of(file.name)), "")
    return _kind_of(place)


def _kind_of(place: str) -> str:
    return next((kind for kind, (belongs, _) in SOURCES.items() if belongs(place)), "")


def _find_files(reading: Reading) -> list[Path]:
    """Find the files of a location, in order of name; what lies elsewhere is copied to scratch first."""
    location = str(reading.spec["location"])
    whole = reading.root / location
    if "://" in location:
        found = _download(location, reading.scratch / "remote")
    elif whole.is_dir():
        belongs = SOURCES[reading.spec["kind"]][0]
        found = sorted(file for file in whole.rglob("*") if file.is_file() and belongs(file.name))
    elif any(mark in location for mark in "*?[") and not whole.exists():
        anchor = Path(location).anchor
        found = sorted(Path(anchor or reading.root).glob(str(Path(location).relative_to(anchor))))
    else:
        found = [whole]
    if not found or not all(file.is_file() for file in found):
        raise _missing_file(reading, whole)
    return found


def _download(location: str, folder: Path) -> list[Path]:
    folder.mkdir()
    if location.startswith(("http://", "https://")):
        import requests

        target = folder / (Path(urlsplit(location).path).name or "table")
        with requests.get(location, stream=True, timeout=60) as answer, target.open("wb") as copy:
            answer.raise_for_status()
            copy.writelines(answer.iter_content(1 << 20))
        return [target]
    for one in fsspec.open_files(location, "rb"):
        with one as source, (folder / Path(one.path.split("?")[0]).name).open("wb") as copy:
            shutil.copyfileobj(source, copy)
    return sorted(folder.iterdir())


def _missing_file(reading: Reading, file: Path) -> BadSource:
    shown = str(reading.spec["location"])
    if not file.parent.is_dir():
        return BadSource(f"source {reading.name!r}: no file {shown}; there is no folder {file.parent.name!r}")
    near = sorted(other.name for other in file.parent.iterdir() if not other.name.startswith("."))
    return BadSource(f"source {reading.name!r}: no file {shown}{suggest(file.name, near)}")
