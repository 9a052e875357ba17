"""The model card: what the run filled in, what people wrote in 01, and what is still missing, counted."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jinja2

from nbkit.lifecycle import FRAME
from nbkit.record import read_record
from nbkit.report.facts import render_facts
from nbkit.report.overview import Overview
from nbkit.report.scraps import read_rows
from nbkit.wording import Markdown, disarm, format_count


@dataclass
class CardField:
    """One field of a model card.

    Attributes
    ----------
    section, name
        Of Mitchell et al. 2019, and what the field is called.
    annex
        The points of Annex IV that it speaks to.
    asked
        Which parameter of 01 a person writes it in; empty if the run fills it.
    said
        Sentences; none if it is missing.
    """

    section: str
    name: str
    annex: str
    asked: str
    said: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Where it comes from, or where it will have to."""
        if self.said:
            return "written by a person" if self.asked else "from the run"
        return "to be written" if self.asked else "not known yet"


def read_card(folder: Path, overview: Overview) -> list[CardField]:
    """Read the card of a run's model.

    Parameters
    ----------
    folder
        The run.
    overview
        Its front page.

    References
    ----------
    Mitchell, M. et al. (2019). Model Cards for Model Reporting. FAT* '19. Regulation (EU) 2024/1689, Annex IV.
    """
    made = ", ".join(f"{name} {number}" for name, number in read_record(folder).surroundings.versions.items())
    written = {f"card.{row['entry']}": row["text"] for row in read_rows(folder, FRAME, "card")}
    card: list[CardField] = []
    for line in render_facts("card.txt.j2", folder, o=overview, packages=made):
        if line.startswith("# "):
            section, name, annex, asked = (part.strip() for part in line[2:].split("|"))
            card.append(CardField(section, name, annex, asked, list(filter(None, [written.get(asked)]))))
        elif line.startswith("- "):
            card[-1].said.append(line[2:])
    return card


def count_fields(card: Sequence[CardField]) -> str:
    """Count what is filled and what is missing, as a sentence.

    Examples
    --------
    >>> field = CardField("Model details", "Licence", "1(d)", "card.licence")
    >>> count_fields([field, CardField("Metrics", "Threshold", "2(b)", "", ["0.24"])])
    '1 of 2 fields is filled; 1 needs a person.'
    """
    people, run = ([each for each in card if not each.said and bool(each.asked) == asked] for asked in (True, False))
    filled = len(card) - len(people) - len(run)
    parts = [f"{filled} of {format_count(len(card), 'field')} {'is' if filled == 1 else 'are'} filled"]
    parts += [f"{len(people)} {'needs' if len(people) == 1 else 'need'} a person"] if people else []
    parts += [f"{len(run)} {'is' if len(run) == 1 else 'are'} not known yet"] if run else []
    return "; ".join(parts) + "."


def render_card(folder: Path, overview: Overview, find: Callable[[str], jinja2.Template]) -> dict[str, str]:
    """Render the model card of a run for people, for a repository and for machines, as file name to content.

    Parameters
    ----------
    folder, overview
        As for `read_card`.
    find
        Returns a template of this folder by its name.
    """
    card = read_card(folder, overview)
    fields = [{**asdict(each), "status": each.status} for each in card]
    twin = {"run": overview.run, "counted": count_fields(card), "fields": fields}
    given = {**twin, "o": overview, "title": f"Model card · {overview.project}"}
    return {
        "card.html": find("card.html.j2").render(given, entries=read_rows(folder, FRAME, "card")),
        "card.md": find("card.md.j2").render(given, line=lambda text: Markdown.line(disarm(text))).lstrip(),
        "card.json": json.dumps(twin, indent=1, ensure_ascii=False),
    }
