"""A data frame as a cell displayed it becomes a table for people: words as heads, intervals as one, fewer digits."""

import html
import json
import math
import re
from dataclasses import dataclass, field

from nbkit.report.marks import mark, tone
from nbkit.wording import LABELS, describe, format_interval, format_value

SILENT = {"n", "rows", "better", "currency", "judged", "column", "metric", "note"}  # said once if it is always the same
VALUES = {"value", "difference", "ratio", "drop", "lift", "share", "observed", "extra", "roc_auc", "mean", "effect"}
COUNTS = {"n", "rows", "cost", "bytes", "requests", "missing", "count", "levels", "unique", "left_out", "distinct"}
METRICS = {"metric", "criterion", "name", "test", "requirement", "gate", ""}  # whose cells may name a metric
WORDED = {"verdict", "severity", "level", "decision", "level_now"}
NUMBER = re.compile(r"^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?$")
TABLE = re.compile(r"<table>(.*?)</table>", re.DOTALL)
ROW, CELL = re.compile(r"<tr>(.*?)</tr>", re.DOTALL), re.compile(r"<(th|td)[^>]*>(.*?)</\1>", re.DOTALL)
DASH = "–"


@dataclass
class Column:
    """A column: its name in the data frame, its cells as HTML, and what they are."""

    name: str
    cells: list[str]
    is_header: bool = False
    is_interval: bool = False
    is_rounded: bool = False
    tones: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        """Return what stands above it."""
        words = "95 % interval" if self.is_interval else describe(self.name)
        return words[:1].upper() + words[1:]

    @property
    def is_number(self) -> bool:
        """Whether all that is not missing is a number."""
        known = [cell for cell in self.cells if cell != DASH]
        return bool(known) and all(NUMBER.match(cell.removesuffix("%").strip()) for cell in known)


def count_rows(text: str) -> int:
    """Return how many rows the tables of some HTML have, heads not counted.

    Examples
    --------
    >>> count_rows("<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>")
    1
    """
    return len(ROW.findall(re.sub(r"<thead>.*?</thead>", "", text, flags=re.DOTALL)))


def make_readable(text: str) -> str:
    """Rewrite each simple table of some clean HTML; what is no plain grid with one head stays as it is.

    Parameters
    ----------
    text
        From `nbkit.report.clean.clean_html`.

    Examples
    --------
    >>> head = "<thead><tr><th>metric</th><th>value</th><th>low</th><th>high</th></tr></thead>"
    >>> row = "<tr><td>roc_auc</td><td>0.7417</td><td>0.7087</td><td>0.7727</td></tr>"
    >>> print(make_readable(f"<table>{head}<tbody>{row}</tbody></table>").partition("<tbody>")[2])
    <tr><td>ROC AUC</td><td class="number">0.742</td><td class="number">0.709 to 0.773</td></tr></tbody></table>
    """
    return TABLE.sub(lambda found: _rewrite(found[0], found[1]), text)


def _rewrite(whole: str, inner: str) -> str:
    head, _, body = inner.partition("</thead>")
    heads = [[text for _, text in CELL.findall(row)] for row in ROW.findall(head)]
    rows = [CELL.findall(row) for row in ROW.findall(body)]
    plain = len(heads) == 1 and body and "<table" not in inner and "span=" not in inner
    if not plain or any(len(row) != len(heads[0]) for row in rows):
        return whole
    columns = [
        Column(name.strip(), [row[place][1].strip() for row in rows], bool(rows) and rows[0][place][0] == "th")
        for place, name in enumerate(heads[0])
    ]
    columns = _merge_intervals(columns)
    columns, same = _leave_out(columns)
    return _write(columns, len(rows)) + same


def _merge_intervals(columns: list[Column]) -> list[Column]:
    """Put each pair of bounds into one column beside its value, with digits that the width of the interval allows."""
    named = {column.name: column for column in columns}
    for low in [column for column in columns if re.fullmatch(r"(.*_)?low", column.name)]:
        stem = low.name[:-3]
        high, value = named.get(f"{stem}high"), named.get(stem.rstrip("_")) if stem else _find_value(columns, low)
        if high is None or value is None or not (low.is_number or high.is_number):
            continue
        beside = [named["today"]] if not stem and "today" in named else []
        written = []
        for place, ends in enumerate(zip(map(_read, low.cells), map(_read, high.cells), strict=True)):
            written.append(DASH if all(map(math.isnan, ends)) else format_interval(*ends))
            for column in [value, *beside]:
                if not math.isnan(middle := _read(column.cells[place])):
                    column.cells[place] = format_value(middle, *ends)
        low.is_interval, low.cells = True, written
        columns.remove(high)
        for column in [value, *beside]:
            column.is_rounded = True
        columns.remove(low)
        columns.insert(columns.index(value) + 1, low)
    return columns


