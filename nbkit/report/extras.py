"""The pages of a run beside the front page and the stages: its model card and its lineage."""

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import jinja2

from nbkit.lifecycle import FRAME
from nbkit.report.card import count_fields, read_card
from nbkit.report.lineage import read_lineage
from nbkit.report.overview import Overview
from nbkit.report.scraps import read_rows
from nbkit.wording import Markdown, disarm


def render_extras(folder: Path, overview: Overview, find: Callable[[str], jinja2.Template]) -> dict[str, str]:
    """Render the model card and the lineage of a run, as file name to content; none if 01 has not run.

    Parameters
    ----------
    folder
        The run.
    overview
        Its front page.
    find
        Returns a template of this folder by its name.
    """
    if not (folder / f"{FRAME}.ipynb").is_file():
        return {}
    card = read_card(folder, overview, find("card.txt.j2"))
    counted, sections = count_fields(card), {name: list(each) for name, each in groupby(card, lambda one: one.section)}
    fields = [{**asdict(each), "status": each.status} for each in card]
    required = [row["entry"].replace("_", " ") for row in read_rows(folder, FRAME, "card") if row["required"]]
    given = {"o": overview, "sections": sections, "counted": counted, "line": lambda text: Markdown.line(disarm(text))}
    return {
        "card.html": find("card.html.j2").render(given, required=required, title=f"Model card · {overview.project}"),
        "card.md": find("card.md.j2").render(given).lstrip(),
        "card.json": json.dumps(
            {"run": overview.run, "counted": counted, "fields": fields}, indent=1, ensure_ascii=False
        ),
        "lineage.html": find("lineage.html.j2").render(
            o=overview, steps=read_lineage(folder), title=f"Lineage · {overview.project}"
        ),
    }
