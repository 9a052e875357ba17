"""A CSV as people send it becomes a DuckDB query with clean names and decided types."""

import codecs
import csv
import gzip
import re
import shutil
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from nbkit.errors import BadSource

TEXT_MISSING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>", "?")
VALUE_MISSING = (*TEXT_MISSING, "na", "None", "none", "-", "--", ".", "#DIV/0!", "#VALUE!")

NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf|Infinity)"
FORMS = {
    "integer": r"[+-]?(0|[1-9]\d{0,17})",
    "long": r"[+-]?[1-9]\d{18,}",  # a float would not tell two of them apart
    "thousands": r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?",
    "comma": r"[+-]?(\d+|\d{1,3}([. ]\d{3})+),\d+",
    "dateish": r"\d{4}-\d{1,2}-\d{1,2}([ T]\d.*)?",
    "offset": r".*\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)",
}
SEPARATED = ("thousands", "comma", "odd")
NOTED = ("odd", "low", "high")
SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 2000
ROWS_LOOKED_AT = 1000
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
    separator, quote, skip, first, header = _sniff(con, plain, options)
    if not first:
        raise BadSource(f"{path.name} is empty: no header and no rows")
    names, said = clean_names(first if header else [f"column_{place + 1}" for place in range(len(first))])
    notes += said if header else [f"{path.name} has no header row: columns are called {names[0]} to {names[-1]}"]
    notes += [f"columns are separated by {separator!r}"] if separator != "," else []
    notes += [f"the first {skip} lines of {path.name} are above the header: skipped"] if skip else []
    typed = ", ".join(f"{quote_name(name)}: 'VARCHAR'" for name in names)
    raw = quote_name(f"raw {scratch}")  # parsed once; DuckDB moves it to disk if memory is short
    con.execute(
        f"CREATE TEMP TABLE {raw} AS FROM read_csv({quote_text(str(plain))}, auto_detect=false, columns={{{typed}}}, "
        f"delim={quote_text(separator)}, quote={quote_text(quote)}, escape={quote_text(quote)}, "
        f"header={str(header).lower()}, skip={skip}, null_padding=true, parallel=false, max_line_size=16777216)"
    )
    expressions, said = _decide_types(con, raw, names, options, blank=not first[0].strip())
    select = ", ".join(f"{expression} AS {quote_name(name)}" for name, expression in expressions.items())
    return f"SELECT {select} FROM {raw}", notes + said  # noqa: S608


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


def _sniff(
    con: duckdb.DuckDBPyConnection, path: Path, options: dict[str, Any]
) -> tuple[str, str, int, list[str], bool]:
    """Find the separator, the quote, the lines above the header, the first row, and whether it is a header."""
    given = f", delim={quote_text(options['separator'])}" if options.get("separator") else ""
    sniffed = f"SELECT Delimiter, Quote, SkipRows, HasHeader FROM sniff_csv({quote_text(str(path))}{given})"  # noqa: S608
    try:
        separator, quote, skip, header = con.execute(sniffed).fetchall()[0]
    except duckdb.Error:
        separator, quote, skip, header = options.get("separator", ","), '"', 0, True
    quote, skip = quote if quote in ('"', "'") else '"', int(options.get("skip", skip))
    for start in [skip] if "skip" in options else dict.fromkeys([0, skip]):
        if found := _find_regular(path, start, separator, quote, fixed="separator" in options):
            separator, quote, skip = *found, start
            break
    first = _first_row(path, separator, quote, skip)
    if skip and "skip" not in options and not _is_header(first):  # rather a ragged table than lines above it
        skip, first = 0, _first_row(path, separator, quote, 0)
    if len(first) == 1 and "separator" not in options:  # nor does it see the separator of a ragged table
        separator = max(SEPARATORS, key=first[0].count) if any(one in first[0] for one in SEPARATORS) else separator
        first = _first_row(path, separator, quote, skip)
    return separator, quote, skip, first, bool(options.get("header", header or _is_header(first)))


def _find_regular(path: Path, skip: int, separator: str, quote: str, *, fixed: bool) -> tuple[str, str] | None:
    """Return the separator and the quote that give all of the first rows as many cells, rather the usual ones."""
    ways = {(separator, quote): 0, (separator, '"'): 1, (separator if fixed else ",", '"'): 1}
    found = {way: _count_cells(path, skip, *way) for way in ways}
    best = max(found, key=lambda way: (found[way], ways[way]))
    return best if found[best] > 1 else None


