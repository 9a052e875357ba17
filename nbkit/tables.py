"""How a table shows in a notebook, and so on the page of the report that is made of it."""

import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ROWS, COLUMNS = 60, 40  # that show whole
FEW = 10  # rows of a longer table that show
DASH = "–"  # for what is missing
WIDTH = 300  # characters of a cell
NUMBER = re.compile(r"(?=.*([.e]|\d{4}))[-+]?[\d,]*\.?\d+(e[-+]?\d+)?|None|<NA>")  # of which digits might change
TEXT = "\u2060"  # a word joiner, which does not show
MARKED = re.compile(f">{TEXT}([^<]*)<")


def show_tables() -> None:
    """Let the kernel that runs this show every DataFrame as `format_table` does."""
    import pandas as pd
    from IPython import get_ipython

    if shell := get_ipython():
        shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, format_table)


def format_table(table: "pd.DataFrame") -> str:
    """Write a table as HTML: short numbers, dashes for what is missing, no index that only counts rows.

    Parameters
    ----------
    table
        Any table; of a long one the first and the last rows show, with the number of all; an empty one says so. A list
        in a cell shows as its items, and None as missing. A text that looks like a number stands in a span, by which
        the report knows that it is none.
    """
    import pandas as pd

    title = f"<caption>{escape(str(table.attrs['caption']))}</caption>" if "caption" in table.attrs else ""
    index = table.index
    counts = index.nlevels == 1 and index.name is None and index.equals(pd.RangeIndex(len(table)))
    if index.nlevels == table.columns.nlevels == 1 and not counts:  # one name goes into the corner: one line of heads
        corner = index.name if index.name is not None else table.columns.name
        table = table.set_axis(index.rename(None)).set_axis(table.columns.rename(corner), axis="columns")
    if index.dtype.kind == "O" and index.nlevels == 1 and len(table) <= ROWS:
        table = table.set_axis(table.index.map(_write))
    rows = ROWS if len(table) <= ROWS else FEW
    whole = len(table) <= ROWS and len(table.columns) <= COLUMNS
    options: dict[str, Any] = {"max_rows": rows, "max_cols": COLUMNS, "show_dimensions": not whole}
    options["formatters"] = [_write if dtype.kind == "O" else None for dtype in table.dtypes]
    with pd.option_context("display.max_colwidth", WIDTH):
        html = table.to_html(index=not counts, border=0, na_rep=DASH, float_format=format_number, **options)
    html = MARKED.sub(r"><span>\1</span><", html)
    html = re.sub("<td>(&lt;NA&gt;|None)</td>", f"<td>{DASH}</td>", html).replace("<thead>", f"{title}<thead>", 1)
    return str(html) + ("" if len(table) else "\n<p>No rows.</p>")


def caption(table: "pd.DataFrame", words: str) -> "pd.DataFrame":
    """Return a table to be shown with words above it, where its heading would not tell it from the one before.

    Examples
    --------
    >>> import pandas as pd
    >>> "<caption>As &lt; it was</caption>" in format_table(caption(pd.DataFrame({"a": [1]}), "As < it was"))
    True
    """
    shown = table.copy(deep=False)
    shown.attrs = {"caption": words}
    return shown


def _write(value: Any) -> Any:
    """Write a value of a column of texts; a text that looks like a number, or like what is missing, is marked."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return format_number(value)
    return f"{TEXT}{value}" if isinstance(value, str) and NUMBER.fullmatch(value.strip()) else value


def write_value(value: Any) -> str:
    """Write a single value of the data, in no more digits than a person reads.

    Examples
    --------
    >>> write_value(24.166379999999997), write_value(1048.36058), write_value(7), write_value("EWR")
    ('24.1664', '1048.36', '7', 'EWR')
    """
    if not isinstance(value, float):
        return str(value)
    return f"{value:.15g}" if value.is_integer() else f"{value:.6g}"


def format_number(number: float) -> str:
    """Write a float with six significant digits if it is long, with its whole part if it is long and large.

    Examples
    --------
    >>> format_number(0.741732), format_number(20145.512345), format_number(2013.5), format_number(-1.5e300)
    ('0.741732', '20,146', '2013.5', '-1.5e+300')
    """
    plain = f"{number:.10g}"
    if len(plain.partition(".")[2]) < 4 and "e" not in plain:
        return plain
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e15 else f"{number:.6g}"
