"""Figures as files: a drawing with the words that stand for it, as SVG, or as PNG where that is smaller."""

import io
import re
import sys
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

FIGURE_LIMIT = 400_000  # bytes of SVG above which a matplotlib figure is kept as PNG
PNG = b"\x89PNG"
PLATE = "color: #1f2328; background: #ffffff"  # of a drawing that stands alone


@dataclass(frozen=True)
class Picture:
    """A drawn figure with the words that stand for it.

    Attributes
    ----------
    svg
        The drawing; what is text-coloured uses ``currentColor``, so it works on light and dark pages.
    alt
        What a reader who cannot see the picture is told, numbers included.
    title
        The finding, as drawn above the picture.
    """

    svg: str
    alt: str
    title: str = ""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        return {"image/svg+xml": lay_plate(self.svg), "text/plain": self.alt}, {"image/svg+xml": {"alt": self.alt}}


def lay_plate(svg: str) -> str:
    """Give a drawing its own ground and ink, to be seen as a picture where there is no page to take them from.

    Examples
    --------
    >>> lay_plate('<svg width="9"><path/></svg>')
    '<svg style="color: #1f2328; background: #ffffff" width="9"><path/></svg>'
    """
    if not svg.startswith("<svg"):
        return svg
    head, more = svg.split(">", 1)
    if ' style="' in head:
        head = head.replace(' style="', f' style="{PLATE}; ', 1)
    else:
        head = head.replace("<svg", f'<svg style="{PLATE}"', 1)
    return f"{head}>{more}"


def is_figure(value: Any) -> bool:
    """Return whether a value is a `Picture` or a matplotlib figure."""
    drawn = sys.modules.get("matplotlib.figure")
    return isinstance(value, Picture) or (drawn is not None and isinstance(value, drawn.Figure))


def dump_figure(figure: Any) -> bytes:
    """Turn a figure into SVG with its words, or PNG; the same drawing gives the same bytes."""
    if not isinstance(figure, Picture):
        figure = _draw(figure)
    if isinstance(figure, bytes):
        return figure
    words = f"<title>{escape(figure.title)}</title><desc>{escape(figure.alt)}</desc>"
    head, body = re.split(r"(?<=>)", lay_plate(figure.svg[figure.svg.index("<svg") :]), maxsplit=1)
    return f"{head}{words}{body}".encode()


def load_figure(content: bytes) -> Picture | bytes:
    """Undo `dump_figure`; a PNG stays as it is.

    Raises
    ------
    ValueError
        If there is no drawing in it.
    """
    if content.startswith(PNG):
        return content
    svg = content.decode()
    if "<svg" not in svg:
        raise ValueError("there is no drawing in it")
    found = re.search(r"<title>(.*?)</title><desc>(.*?)</desc>", svg, flags=re.DOTALL)
    title, alt = found.groups() if found else ("", "")
    svg = svg.replace(f"{PLATE}; ", "", 1).replace(f' style="{PLATE}"', "", 1)
    return Picture(svg.replace(found.group(0), "", 1) if found else svg, unescape(alt), unescape(title))


def _draw(figure: Any) -> Picture | bytes:
    """Draw a matplotlib figure as SVG, or as PNG where the SVG would be large."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "nbkit", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    if len(buffer.getvalue()) > FIGURE_LIMIT:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()
    title = figure.get_suptitle() or " · ".join(filter(None, (axes.get_title() for axes in figure.axes)))
    return Picture(buffer.getvalue().decode(), alt=title, title=title)