def _find_value(columns: list[Column], low: Column) -> Column | None:
    """Return the number to which a column `low` belongs: the last before it that is one."""
    before = [column for column in columns[: columns.index(low)] if column.is_number and column.name in VALUES]
    return before[-1] if before else None


def _read(cell: str) -> float:
    """Return the number in a cell; NaN if there is none."""
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return math.nan


def _round(cell: str, digits: int | None) -> str:
    try:
        return cell if digits is None else f"{float(cell.replace(',', '')):,.{min(digits, 6)}f}"
    except ValueError:
        return cell


def _leave_out(columns: list[Column]) -> tuple[list[Column], str]:
    """Leave out columns that are empty or say the same in every row, and say that below the table."""
    kept, same = [], []
    for column in columns:
        values = set(column.cells)
        if column.cells and values <= {"", DASH} and not column.is_header:
            continue
        if len(column.cells) > 1 and len(values) == 1 and column.name in SILENT and not column.is_header:
            cell = _align(column.cells, counts=True)[0] if column.is_number else column.cells[0]
            same.append(f"{describe(column.name)} {describe(cell)}")
        else:
            kept.append(column)
    if not kept:
        return columns, ""
    return kept, f'<p class="soft">The same in every row: {"; ".join(same)}.</p>' if same else ""


def _write(columns: list[Column], count: int) -> str:
    for column in columns:
        if column.name in WORDED:
            column.tones = [tone(cell) if mark(cell) != cell else "" for cell in column.cells]
            column.cells = [mark(cell) for cell in column.cells]
        elif column.is_number and not column.is_interval:
            column.cells = column.cells if column.is_rounded else _align(column.cells, counts=column.name in COUNTS)
        else:
            named = column.name in METRICS or column.is_header or set(column.cells) <= {"True", "False"}
            words = {cell: describe(cell) for cell in column.cells} if column.name == "gate" else LABELS
            column.cells = [words.get(cell, cell) if named else cell for cell in column.cells]
        if column.name == "params":
            column.cells = [_list_settings(cell) for cell in column.cells]
    shapes = ["number" if column.is_number or column.is_interval else "" for column in columns]
    head = "".join(
        _make_cell("th", column.head, shape, "col") if column.head else "<td></td>"
        for column, shape in zip(columns, shapes, strict=True)
    )
    rows = []
    for place in range(count):
        cells = []
        for column, shape in zip(columns, shapes, strict=True):
            kind = f"status {column.tones[place]}" if column.tones and column.tones[place] else shape
            tag, scope = ("th", "row") if column.is_header else ("td", "")
            cells.append(_make_cell(tag, column.cells[place], "" if column.is_header else kind, scope))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _list_settings(cell: str) -> str:
    """Write settings in JSON as a list; anything else as it is.

    Examples
    --------
    >>> _list_settings('{"max_iter": 100, "model": null}'), _list_settings("{}"), _list_settings("{x")
    ('max_iter 100, model none', 'defaults', '{x')
    """
    try:
        found = json.loads(html.unescape(cell)) if cell.startswith("{") else None
    except ValueError:
        return cell
    if not isinstance(found, dict):
        return cell
    words = ", ".join(f"{name} {'none' if value is None else value}" for name, value in found.items())
    return html.escape(words) or "defaults"


def _align(cells: list[str], *, counts: bool = False) -> list[str]:
    """Write the numbers of a column with three digits of the largest, and counts with commas.

    Examples
    --------
    >>> _align(["0.5223", "0.251", "–"]), _align(["4691", "7"], counts=True), _align(["1.2e-15", "0.5"])
    (['0.522', '0.251', '–'], ['4,691', '7'], ['1.2e-15', '0.5'])
    """
    if any("e" in cell or "%" in cell or re.match(r"[-+]?0\d", cell) for cell in cells):
        return [f"{float(cell):.2g}" if "e" in cell else cell for cell in cells]
    known = [abs(float(cell.replace(",", ""))) for cell in cells if cell != DASH]
    if not any("." in cell for cell in cells):
        return [cell if cell == DASH else f"{int(cell.replace(',', '')):,}" for cell in cells] if counts else cells
    sizes = [math.floor(math.log10(each)) for each in known if each] or [0]
    if max(sizes) - min(sizes) > 1:  # of several units, such as the scores of several metrics
        sized = {cell: float(cell.replace(",", "")) for cell in cells if cell != DASH}
        own = {cell: max(0, 2 - math.floor(math.log10(abs(size)))) if size else 0 for cell, size in sized.items()}
        return [_round(cell, own.get(cell)) for cell in cells]
    digits = min(max(0, 2 - max(sizes), -min(sizes)), 9)
    return [_round(cell, digits) for cell in cells]


def _make_cell(tag: str, text: str, kind: str, scope: str) -> str:
    attributes = (f' scope="{scope}"' if scope else "") + (f' class="{kind}"' if kind else "")
    return f"<{tag}{attributes}>{text}</{tag}>"
