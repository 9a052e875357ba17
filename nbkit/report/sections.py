"""The page of a stage: its question, what was found, and the evidence in sections with numbered figures and tables."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path

from nbkit.report.blocks import Block, read_blocks
from nbkit.report.readable import count_rows, make_readable

HEADING = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)
CAPTION = re.compile(r"<caption>(.*?)</caption>", re.DOTALL)
FOLDED = 20  # rows from which a table is folded


@dataclass(frozen=True)
class Section:
    """What stands under one heading; quiet if it shows nothing but code."""

    title: str
    anchor: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to see but code."""
        return all(block.kind == "code" for block in self.blocks)


@dataclass(frozen=True)
class StagePage:
    """An executed notebook as a page.

    Attributes
    ----------
    question
        What the stage asks.
    about
        HTML: what it reads and hands over.
    findings
        HTML: what was found, computed by the cell with the tag ``findings``.
    sections
        In the notebook's order.
    """

    question: str
    about: str
    findings: str
    sections: list[Section]


def read_page(notebook: Path) -> StagePage:
    """Read an executed notebook as a page.

    Parameters
    ----------
    notebook
        An ``.ipynb`` file.
    """
    question = about = findings = ""
    sections = [Section("", "")]
    for place, block in enumerate(_number(read_blocks(notebook))):
        if block.kind == "findings":
            findings += block.html
        elif block.kind == "prose" and place == 0:
            first, end, rest = block.html.partition("</p>")
            question, about = f"{first}{end}", rest.strip()
        else:
            for title, part in _split(block):
                if title:
                    sections.append(Section(title, f"s{len(sections)}"))
                sections[-1].blocks.extend(part)
    kept = [each for each in sections if each.blocks or each.title]
    return StagePage(question, about, findings, [each for each in kept if not _is_left(each)])


def _is_left(section: Section) -> bool:
    """Return whether a heading is all that is left of a section, since its findings stand at the top."""
    return section.title == "What we now know" and section.is_quiet


def _split(block: Block) -> list[tuple[str, list[Block]]]:
    """Cut prose at its headings of the second level."""
    if block.kind != "prose":
        return [("", [block])]
    before, *parts = HEADING.split(block.html)
    found = [("", [Block("prose", before.strip())] if before.strip() else [])]
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        found.append((title, [Block("prose", text.strip())] if text.strip() else []))
    return found


def _number(blocks: list[Block]) -> list[Block]:
    """Give figures and tables their numbers and captions: a table's own, else the heading under which it stands."""
    counts, heading, numbered = {"figure": 0, "table": 0}, "", []
    for block in blocks:
        if block.kind == "prose" and (found := HEADING.findall(block.html)):
            heading = found[-1]
        if block.kind in counts:
            counts[block.kind] += 1
            caption, html, rows = "", block.html, 0
            if block.kind == "table":
                own = CAPTION.search(html)
                caption, html = own[1] if own else heading, make_readable(CAPTION.sub("", html))
                rows = count_rows(html)
            label = f"{block.kind.capitalize()} {counts[block.kind]}"
            title = f"{label}. {caption}" if caption else label
            block = dataclasses.replace(block, html=html, caption=title, rows=rows if rows > FOLDED else 0)
        numbered.append(block)
    return numbered
