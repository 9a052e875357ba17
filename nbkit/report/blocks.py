"""An executed notebook as blocks to print: prose, tables, figures, code folded away, and the error that stopped it."""

import html
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mistune

from nbkit.report.clean import clean_html
from nbkit.report.figures import clean_svg, embed_image
from nbkit.report.places import forget_places
from nbkit.stages.notebooks import ERROR_TAG

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
HIDDEN_TAGS = {"remove-cell", "hide", ERROR_TAG}
NEIGHBOURS = re.compile(r"\A(← .*|[^\n]* →)\Z")  # a page has links of its own to the stages beside it
UNDESCRIBED = "A picture without a description"
MARKDOWN = mistune.create_markdown(plugins=["table", "strikethrough"])


PRINTED = 40_000  # characters of what one cell printed, or of one error, that a page shows
SHOWN = 400_000  # characters of one table or text
DRAWN = 2_000_000  # characters of one picture
PAGE = 8_000_000  # characters of a page; no output follows that would pass them


@dataclass(frozen=True)
class Block:
    """One thing to print.

    Attributes
    ----------
    kind
        ``prose``, ``findings``, ``table``, ``figure``, ``text``, ``error`` or ``code``.
    html
        What stands there; for ``code`` the plain source.
    words
        The alternative text of a figure; what a code cell printed.
    caption
        Of a figure or a table on a page.
    rows
        Of a table that is folded away, as it is long.
    """

    kind: str
    html: str
    words: str = ""
    caption: str = ""
    rows: int = 0


def read_blocks(notebook: Path) -> list[Block]:
    """Read the blocks of an executed notebook, in order.

    Parameters
    ----------
    notebook
        An ``.ipynb`` file.

    Returns
    -------
    list of Block
        Without the heading (the page has its own), with scraps left out; the run's folder is ``.``. Of an output that
        is too long for a page, a part, with a word on how much is missing and where it is.
    """
    try:
        content = json.dumps(json.loads(notebook.read_text(encoding="utf-8")), ensure_ascii=False)
        cells = json.loads(forget_places(content, notebook.parent))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Block("error", f"{notebook.name} cannot be read any more: {type(error).__name__}: {error}")]
    blocks: list[Block] = []
    number = 0
    for place, cell in enumerate(cells):
        tags = set(cell.get("metadata", {}).get("tags", []))
        source = "".join(cell["source"])
        if HIDDEN_TAGS & tags or NEIGHBOURS.match(source):
            continue
        if cell["cell_type"] == "markdown":
            prose = render_markdown(re.sub(r"\A\s*# .*\n?", "", source))
            blocks += [Block("prose", prose)] if prose else []
        elif cell["cell_type"] == "code" and source.strip():
            number += "injected-parameters" not in tags
            made = _read_code(cell, source, f"c{place}", f"code cell {number} of {notebook.name}")
            found = "findings" in tags
            blocks += [replace(each, kind="findings") if found and each.kind == "prose" else each for each in made]
    return _fit(blocks, notebook.name)


def _fit(blocks: list[Block], name: str) -> list[Block]:
    """Leave out the blocks that do not fit on a page, and say so where they would stand."""
    kept: list[Block] = []
    room = PAGE
    for block in blocks:
        size = len(block.html) + len(block.words)
        if size <= room:
            kept.append(block)
            room -= size
    missing = sum(len(block.html) + len(block.words) for block in blocks) - (PAGE - room)
    last = [_describe_missing(missing, f"a page would be too long; all of it is in {name}")] if missing else []
    return kept + last


def _describe_missing(count: int, where: str) -> Block:
    return Block("prose", f"<p><strong>{count:,} characters are left out here</strong>: {html.escape(where)}.</p>")


def shorten(text: str, most: int, where: str) -> str:
    r"""Return the beginning and the end of a text that is too long, and in between how much is missing.

    Examples
    --------
    >>> shorten("abcdefgh", 4, "see the notebook")
    'ab\n… 4 characters are left out here: see the notebook …\ngh'
    """
    if len(text) <= most:
        return text
    missing = f"\n… {len(text) - most:,} characters are left out here: {where} …\n"
    return text[: most // 2] + missing + text[len(text) - most // 2 :]


def render_markdown(text: str) -> str:
    """Turn Markdown into clean HTML."""
    return clean_html(str(MARKDOWN(text)))


def _read_code(cell: dict[str, Any], source: str, prefix: str, where: str) -> list[Block]:
    shown, printed = [], []
    for number, output in enumerate(cell.get("outputs", [])):
        kind = output["output_type"]
        if kind == "stream":
            printed.append("".join(output["text"]))
        elif kind == "error":
            traceback = shorten(ANSI.sub("", "\n".join(output["traceback"])), PRINTED, f"see {where}")
            evalue = shorten(ANSI.sub("", output["evalue"]), PRINTED // 10, "see below")
            shown.append(Block("error", f"{output['ename']}: {evalue}", traceback))
        else:
            shown += _read_display(output.get("data", {}), output.get("metadata", {}), f"{prefix}-{number}", where)
    words = shorten(ANSI.sub("", "".join(printed)).strip(), PRINTED, f"see {where}")
    return [Block("code", shorten(source, SHOWN, f"see {where}"), words), *shown]


def _read_display(data: dict[str, Any], metadata: dict[str, Any], prefix: str, where: str) -> list[Block]:
    """Take the richest form that a page can show by itself."""
    if any("scrapbook" in mime for mime in data):
        return []
    plain = _text(data.get("text/plain"))
    for mime in ("image/svg+xml", "image/png", "image/jpeg"):
        content = _text(data.get(mime))
        if len(content) > DRAWN:
            return [_describe_missing(len(content), f"a picture; see {where}")]
        drawn = clean_svg(content, prefix) if mime == "image/svg+xml" else embed_image(mime, content)
        if content and drawn:
            words = metadata.get(mime, {}).get("alt") or (plain if mime == "image/svg+xml" else "")
            return [Block("figure", drawn, str(words).strip() or UNDESCRIBED)]
    for kind, mime, render in (("prose", "text/markdown", render_markdown), ("table", "text/html", clean_html)):
        content = _text(data.get(mime))
        missing = len(content) - SHOWN
        if made := render(content if missing <= 0 else content[:SHOWN].rpartition("\n")[0] or content[:SHOWN]):
            return [Block(kind, made), *([_describe_missing(missing, f"see {where}")] if missing > 0 else [])]
    told = plain and "application/vnd.jupyter.widget-view+json" not in data  # whose words are Python's
    return [Block("text", shorten(plain, PRINTED, f"see {where}"))] if told else []


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")
