"""A CSV as people send it becomes a DuckDB query with clean names and decided types."""

import codecs
import csv
import gzip
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from nbkit.errors import BadSource

TEXT_MISSING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>", "?")
VALUE_MISSING = (*TEXT_MISSING, "na", "None", "none", "-", "--", ".", "#DIV/0!", "#VALUE!")
SEPARATORS = (",", ";", "\t", "|")
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SAMPLE = 2000  # rows on which every type is tried; the others only see those that fit there
FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y/%m/%d")
MACROS = Path(__file__).with_name("as_types.sql")
TYPES = ("boolean", "integer", "number", "thousands", "comma", "zoned", "datetime")  # the first that fits all values
CASTS = {"boolean": "BOOLEAN", "integer": "BIGINT", "number": "DOUBLE", "zoned": "TIMESTAMPTZ", "datetime": "TIMESTAMP"}
LIKE_NUMBER = "coalesce(TRY_CAST({} AS DOUBLE), as_thousands({}))"
SAID = {"thousands": "thousands separators removed", "comma": "decimal commas read as points"}


def quote_name(name: str) -> str:
    """Write an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Write an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def clean_names(names: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Make column names that are text, trimmed, filled in and unique whatever their case.

    Parameters
    ----------
    names
        The names as found.

    Returns
    -------
    tuple of list of str
        The clean names, and a note for each that was changed.

    Examples
    --------
    >>> clean_names([" Age ", "", "age"])
    (['Age', 'column_2', 'age_2'], ["column ' Age ' is called 'Age'", "column '' is called 'column_2'", ...
    """
    clean: list[str] = []
    notes = []
    taken: set[str] = set()
    for place, name in enumerate(names, start=1):
        base = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", str(name).replace("\ufeff", "")).strip() or f"column_{place}"
        final, again = base, 2
        while final.casefold() in taken:
            final, again = f"{base}_{again}", again + 1
        taken.add(final.casefold())
        clean.append(final)
        if final != name:
            notes.append(f"column {name!r} is called {final!r}")
    return clean, notes


def query_delimited(
    con: duckdb.DuckDBPyConnection, path: Path, options: dict[str, Any], scratch: Path
) -> tuple[str, list[str]]:
    """Write the SELECT that reads a delimited file, types decided on all of its rows.

    Parameters
    ----------
    con
        The connection that will run the query.
    path
        A local file: plain, ``.gz`` or ``.zip``; UTF-8, UTF-16 or Windows-1252.
    options
        ``separator``, ``quote`` (``"`` by default), ``header`` (bool), ``skip`` (lines above the header), ``encoding``,
        ``missing`` (more words that mean missing), ``dates`` (a strptime format), ``text`` (columns that stay text).
    scratch
        A folder that lives as long as the query.

    Returns
    -------
    str, list of str
        The SELECT, and what was changed on reading.

    Raises
    ------
    BadSource
        If the file is empty or no table.
    """
    plain, notes = _as_utf8(path, options.get("encoding", ""), scratch)
    separator, skip, header, first = _sniff(con, plain, options)
    if not first:
        raise BadSource(f"{path.name} is empty: no header and no rows")
    names, said = clean_names(first if header else [f"column_{place + 1}" for place in range(len(first))])
    notes += said if header else [f"{path.name} has no header row: columns are called {names[0]} to {names[-1]}"]
    notes += [f"columns are separated by {separator!r}"] if separator != "," else []
    notes += [f"the first {skip} lines of {path.name} are above the header: skipped"] if skip else []
    quote = quote_text(options.get("quote", '"'))
    typed = ", ".join(f"{quote_name(name)}: 'VARCHAR'" for name in names)
    raw = quote_name(f"raw {scratch}")  # parsed once; DuckDB moves it to disk if memory is short
    con.execute(MACROS.read_text(encoding="utf-8"))
    con.execute(
        f"CREATE TEMP TABLE {raw} AS FROM read_csv({quote_text(str(plain))}, auto_detect=false, "
        f"columns={{{typed}}}, delim={quote_text(separator)}, quote={quote}, escape={quote}, "
        f"header={str(header).lower()}, skip={skip}, null_padding=true, parallel=false, max_line_size=16777216)"
    )
    extra = tuple(str(word) for word in options.get("missing", ()))
    types = _list_types(separator, (options["dates"],) if options.get("dates") else FORMATS)
    select = {name: _value(name, extra) for name in names}
    for name in (each for each in names if each not in options.get("text", ())):
        select[name], said = _decide_type(con, raw, name, types, extra)
        notes += said
    if not first[0].strip() or names[0] == "Unnamed: 0":
        notes += _drop_index(con, raw, select)
    listed = ", ".join(f"{expression} AS {quote_name(name)}" for name, expression in select.items())
    return f"SELECT {listed} FROM {raw}", notes  # noqa: S608