def _count_cells(path: Path, skip: int, separator: str, quote: str) -> int:
    """Return how many cells each of the first rows has; 0 if they differ."""
    with path.open(encoding="utf-8", newline="") as file:
        for _ in range(skip):
            file.readline()
        try:
            rows = islice(csv.reader(file, delimiter=separator, quotechar=quote), ROWS_LOOKED_AT)
            counts = {len(row) for row in rows if row}
        except csv.Error:
            return 0
    return counts.pop() if len(counts) == 1 else 0


def _is_header(cells: Sequence[str]) -> bool:
    return not any(re.fullmatch(NUMBER, cell.strip()) for cell in cells)


def _first_row(path: Path, separator: str, quote: str, skip: int) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        for _ in range(skip):
            file.readline()
        return next(csv.reader(file, delimiter=separator, quotechar=quote), [])


def _decide_types(
    con: duckdb.DuckDBPyConnection, raw: str, names: list[str], options: dict[str, Any], *, blank: bool
) -> tuple[dict[str, str], list[str]]:
    extra = tuple(str(word) for word in options.get("missing", ()))
    expressions, notes = {}, []
    for place, (name, count) in enumerate(zip(names, _count_forms(con, raw, names, options, extra), strict=True)):
        if place == 0 and (blank or name == "Unnamed: 0") and _is_index(count) and len(names) > 1:
            notes.append(f"the unnamed first column only numbers the rows: dropped ({name!r})")
            continue
        expressions[name], said = _choose(name, count, extra, text=name in options.get("text", ()))
        notes += said
    return expressions, notes


def _value(name: str, words: Sequence[str]) -> str:
    listed = ", ".join(quote_text(word) for word in ("", *words))
    return f"CASE WHEN trim({quote_name(name)}) IN ({listed}) THEN NULL ELSE trim({quote_name(name)}) END"


