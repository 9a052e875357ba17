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

TEXT_MISSING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
VALUE_MISSING = (*TEXT_MISSING, "na", "None", "none", "?", "-", "--", ".", "#DIV/0!", "#VALUE!")

INTEGER = r"[+-]?(0|[1-9]\d{0,17})"
LEADING_ZERO = r"0\d+"
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf|Infinity)"
THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}([. ]\d{3})+),\d+"
OFFSET = r".*\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)"
DATE = r"\d{4}-\d{1,2}-\d{1,2}([ T]\d.*)?"
FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y/%m/%d")


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
        base = re.sub(r"\s+", " ", str(name).replace("\ufeff", "")).strip() or f"column_{place}"
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
        ``separator``, ``header`` (bool), ``skip`` (lines above the header), ``encoding``, ``missing`` (more words that
        mean missing), ``dates`` (a strptime format), ``text`` (columns that stay text).
    scratch
        A folder that lives as long as the query.

    Returns
    -------
    str, list of str
        The SELECT, and what was mended.

    Raises
    ------
    BadSource
        If the file is empty or no table.
    """
    plain, notes = _as_utf8(path, options.get("encoding", ""), scratch)
    separator, quote, skip, has_header = _sniff(con, plain, options)
    first = _first_row(plain, separator, quote, skip)
    if not first:
        raise BadSource(f"{path.name} is empty: no header and no rows")
    header = options.get("header", has_header or not any(re.fullmatch(NUMBER, cell.strip()) for cell in first))
    names, renamed = clean_names(first if header else [f"column_{i + 1}" for i in range(len(first))])
    notes += renamed if header else [f"no header row: columns are called {names[0]} to {names[-1]}"]
    typed = ", ".join(f"{quote_text(name)}: 'VARCHAR'" for name in names)
    raw = (
        f"read_csv({quote_text(str(plain))}, auto_detect=false, columns={{{typed}}}, delim={quote_text(separator)}, "
        f"quote={quote_text(quote)}, escape={quote_text(quote)}, header={str(bool(header)).lower()}, skip={skip}, "
        "null_padding=true, strict_mode=false, max_line_size=16777216)"
    )
    if separator != ",":
        notes.append(f"columns are separated by {separator!r}")
    names_out, expressions, typing = _decide_types(
        con, raw, names, options, blank_first=header and not first[0].strip()
    )
    select = ", ".join(
        f"{expression} AS {quote_name(name)}" for name, expression in zip(names_out, expressions, strict=True)
    )
    return f"SELECT {select} FROM {raw}", notes + typing


def _as_utf8(path: Path, encoding: str, scratch: Path) -> tuple[Path, list[str]]:
    """Unpack and recode where needed; a plain UTF-8 file is used where it lies."""
    notes: list[str] = []
    plain = path
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.namelist() if not m.endswith("/") and not m.startswith("__MACOSX")]
            if len(members) != 1:
                raise BadSource(f"{path.name} holds {len(members)} files ({', '.join(members[:5])}): unpack it first")
            plain = scratch / "unpacked.csv"
            with archive.open(members[0]) as packed, plain.open("wb") as out:
                shutil.copyfileobj(packed, out)
    elif path.suffix == ".gz":
        plain = scratch / "unpacked.csv"
        with gzip.open(path) as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out)
    encoding = encoding or _guess_encoding(plain)
    if encoding == "utf-8":
        return plain, notes
    recoded = scratch / "recoded.csv"
    with (
        plain.open(encoding=encoding, errors="replace", newline="") as packed,
        recoded.open("w", encoding="utf-8", newline="") as out,
    ):
        shutil.copyfileobj(packed, out)
    return recoded, [] if encoding == "utf-8-sig" else [f"{path.name} is read as {encoding}, not UTF-8"]


def _guess_encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(start)
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _sniff(con: duckdb.DuckDBPyConnection, path: Path, options: dict[str, Any]) -> tuple[str, str, int, bool]:
    given = options.get("separator", "")
    extra = f", delim={quote_text(given)}" if given else ""
    try:
        found = con.execute(
            f"SELECT Delimiter, Quote, SkipRows, HasHeader FROM sniff_csv({quote_text(str(path))}, sample_size=2000{extra})"  # noqa: S608
        ).fetchall()[0]
    except duckdb.Error:
        found = (given or ",", '"', 0, True)
    quote = found[1] if found[1] in ('"', "'") else '"'
    return given or found[0], quote, int(options.get("skip", found[2])), bool(found[3])


def _first_row(path: Path, separator: str, quote: str, skip: int) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        for _ in range(skip):
            file.readline()
        return next(csv.reader(file, delimiter=separator, quotechar=quote), [])


def _decide_types(
    con: duckdb.DuckDBPyConnection, raw: str, names: list[str], options: dict[str, Any], *, blank_first: bool
) -> tuple[list[str], list[str], list[str]]:
    extra = tuple(str(word) for word in options.get("missing", ()))
    counts = _count_forms(con, raw, names, extra, options.get("dates", ""))
    kept, expressions, notes = [], [], []
    for place, (name, count) in enumerate(zip(names, counts, strict=True)):
        if place == 0 and (blank_first or name == "Unnamed: 0") and _is_index(count):
            notes.append(f"the unnamed first column only numbers the rows: dropped ({name!r})")
            continue
        expression, said = _choose(name, count, extra, text=name in options.get("text", ()))
        kept.append(name)
        expressions.append(expression)
        notes += said
    return kept, expressions, notes


def _value(name: str, words: Sequence[str]) -> str:
    listed = ", ".join(quote_text(word) for word in ("", *words))
    return f"CASE WHEN trim({quote_name(name)}) IN ({listed}) THEN NULL ELSE trim({quote_name(name)}) END"


def _count_forms(
    con: duckdb.DuckDBPyConnection, raw: str, names: list[str], extra: tuple[str, ...], dates: str
) -> list[dict[str, Any]]:
    """Count, in one pass, how many values of each column have which form."""
    forms = {"integer": INTEGER, "zero": LEADING_ZERO, "number": NUMBER, "thousands": THOUSANDS}
    forms |= {"comma": DECIMAL_COMMA, "offset": OFFSET, "dateish": DATE}
    formats = (dates,) if dates else FORMATS
    found = []
    for start in range(0, len(names), 40):
        parts, keys = [], []
        for name in names[start : start + 40]:
            v = f"({_value(name, (*VALUE_MISSING, *extra))})"
            texts = f"({_value(name, (*TEXT_MISSING, *extra))})"
            fields = {
                "n": f"count({v})",
                "texts": f"count({texts})",
                "filled": f"count(nullif(trim({quote_name(name)}), ''))",
                **{key: f"count(*) FILTER (regexp_full_match({v}, {quote_text(form)}))" for key, form in forms.items()},
                "bool": f"count(*) FILTER (lower({v}) IN ('true', 'false'))",
                "stamp": f"count(TRY_CAST({v} AS TIMESTAMP))",
                **{f: f"count(try_strptime({v}, {quote_text(f)}))" for f in formats},
                "odd": f"min({v}) FILTER (NOT regexp_full_match({v}, {quote_text(NUMBER)}))",
                "low": f"min(TRY_CAST({v} AS DOUBLE))",
                "high": f"max(TRY_CAST({v} AS DOUBLE))",
                "distinct": f"approx_count_distinct({v})",
            }
            keys.append(list(fields))
            parts += fields.values()
        row = con.execute(f"SELECT {', '.join(parts)} FROM {raw}").fetchall()[0]  # noqa: S608
        width = len(keys[0])
        found += [dict(zip(key, row[i * width : (i + 1) * width], strict=True)) for i, key in enumerate(keys)]
    return found


def _is_index(count: dict[str, Any]) -> bool:
    n = count["n"]
    return n > 0 and count["integer"] == n and count["low"] in (0, 1) and count["high"] - count["low"] == n - 1


def _choose(name: str, c: dict[str, Any], extra: tuple[str, ...], *, text: bool) -> tuple[str, list[str]]:
    """Choose the narrowest type that fits every value of a column."""
    v = f"({_value(name, (*VALUE_MISSING, *extra))})"
    n = c["n"]
    dates = [key for key in c if key.startswith("%") and c[key] == n]
    notes = [] if n == c["filled"] else [f"column {name!r}: {c['filled'] - n} entries such as NA or ? read as missing"]
    if n == 0 or text:
        notes, dates = [], []
    elif c["bool"] == n:
        return f"CAST({v} AS BOOLEAN)", notes
    elif c["integer"] == n:
        return f"CAST({v} AS BIGINT)", notes
    elif c["number"] == n and not c["zero"]:
        return f"CAST({v} AS DOUBLE)", notes
    elif c["number"] + c["thousands"] == n and not c["zero"]:
        said = f"column {name!r}: thousands separators removed"
        return f"CAST(replace({v}, ',', '') AS DOUBLE)", [*notes, said]
    elif c["comma"] and c["comma"] + c["integer"] == n:
        said = f"column {name!r}: decimal commas read as points"
        return f"CAST(replace(replace(replace({v}, '.', ''), ' ', ''), ',', '.') AS DOUBLE)", [*notes, said]
    elif c["stamp"] == n and c["dateish"] == n:
        zoned = c["offset"] == n
        return f"CAST({v} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'})", notes
    if len(dates) == 1:
        return f"strptime({v}, {quote_text(dates[0])})", [*notes, f"column {name!r}: dates read as {dates[0]}"]
    said = _explain_text(name, c, dates)
    lost = c["filled"] - c["texts"]
    if lost and not text:
        said.append(f"column {name!r}: {lost} entries such as NA read as missing")
    return _value(name, (*(() if text else TEXT_MISSING), *extra)), said


def _explain_text(name: str, c: dict[str, Any], dates: list[str]) -> list[str]:
    numbers = c["number"] + c["thousands"]
    if dates:
        return [f"column {name!r} holds dates that fit {' and '.join(dates)}: kept as text; set `dates` to one of them"]
    if c["zero"] and c["number"] == c["n"]:
        return [f"column {name!r} holds numbers with leading zeros: kept as text"]
    if c["n"] and 0.5 < numbers / c["n"] < 1:
        share = f"{numbers} of {c['n']} entries are numbers"
        return [
            f"column {name!r}: {share}, others are not, such as {c['odd']!r}: kept as text; `missing` may name them"
        ]
    return []