def _as_utf8(path: Path, encoding: str, scratch: Path) -> tuple[Path, list[str]]:
    """Unpack and recode where needed; a plain UTF-8 file is used where it lies."""
    plain = path
    if path.suffix in (".gz", ".zip"):
        plain = scratch / "unpacked.csv"
        with _open_packed(path) as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out)
    encoding = encoding or _guess_encoding(plain)
    if encoding == "utf-8":
        return plain, []
    recoded = scratch / "recoded.csv"
    with (
        plain.open(encoding=encoding, errors="replace", newline="") as read,
        recoded.open("w", encoding="utf-8", newline="") as written,
    ):
        shutil.copyfileobj(read, written)
    return recoded, [] if encoding == "utf-8-sig" else [f"{path.name} is read as {encoding}, not UTF-8"]


def _open_packed(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path)
    archive = zipfile.ZipFile(path)
    members = [each for each in archive.namelist() if not each.endswith("/") and not each.startswith("__MACOSX")]
    if len(members) != 1:
        raise BadSource(f"{path.name} holds {len(members)} files ({', '.join(members[:5])}): unpack it first")
    return archive.open(members[0])


def _guess_encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(3)
    if found := next((name for mark, name in MARKS.items() if start.startswith(mark)), ""):
        return found
    try:
        with path.open(encoding="utf-8", newline="") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _sniff(con: duckdb.DuckDBPyConnection, path: Path, options: dict[str, Any]) -> tuple[str, int, bool, list[str]]:
    """Find the separator, the lines above the header, whether there is a header, and the first row."""
    given = f", delim={quote_text(options['separator'])}" if options.get("separator") else ""
    quote = options.get("quote", '"')
    sniffed = f"FROM sniff_csv({quote_text(str(path))}, quote={quote_text(quote)}, escape={quote_text(quote)}{given})"
    try:
        separator, skip, header = con.execute(f"SELECT Delimiter, SkipRows, HasHeader {sniffed}").fetchall()[0]
    except duckdb.Error:
        separator, skip, header = options.get("separator", ","), 0, True
    if "skip" in options or not header:  # what is above rows without a header is rather a ragged table
        skip = int(options.get("skip", 0))
    first = _read_row(path, separator, quote, skip)
    if len(first) == 1 and "separator" not in options:  # of a ragged table the separator is not found, either
        separator = max(SEPARATORS, key=first[0].count) if any(one in first[0] for one in SEPARATORS) else separator
        first = _read_row(path, separator, quote, skip)
    named = not any(re.fullmatch(r"\s*[+-]?[\d.]+(e[+-]?\d+)?\s*", cell) for cell in first)
    return separator, skip, bool(options.get("header", header or named)), first


def _read_row(path: Path, separator: str, quote: str, skip: int) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        for _ in range(skip):
            file.readline()
        return next(csv.reader(file, delimiter=separator, quotechar=quote), [])


def _value(name: str, words: Sequence[str]) -> str:
    """Return the SQL of a trimmed value, NULL where it is one of the words that mean missing."""
    listed = ", ".join(quote_text(word) for word in ("", *words))
    return f"CASE WHEN trim({quote_name(name)}) IN ({listed}) THEN NULL ELSE trim({quote_name(name)}) END"


