"""HTML that a cell displayed, made safe and accessible: allowed tags only, each closed, tables with scopes."""

import re

import nh3

ALLOWED = set(re.findall(r"\w+", """
    table thead tbody tfoot tr th td caption p b i em strong code pre ul ol li br hr span sub sup h1 h2 h3 h4 h5 h6
    blockquote dl dt dd del a
"""))  # fmt: skip
DROPPED = {"script", "style", "head", "title", "iframe", "object", "template", "svg", "math", "noscript", "textarea"}
KEPT = {"th": {"colspan", "rowspan"}, "td": {"colspan", "rowspan"}, "a": {"href"}}
FRAME = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'
HEAD = re.compile(r"<thead>.*?</thead>", re.DOTALL)
HEADER = re.compile(r"<th(?=[ >])(?! scope)")
EMPTY_HEAD = re.compile(r"<thead>(\s|</?tr>|<th[^>]*>\s*</th>)*</thead>")
NUMBER = re.compile(r"<td(?=[^>]*>\s*([-+]?[\d,.]+(e[-+]?\d+)?\s?%?|–)\s*</td>)")
CLEANER = nh3.Cleaner(
    tags=ALLOWED,
    clean_content_tags=DROPPED,
    attributes=KEPT,
    attribute_filter=lambda tag, _, value: value if tag != "a" or value.startswith("#") else None,
    link_rel=None,
)


def clean_html(text: str) -> str:
    """Keep the text and the structure of HTML, drop scripts, styles, pictures from elsewhere and unknown tags.

    Parameters
    ----------
    text
        HTML as a cell displayed it, such as a DataFrame's.

    Returns
    -------
    str
        HTML in which every tag is closed, header cells have a scope, table cells that hold numbers are marked, and
        every table stands in a frame that scrolls sideways and takes the keyboard.

    Examples
    --------
    >>> clean_html("<b onclick='x()'>0.5</b><script>alert(1)</script>")
    '<b>0.5</b>'
    """
    clean = re.sub(r"(</?)h1>", r"\1h2>", CLEANER.clean(text))
    clean = HEAD.sub(lambda head: HEADER.sub('<th scope="col"', head[0]), EMPTY_HEAD.sub("", clean))
    clean = NUMBER.sub('<td class="number"', HEADER.sub('<th scope="row"', clean))
    return clean.replace("<table>", FRAME).replace("</table>", "</table></div>").strip()
