"""The pages of a run beside the front page and the stages: its model card and its lineage."""

import json
from collections.abc import Callable
from dataclasses import asdict
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
    card, title = read_card(folder, overview), f"Model card · {overview.project}"
    fields = [{**asdict(each), "status": each.status} for each in card]
    given = {"o": overview, "card": card, "counted": count_fields(card), "title": title}
    twin = {"run": overview.run, "counted": given["counted"], "fields": fields}
    steps = read_lineage(folder)
    return {
        "card.html": find("card.html.j2").render(given, entries=read_rows(folder, FRAME, "card")),
        "card.md": find("card.md.j2").render(given, line=lambda text: Markdown.line(disarm(text))).lstrip(),
        "card.json": json.dumps(twin, indent=1, ensure_ascii=False),
        "lineage.html": find("lineage.html.j2").render(o=overview, steps=steps, title=f"Lineage · {overview.project}"),
    }
