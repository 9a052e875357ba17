"""Pictures that a cell displayed, made safe to stand among others on one page."""

import base64
import binascii
import re
from string import ascii_lowercase

import nh3

from nbkit.pictures import PLATE

ELEMENTS = set(re.findall(r"\w+", """
    svg g path rect circle ellipse line polyline polygon text tspan textPath defs use clipPath mask marker pattern
    linearGradient radialGradient stop symbol title desc image
"""))  # fmt: skip
DROPPED = {"script", "style", "metadata", "foreignObject"}
REFERENCE = re.compile(r"""url\(\s*["']?#([^"')]+)["']?\s*\)""")
PICTURE = re.compile(r"data:image/(png|jpeg);base64,")
ANY_STYLE = re.compile(r"<style[^>]*>\s*\*\s*\{([^{}<>()]*)\}\s*</style>")
LISTS = ("aria-labelledby", "aria-describedby")


def clean_svg(text: str, prefix: str) -> str:
    """Keep what an SVG draws; drop scripts, handlers, styles and what would be fetched; make its ids its own.

    Parameters
    ----------
    text
        An SVG document or element.
    prefix
        Put before every id, so that figures of one page do not meet.

    Returns
    -------
    str
        An element to stand in HTML; empty if `text` is no SVG.

    Examples
    --------
    >>> clean_svg('<svg xmlns="http://www.w3.org/2000/svg"><path id="a" onclick="x()"/><script>y</script></svg>', "f1")
    '<svg><path id="f1-a"></path></svg>'
    """
    element = re.search(r"<svg.*</svg>", text, re.DOTALL)
    drawn = nh3.clean(
        element[0] if element else "",
        tags=ELEMENTS,
        clean_content_tags=DROPPED,
        attributes={},
        generic_attribute_prefixes=set(ascii_lowercase),
        attribute_filter=lambda _, name, value: _clean_attribute(name, value, prefix),
        url_schemes={"data"},
        link_rel=None,
    )
    if style := ANY_STYLE.search(text):  # how matplotlib says how lines join
        drawn = drawn.replace("<svg", f'<svg style="{style[1].strip(" ;")}"', 1)
    return drawn if drawn.startswith("<svg") else ""


def _clean_attribute(name: str, value: str, prefix: str) -> str | None:
    if name == "href":
        return f"#{prefix}-{value[1:]}" if value.startswith("#") else value if PICTURE.match(value) else None
    if name.startswith(("on", "xmlns", "xlink")):
        return None
    if name == "id" or name in LISTS:
        return " ".join(f"{prefix}-{each}" for each in value.split())
    value = REFERENCE.sub(rf"url(#{prefix}-\1)", value.replace(PLATE, "").strip("; "))  # the page has its own ground
    return value if value and not re.search(r"url\((?!#)|@import|\\", value) else None


def embed_image(mime: str, text: str) -> str:
    """Turn the base64 of a raster image into an element; empty if it is not base64."""
    content = "".join(text.split())
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return f'<img src="data:{mime};base64,{content}" alt="">'
