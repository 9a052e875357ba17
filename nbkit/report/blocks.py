"""An executed notebook as blocks to print: prose, tables, figures, code folded away, and the error that stopped it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mistune

from nbkit.report.clean import clean_html
from nbkit.report.figures import clean_svg, embed_image

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
ERROR_TAG = "papermill-error-cell-tag"
HIDDEN_TAGS = {"remove-cell", "hide", ERROR_TAG}
UNDESCRIBED = "A picture without a description"
MARKDOWN = mistune.create_markdown(plugins=["table", "strikethrough"])


@dataclass(frozen=True)
class Block:
    """One thing to print.

    Attributes
    ----------
    kind
        ``prose``, ``table``, ``figure``, ``text``, ``error`` or ``code``.
    html
        What stands there; for ``code`` the plain source.
    words
        The alternative text of a figure; what a code cell printed.
    """

    kind: str
    html: str
    words: str = ""


def read_blocks(notebook: Path) -> list[Block]:
    """Read the blocks of an executed notebook, in order.

    Parameters
    ----------
    notebook
        An ``.ipynb`` file.

    Returns
    -------
    list of Block
        Without the heading (the page has its own), with scraps left out; the run's folder is ``.``.
    """
    try:
        cells = _forget_folder(json.loads(notebook.read_text(encoding="utf-8")), notebook.resolve().parent)["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Block("error", f"{notebook.name} cannot be read any more: {type(error).__name__}: {error}")]
    blocks: list[Block] = []
    for place, cell in enumerate(cells):
        if HIDDEN_TAGS & set(cell.get("metadata", {}).get("tags", [])):
            continue
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            prose = render_markdown(re.sub(r"\A\s*# .*\n?", "", source))
            blocks += [Block("prose", prose)] if prose else []
        elif cell["cell_type"] == "code" and source.strip():
            blocks += _read_code(cell, source, f"c{place}")
    return blocks


def _forget_folder(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Put ``.`` for the folder of the run, which tells a reader elsewhere nothing but how this machine is laid out."""
    path, text = (json.dumps(each, ensure_ascii=False) for each in (str(folder), content))
    forgotten: dict[str, Any] = json.loads(text.replace(path[1:-1], "."))
    return forgotten


def render_markdown(text: str) -> str:
    """Turn Markdown into clean HTML."""
    return clean_html(str(MARKDOWN(text)))


def _read_code(cell: dict[str, Any], source: str, prefix: str) -> list[Block]:
    shown, printed = [], []
    for number, output in enumerate(cell.get("outputs", [])):
        kind = output["output_type"]
        if kind == "stream":
            printed.append("".join(output["text"]))
        elif kind == "error":
            traceback = ANSI.sub("", "\n".join(output["traceback"]))
            shown.append(Block("error", f"{output['ename']}: {ANSI.sub('', output['evalue'])}", traceback))
        else:
            shown += _read_display(output.get("data", {}), output.get("metadata", {}), f"{prefix}-{number}")
    return [Block("code", source, ANSI.sub("", "".join(printed)).strip()), *shown]


def _read_display(data: dict[str, Any], metadata: dict[str, Any], prefix: str) -> list[Block]:
    """Take the richest form that a page can show by itself."""
    if any("scrapbook" in mime for mime in data):
        return []
    plain = _text(data.get("text/plain"))
    for mime in ("image/svg+xml", "image/png", "image/jpeg"):
        content = _text(data.get(mime))
        drawn = clean_svg(content, prefix) if mime == "image/svg+xml" else embed_image(mime, content)
        if content and drawn:
            words = metadata.get(mime, {}).get("alt") or (plain if mime == "image/svg+xml" else "")
            return [Block("figure", drawn, str(words).strip() or UNDESCRIBED)]
    if prose := render_markdown(_text(data.get("text/markdown"))):
        return [Block("prose", prose)]
    if table := clean_html(_text(data.get("text/html"))):
        return [Block("table", table)]
    return [Block("text", plain)] if plain else []


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")