def _list_types(separator: str, dates: Sequence[str]) -> dict[str, str]:
    """Return the SQL that reads each type, with {} for the value; a comma beside semicolons is rather a decimal one."""
    types = sorted(TYPES, key=lambda one: one == "thousands") if separator == ";" else TYPES
    return {one: f"as_{one}({{}})" for one in types} | {one: f"try_strptime({{}}, {quote_text(one)})" for one in dates}


def _decide_type(
    con: duckdb.DuckDBPyConnection, raw: str, name: str, types: dict[str, str], extra: tuple[str, ...]
) -> tuple[str, list[str]]:
    """Return the SQL of a column as the first type that fits all of its values, and what is to be said of it."""
    value, filled = _value(name, (*VALUE_MISSING, *extra)), f"nullif(trim({quote_name(name)}), '')"

    def count(table: str, *asked: str) -> list[int]:
        listed = ", ".join(f"count({sql.replace('{}', value)})" for sql in (filled, "{}", *asked))
        return list(con.execute(f"SELECT {listed} FROM {table}").fetchall()[0])  # noqa: S608

    _, n, numbers, *fitting = count(f"(FROM {raw} LIMIT {SAMPLE})", LIKE_NUMBER, *types.values())
    likely = [one for one, number in zip(types, fitting, strict=True) if number == n]
    dates = [one for one in likely if one not in TYPES]
    for tried in [*([one] for one in likely if one in TYPES), dates]:
        cells, n, *fitting = count(raw, *(types[one] for one in tried))
        fit = [one for one, number in zip(tried, fitting, strict=True) if 0 < number == n]
        if len(fit) == 1:
            said = [SAID.get(fit[0], "")] if fit[0] in TYPES else [f"dates read as {fit[0]}"]
            cast = f"CAST({{}} AS {CASTS[fit[0]]})" if fit[0] in CASTS else types[fit[0]]  # faster, now that all fit
            return cast.replace("{}", value if cells > n else filled), _describe(name, cells - n, said)
    text = _value(name, (*TEXT_MISSING, *extra))
    cells, n = count(raw, text)[::2]
    said = [f"dates that fit {' and '.join(fit)}: kept as text; set `dates` to one of them"] if fit else []
    said = said or [_explain_text(con, raw, value) if numbers else ""]
    return text if cells > n else filled, _describe(name, cells - n, said)


def _describe(name: str, missing: int, said: list[str]) -> list[str]:
    words = [f"{missing} entries such as NA or ? read as missing"] * bool(missing) + [each for each in said if each]
    return [f"column {name!r}: {each}" for each in words]


def _explain_text(con: duckdb.DuckDBPyConnection, raw: str, value: str) -> str:
    """Describe why a column in which there are numbers is text."""
    asked = "count(v), count(TRY_CAST(v AS DOUBLE)), count(as_thousands(v)), min(v) FILTER (as_thousands(v) IS NULL)"
    query = f"SELECT {asked}, bool_or(regexp_matches(v, '^[+-]?0\\d')) FROM (SELECT {value} AS v FROM {raw})"  # noqa: S608
    n, cast, numbers, odd, zeros = con.execute(query).fetchall()[0]
    if n and cast == n:
        return f"{'numbers with leading zeros' if zeros else 'whole numbers of more than 18 digits'}: kept as text"
    if n and 0.5 < numbers / n < 1:
        shown = f"{numbers} of {n} entries are numbers, others are not, such as {odd!r}"
        return f"{shown}: kept as text; name those that mean missing in `missing`"
    return ""


def _drop_index(con: duckdb.DuckDBPyConnection, raw: str, select: dict[str, str]) -> list[str]:
    """Drop a first column that only numbers the rows, and say so."""
    name, sql = next(iter(select.items()))
    if len(select) < 2 or not sql.endswith(" AS BIGINT)"):
        return []
    least, most, n = con.execute(f"SELECT min({sql}), max({sql}), count({sql}) FROM {raw}").fetchall()[0]  # noqa: S608
    if least not in (0, 1) or most - least != n - 1:
        return []
    del select[name]
    return [f"the unnamed first column only numbers the rows: dropped ({name!r})"]
