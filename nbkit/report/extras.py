"""The pages of a run beside the front page and the stages: its model card and its lineage."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nbkit.lifecycle import FRAME
from nbkit.report.card import UNWRITTEN, count_fields, read_card, write_markdown
from nbkit.report.lineage import read_lineage
from nbkit.report.overview import Overview
from nbkit.report.scraps import read_rows

Find = Callable[[str], Any]  # from the name of a template to the template


def render_extras(folder: Path, overview: Overview, find: Find) -> dict[str, str]:
    """Render the model card and the lineage of a run, file name to content; none if 01 has not run."""
    if not (folder / f"{FRAME}.ipynb").is_file():
        return {}
    card = read_card(folder, overview)
    sections: dict[str, list[Any]] = {}
    for field in card:
        sections.setdefault(field.section, []).append(field)
    counted, missing = count_fields(card), [field.name for field in card if field.status == UNWRITTEN]
    required = [row["entry"] for row in read_rows(folder, FRAME, "card") if row["required"]]
    plain = {"run": overview.run, "counted": counted, "fields": [asdict(field) for field in card]}
    return {
        "card.html": find("card.html.j2").render(
            o=overview, sections=sections, counted=counted, whole=all(field.said for field in card), unwritten=missing,
            required=required, title=f"Model card · {overview.project}",
        ),
        "card.json": json.dumps(plain, indent=1, ensure_ascii=False) + "\n",
        "card.md": write_markdown(card, f"Model card of {overview.project}"),
        "lineage.html": find("lineage.html.j2").render(
            o=overview, steps=read_lineage(folder), title=f"Lineage · {overview.project}"
        ),
    }  # fmt: skip
