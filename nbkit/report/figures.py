"""Pictures that a cell displayed, made safe to stand among others on one page."""

import base64
import binascii
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from nbkit.formats import PLATE

NAMESPACE = "{http://www.w3.org/2000/svg}"
ELEMENTS = set(re.findall(r"\w+", """
    svg g path rect circle ellipse line polyline polygon text tspan textPath defs use clipPath mask marker pattern
    linearGradient radialGradient stop symbol title desc image
"""))  # fmt: skip
REFERENCE = re.compile(r"""url\(\s*["']?#([^"')]+)["']?\s*\)""")
ANY_STYLE = re.compile(r"\s*\*\s*\{([^{}<>]*)\}\s*")
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
    '<svg><path id="f1-a" /></svg>'
    """
    try:
        # the prolog is cut off, and with it every entity that could grow
        root = _copy(ElementTree.fromstring(text[text.index("<svg") :].strip()), prefix)  # noqa: S314
        if root is None or root.tag != "svg":
            return ""
        if style := root.attrib.pop("style", "").replace(PLATE, "").strip("; "):  # the page has its own ground and ink
            root.set("style", style)
        return ElementTree.tostring(root, encoding="unicode")
    except (ElementTree.ParseError, ValueError, RecursionError):
        return ""


def embed_image(mime: str, text: str) -> str:
    """Turn the base64 of a raster image into an element; empty if it is no base64."""
    content = "".join(text.split())
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return f'<img src="data:{mime};base64,{content}" alt="">'


def _copy(source: Element, prefix: str) -> Element | None:
    name = source.tag.removeprefix(NAMESPACE) if isinstance(source.tag, str) else ""
    name = "g" if name == "a" else name
    if name not in ELEMENTS:
        return None
    copy = Element(name, _clean_attributes(source, prefix))
    copy.text, copy.tail = source.text, source.tail
    for child in source:
        style = ANY_STYLE.fullmatch(child.text or "") if child.tag == f"{NAMESPACE}style" else None
        if style and "url(" not in style[1]:  # how matplotlib says how lines join
            copy.set("style", "; ".join(filter(None, (copy.get("style"), style[1].strip(" ;\n")))))
        elif (kept := _copy(child, prefix)) is not None:
            copy.append(kept)
    return copy


def _clean_attributes(source: Element, prefix: str) -> dict[str, str]:
    kept = {}
    for full, value in source.attrib.items():
        name = full.rpartition("}")[2]
        if name.lower().startswith("on") or ":" in name or ("{" in full and name != "href"):
            continue
        if name == "href":
            if value.startswith("#"):
                kept[name] = f"#{prefix}-{value[1:]}"
            elif re.match(r"data:image/(png|jpeg);base64,", value):
                kept[name] = value
        elif name == "id":
            kept[name] = f"{prefix}-{value}"
        elif name in LISTS:
            kept[name] = " ".join(f"{prefix}-{each}" for each in value.split())
        else:
            value = REFERENCE.sub(rf"url(#{prefix}-\1)", value)
            if not re.search(r"url\((?!#)|@import|\\", value):
                kept[name] = value
    return kept
