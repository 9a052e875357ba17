"""HTML that a cell displayed, made safe and readable: allowed tags only, each closed, numbers without idle digits."""

import html
import re
from html.parser import HTMLParser

from nbkit.report.tables import Cell, tidy_cells

ALLOWED = set(re.findall(r"\w+", """
    table thead tbody tfoot tr th td caption p b i em strong code pre ul ol li br hr span sub sup h2 h3 h4 h5 h6
    blockquote dl dt dd del a
"""))  # fmt: skip
DROPPED = {"script", "style", "head", "title", "iframe", "object", "template", "svg", "math", "noscript", "textarea"}
KEPT = {"colspan", "rowspan", "href"}
VOID = {"br", "hr"}
LONG_NUMBER = re.compile(r"^-?\d+\.\d{4,}(e[-+]\d+)?$|^-?\d\.\d+e[-+]\d+$")
NUMBER = re.compile(r"[-+]?[\d,.]+(e[-+]?\d+)?\s?%?")
MISSING = {"NaN", "nan", "NaT", "<NA>", "None"}
FRAME = '<div class="scroll" tabindex="0" role="region" aria-label="Table">'


def clean_html(text: str) -> str:
    """Keep the text and the structure of HTML, drop scripts, styles, pictures from elsewhere and unknown tags.

    Parameters
    ----------
    text
        HTML as a cell displayed it, such as a DataFrame's.

    Returns
    -------
    str
        HTML in which every tag is closed, header cells have a scope, table cells that hold numbers are marked, long
        floats are shortened to four significant digits, missing values are dashes, an index that only counts rows is
        gone, one with a name has it in the corner, and every table stands in a frame that scrolls sideways and takes
        the keyboard.

    Examples
    --------
    >>> clean_html("<b onclick='x()'>0.5</b><script>alert(1)</script>")
    '<b>0.5</b>'
    """
    cleaner = _Cleaner()
    try:
        cleaner.feed(text)
        cleaner.close()
    except AssertionError:  # what the parser says to some declarations that are none, such as `<![x`
        return f"<pre>{html.escape(text)}</pre>"
    cleaner.close_tags(0)
    return "".join(cleaner.parts).strip()


def shorten_number(text: str) -> str:
    """Shorten a float to four significant digits, a large one to its whole part; any other text stays.

    Examples
    --------
    >>> shorten_number("0.741732"), shorten_number("20145.512345"), shorten_number("2013.5"), shorten_number("flights")
    ('0.7417', '20,146', '2013.5', 'flights')
    """
    if not LONG_NUMBER.match(text):
        return text
    number = float(text)
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e15 else f"{number:.4g}"


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.stack: list[str] = []
        self.tables: list[list[list[Cell]]] = []  # rows of cells of each table that is open
        self.hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self.hidden.append(tag)
        tag = "h2" if tag == "h1" else tag
        if self.hidden or tag not in ALLOWED:
            return
        kept = {name: value for name, value in attrs if name in KEPT and value}
        if not kept.get("href", "#").startswith("#"):
            kept.pop("href")
        if tag == "th":
            kept["scope"] = "col" if self._in_head() else "row"
        if tag == "table":
            self.tables.append([])
            self.parts.append(FRAME)
        if self.tables and tag == "tr":
            self.tables[-1].append([])
        if self.tables and tag in ("th", "td") and self.tables[-1]:
            self.tables[-1][-1].append(Cell(tag, len(self.parts), is_head=self._in_head()))
        said = "".join(f' {name}="{html.escape(value or "")}"' for name, value in kept.items())
        self.parts.append(f"<{tag}{said}>")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        tag = "h2" if tag == "h1" else tag
        if self.hidden:
            if tag in self.hidden:
                del self.hidden[len(self.hidden) - 1 - self.hidden[::-1].index(tag) :]
        elif tag in self.stack:
            self.close_tags(len(self.stack) - 1 - self.stack[::-1].index(tag))

    def handle_data(self, data: str) -> None:
        if self.hidden:
            return
        bare = data.strip()
        shown = shorten_number(bare)
        if self.parts and self.parts[-1].startswith("<td"):
            shown = "–" if shown in MISSING else shown
            if shown == "–" or NUMBER.fullmatch(shown):
                self.parts[-1] = self.parts[-1].replace("<td", '<td class="number"', 1)
        self.parts.append(html.escape(shown if shown != bare else data, quote=False))

    def close_tags(self, depth: int) -> None:
        """Close what is open, down to a depth of the stack."""
        while len(self.stack) > depth:
            tag = self.stack.pop()
            if tag in ("th", "td") and self.tables and self.tables[-1] and self.tables[-1][-1]:
                self.tables[-1][-1][-1].end = len(self.parts)
            self.parts.append(f"</{tag}>")
            if tag == "table":
                tidy_cells(self.parts, self.tables.pop())
                self.parts.append("</div>")

    def _in_head(self) -> bool:
        """Tell whether the innermost table is in its head."""
        inside = self.stack[len(self.stack) - self.stack[::-1].index("table") :] if "table" in self.stack else []
        return "thead" in inside