def _count_forms(
    con: duckdb.DuckDBPyConnection, raw: str, names: list[str], options: dict[str, Any], extra: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Count how many values of each column have which form: all forms on a sample, the likely ones on all rows."""
    formats = (options["dates"],) if options.get("dates") else FORMATS
    fields = {name: _form_fields(name, formats, extra) for name in names}
    counts = _aggregate(con, f"(FROM {raw} LIMIT {SAMPLE})", fields)
    likely = {name: _choose_fields(counts[name], fields[name]) for name in names}
    exact = _aggregate(con, raw, likely)
    unclear = [name for name in names if "number" in exact[name] and 0 < exact[name]["number"] < exact[name]["n"]]
    again = _aggregate(con, raw, {name: {form: fields[name][form] for form in SEPARATED} for name in unclear})
    return [{**dict.fromkeys(fields[name], 0), **exact[name], **again.get(name, {})} for name in names]


def _choose_fields(sample: dict[str, Any], fields: dict[str, str]) -> dict[str, str]:
    """Keep the forms that a column may have, seeing some of its values."""
    numeric = any(sample[form] for form in ("number", "thousands", "comma"))
    if not sample["n"] or (numeric and not sample["number"]):
        return fields
    always = {"n", "texts", "filled", *(("number", "integer", "long", "zero", "low", "high") if numeric else ())}
    return {
        form: sql
        for form, sql in fields.items()
        if form in always or (sample[form] == sample["n"] and form not in NOTED)
    }


def _aggregate(
    con: duckdb.DuckDBPyConnection, raw: str, fields: dict[str, dict[str, str]]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    names = list(fields)
    for start in range(0, len(names), 40):
        some = names[start : start + 40]
        listed = ", ".join(expression for name in some for expression in fields[name].values())
        row = iter(con.execute(f"SELECT {listed} FROM {raw}").fetchall()[0])  # noqa: S608
        found |= {name: {form: next(row) for form in fields[name]} for name in some}
    return found


def _form_fields(name: str, formats: Sequence[str], extra: tuple[str, ...]) -> dict[str, str]:
    v = f"({_value(name, (*VALUE_MISSING, *extra))})"
    return {
        "n": f"count({v})",
        "texts": f"count({_value(name, (*TEXT_MISSING, *extra))})",
        "filled": f"count(nullif(trim({quote_name(name)}), ''))",
        "number": f"count(TRY_CAST({v} AS DOUBLE))",
        "zero": f"count(*) FILTER ({v} LIKE '0_%' AND {v} NOT LIKE '0.%')",
        **{key: f"count(*) FILTER (regexp_full_match({v}, {quote_text(form)}))" for key, form in FORMS.items()},
        "bool": f"count(*) FILTER (lower({v}) IN ('true', 'false'))",
        "stamp": f"count(TRY_CAST({v} AS TIMESTAMP))",
        **{form: f"count(try_strptime({v}, {quote_text(form)}))" for form in formats},
        "odd": f"min({v}) FILTER (TRY_CAST({v} AS DOUBLE) IS NULL)",
        "low": f"min(TRY_CAST({v} AS DOUBLE))",
        "high": f"max(TRY_CAST({v} AS DOUBLE))",
    }


def _is_index(count: dict[str, Any]) -> bool:
    n = count["n"]
    return n > 0 and count["integer"] == n and count["low"] in (0, 1) and count["high"] - count["low"] == n - 1


def _choose(name: str, counts: dict[str, Any], extra: tuple[str, ...], *, text: bool) -> tuple[str, list[str]]:
    """Choose the narrowest type that fits every value of a column."""
    n, value = counts["n"], f"({_value(name, (*VALUE_MISSING, *extra))})"
    dates = [form for form in counts if form.startswith("%") and counts[form] == n]
    plain = counts["number"] - counts["zero"]
    fits = {  # how many values a type fits, the cast, what to say
        "boolean": (counts["bool"], "CAST({0} AS BOOLEAN)", ""),
        "integer": (counts["integer"], "CAST({0} AS BIGINT)", ""),
        "number": (plain, "CAST({0} AS DOUBLE)", ""),
        "thousands": (
            plain + counts["thousands"],
            "CAST(replace({0}, ',', '') AS DOUBLE)",
            "thousands separators removed",
        ),
        "comma": (
            counts["comma"] + counts["integer"],
            "CAST(replace(replace(replace({0}, '.', ''), ' ', ''), ',', '.') AS DOUBLE)",
            "decimal commas read as points",
        ),
        "zoned": (min(counts["stamp"], counts["offset"]), "CAST({0} AS TIMESTAMPTZ)", ""),
        "datetime": (min(counts["stamp"], counts["dateish"]), "CAST({0} AS TIMESTAMP)", ""),
        "date": (
            n * (len(dates) == 1),
            f"strptime({{0}}, {quote_text(dates[0] if dates else '')})",
            f"dates read as {', '.join(dates)}",
        ),
    }
    for fitting, cast, said in fits.values() if n and not (text or _is_long(counts)) else ():
        if fitting == n:
            lost = counts["filled"] - n
            notes = [f"{lost} entries such as NA or ? read as missing"] * bool(lost) + [said] * bool(said)
            return cast.format(value), [f"column {name!r}: {note}" for note in notes]
    notes = [] if text else _explain_text(counts, dates)
    return _value(name, (*(() if text else TEXT_MISSING), *extra)), [f"column {name!r}: {note}" for note in notes]


def _is_long(counts: dict[str, Any]) -> bool:
    """Tell whether a column holds whole numbers only, of which some are too long for 64 bits: identifiers, mostly."""
    return bool(counts["long"]) and counts["integer"] + counts["long"] == counts["n"]


def _explain_text(counts: dict[str, Any], dates: list[str]) -> list[str]:
    numbers, lost = counts["number"] + counts["thousands"], counts["filled"] - counts["texts"]
    notes = [f"{lost} entries such as NA or ? read as missing"] if lost else []
    if counts["n"] and dates:
        notes.append(f"dates that fit {' and '.join(dates)}: kept as text; set `dates` to one of them")
    elif _is_long(counts):
        notes.append("whole numbers of more than 18 digits: kept as text")
    elif counts["zero"] and counts["number"] == counts["n"]:
        notes.append("numbers with leading zeros: kept as text")
    elif counts["n"] and 0.5 < numbers / counts["n"] < 1:
        shown = f"{numbers} of {counts['n']} entries are numbers, others are not, such as {counts['odd']!r}"
        notes.append(f"{shown}: kept as text; name those that mean missing in `missing`")
    return notes
