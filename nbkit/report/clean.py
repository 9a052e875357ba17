"""HTML that a cell displayed, made safe and readable: allowed tags only, numbers without idle digits."""

import html
import re
from html.parser import HTMLParser

ALLOWED = set(re.findall(r"\w+", """
    table thead tbody tfoot tr th td caption p b i em strong code pre ul ol li br hr span div sub sup h2 h3 h4 h5 h6
    blockquote dl dt dd del a
"""))  # fmt: skip
DROPPED = {"script", "style", "head", "title", "iframe", "object", "template"}
KEPT = {"colspan", "rowspan", "href"}
VOID = {"br", "hr"}
LONG_NUMBER = re.compile(r"^-?\d+\.\d{4,}(e[-+]\d+)?$|^-?\d\.\d+e[-+]\d+$")


def clean_html(text: str) -> str:
    """Keep the text and the structure of HTML, drop scripts, styles, pictures from elsewhere and unknown tags.

    Parameters
    ----------
    text
        HTML as a cell displayed it, such as a DataFrame's.

    Returns
    -------
    str
        HTML in which header cells have a scope, table cells that hold numbers are marked, long floats are shortened to
        four significant digits, and every table stands in a frame that scrolls sideways and takes the keyboard.

    Examples
    --------
    >>> clean_html("<b onclick='x()'>0.5</b><script>alert(1)</script>")
    '<b>0.5</b>'
    """
    cleaner = _Cleaner()
    cleaner.feed(text)
    cleaner.close()
    return "".join(cleaner.parts).strip()


def shorten_number(text: str) -> str:
    """Shorten a float to four significant digits; any other text stays.

    Examples
    --------
    >>> shorten_number("0.741732"), shorten_number("2013.5"), shorten_number("flights")
    ('0.7417', '2013.5', 'flights')
    """
    return f"{float(text):.4g}" if LONG_NUMBER.match(text) else text


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = 0
        self.row_of_head = False
        self.tables = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self.hidden += 1
        if self.hidden or tag not in ALLOWED or tag == "div":
            return
        kept = {name: value for name, value in attrs if name in KEPT and value}
        if not kept.get("href", "#").startswith("#"):
            kept.pop("href")
        if tag in ("thead", "tbody"):
            self.row_of_head = tag == "thead"
        if tag == "th":
            kept["scope"] = "col" if self.row_of_head else "row"
        if tag == "table":
            self.tables += 1
            self.parts.append('<div class="scroll" tabindex="0" role="region" aria-label="Table">')
        said = "".join(f' {name}="{html.escape(value or "")}"' for name, value in kept.items())
        self.parts.append(f"<{tag}{said}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in DROPPED:
            self.hidden = max(0, self.hidden - 1)
        elif not self.hidden and tag in ALLOWED and tag not in VOID and tag != "div":
            self.parts.append(f"</{tag}>" + ("</div>" if tag == "table" else ""))

    def handle_data(self, data: str) -> None:
        if self.hidden:
            return
        shown = shorten_number(data.strip())
        if self.parts and self.parts[-1].startswith("<td") and re.fullmatch(r"-?[\d,.]+(e[-+]?\d+)?%?", shown):
            self.parts[-1] = self.parts[-1].replace("<td", '<td class="number"', 1)
        self.parts.append(html.escape(shown if shown != data.strip() else data, quote=False))
