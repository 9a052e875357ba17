"""The model card: what the run filled in, what people wrote in 01, and what is still missing, counted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbkit.lifecycle import EVALUATE, EXPLAIN, FEATURES, FRAME, INGEST, REGISTER, TRAIN
from nbkit.record import read_record
from nbkit.report.judgement import format_value
from nbkit.report.overview import Overview
from nbkit.report.scraps import read_or, read_rows
from nbkit.wording import Markdown, disarm, format_count, format_estimate

RUN, PERSON, UNWRITTEN, UNREACHED = "from the run", "written by a person", "to be written", "not known yet"
FIELDS = (  # section of Mitchell et al. 2019, field, points of Annex IV of the EU AI Act, entry of 01's `card`
    ("Model details", "Name and version", "1(a), 1(c)", ""),
    ("Model details", "Kind of model", "2(a), 2(b)", ""),
    ("Model details", "Licence", "1(d)", "licence"),
    ("Model details", "Contact", "1(a)", "contact"),
    ("Intended use", "Purpose", "1(a)", "01"),
    ("Intended use", "Intended users", "1(h)", "intended_users"),
    ("Intended use", "Out of scope", "1(h), 3", "out_of_scope"),
    ("Factors", "Groups that are compared", "2(g), 3", "01"),
    ("Metrics", "What counts as good enough", "2(g), 4", "01"),
    ("Metrics", "From a prediction to a decision", "2(b)", ""),
    ("Evaluation data", "Rows it was judged on", "2(g)", ""),
    ("Training data", "Sources and rows", "2(d)", ""),
    ("Training data", "What was left out", "2(d)", ""),
    ("Quantitative analyses", "Results", "2(g), 3", ""),
    ("Quantitative analyses", "Results by group", "2(g), 3", ""),
    ("Quantitative analyses", "What drives a prediction", "2(b)", ""),
    ("Ethical considerations", "Ethical considerations", "3, 5", "ethical_considerations"),
    ("Caveats and recommendations", "Known risks and limits", "3, 5", ""),
    ("Caveats and recommendations", "Human oversight and fallback", "2(e), 3", "human_oversight"),
    ("Caveats and recommendations", "Monitoring", "9", ""),
    ("Caveats and recommendations", "Approval and changes", "6", ""),
)


@dataclass(frozen=True)
class CardField:
    """One field of a model card.

    Attributes
    ----------
    section, name
        Of Mitchell et al. 2019, and what the field is called.
    annex
        The points of Annex IV that it speaks to.
    status
        `RUN`, `PERSON`, `UNWRITTEN` (a person has to) or `UNREACHED` (the run did not come to it).
    said
        Sentences.
    asked
        Where a person writes it; empty if the run fills it.
    """

    section: str
    name: str
    annex: str
    status: str
    said: tuple[str, ...]
    asked: str


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
    known = _read_facts(folder, overview)
    written = {row["entry"]: str(row["text"]) for row in read_rows(folder, FRAME, "card")}
    fields = []
    for section, name, annex, entry in FIELDS:
        said = tuple(filter(None, known.get(name, [written.get(entry, "")])))
        status = (PERSON if entry else RUN) if said else (UNWRITTEN if entry else UNREACHED)
        where = {"": "", "01": f"the parameters of {FRAME}"}.get(entry, f"{FRAME}.card.{entry}")
        fields.append(CardField(section, name, annex, status, said, where))
    return fields


def _read_facts(folder: Path, overview: Overview) -> dict[str, list[str]]:
    """Return what the run tells, field to sentences; empty where it did not come to it."""
    version, digest = (str(read_or(folder, REGISTER, name)) for name in ("version", "digest"))
    versions = ", ".join(f"{name} {number}" for name, number in read_record(folder).surroundings.versions.items())
    splits = {row["split"]: row for row in read_rows(folder, INGEST, "splits")}
    refused = read_rows(folder, FEATURES, "refused")
    drivers = read_rows(folder, EXPLAIN, "importance")[:5]
    sentences = [row["sentence"] for row in read_rows(folder, EVALUATE, "group_verdicts")]
    stated = [overview.objective, overview.decision, overview.owner and f"Who decides: {overview.owner}."]
    named = version and f"{version}, digest {digest[:16]}, trained on {overview.started[:10]} by the run {folder.name}."
    meanings = {row["feature"]: row["description"] for row in read_rows(folder, FEATURES, "catalogue")}
    left = [
        f"{format_count(len(refused), 'column')} known only after the prediction is due: {_list(refused, 'column')}."
    ]
    return {
        "Name and version": [named, named and f"Made with {versions}."],
        "Kind of model": [str(read_or(folder, REGISTER, "algorithm")), str(read_or(folder, TRAIN, "headline"))],
        "Purpose": stated if overview.objective and overview.decision else [],
        "Groups that are compared": [f"{name}" for name in read_or(folder, FRAME, "protected", [])],
        "What counts as good enough": [f"{words}." for words in overview.criteria["criterion"]],
        "From a prediction to a decision": _describe_threshold(read_or(folder, EVALUATE, "threshold", None)),
        "Rows it was judged on": [_describe_split(splits.get("test"), "judged"), overview.judged if splits else ""],
        "Sources and rows": [
            *(
                f"{row['name']}: {row['location']}, {_count(row['rows'])}"
                for row in read_rows(folder, INGEST, "sources")
            ),
            *(_describe_split(splits.get(name), word) for name, word in (("train", "learned"), ("valid", "chosen"))),
        ],
        "What was left out": (left if refused else ["No column was refused."]) if meanings else [],
        "Results": [
            f"{row['metric']}: {format_estimate(row['value'], row['low'], row['high'])}"
            for row in read_rows(folder, EVALUATE, "scores")
        ],
        "Results by group": [f"{each}." for each in sentences],
        "What drives a prediction": [
            f"{_name_feature(row['feature'], meanings)}: {row['share']:.0%} of the influence on a prediction"
            for row in drivers
        ],
        "Known risks and limits": overview.risks,
        "Monitoring": [f"{row['window']}: {row['headline']}" for row in overview.since.to_dict("records")],
        "Approval and changes": [overview.approval],
    }


def _describe_split(row: dict[Any, Any] | None, word: str) -> str:
    """Describe the rows of one split."""
    if not row:
        return ""
    period = f", from {row['first']} to {row['last']}" if str(row["first"] or "") not in ("", "nan", "NaT") else ""
    ends = {"judged": "set apart for the verdict", "learned": "to learn from", "chosen": "to choose with"}
    return f"{_count(row['rows'])} {ends[word]}{period}."


def _describe_threshold(threshold: float | None) -> list[str]:
    if threshold is None:
        return []
    if math.isnan(threshold):
        return ["The prediction is used as it is: no threshold is needed."]
    return [f"Act from a probability of {format_value(threshold)} on, the cheapest choice on the validation rows."]


def _count(rows: float) -> str:
    return format_count(rows, "row")


def _list(rows: Sequence[dict[Any, Any]], name: str) -> str:
    return ", ".join(str(row[name]) for row in rows)


def _name_feature(name: str, meanings: dict[str, Any]) -> str:
    return f"{meanings[name]} ({name})" if meanings.get(name) else name


def count_fields(card: Sequence[CardField]) -> str:
    """Count what is filled and what is missing, as a sentence."""
    missing = {status: sum(field.status == status for field in card) for status in (UNWRITTEN, UNREACHED)}
    said = [f"{len(card) - sum(missing.values())} of {len(card)} fields are filled"]
    if number := missing[UNWRITTEN]:
        said.append(f"{number} {'needs' if number == 1 else 'need'} a person")
    if number := missing[UNREACHED]:
        said.append(f"{number} {'is' if number == 1 else 'are'} not known yet")
    return "; ".join(said) + "."


def write_markdown(card: Sequence[CardField], title: str) -> str:
    """Write a card as Markdown."""
    lines, section = [f"# {Markdown.line(disarm(title))}", "", count_fields(card)], ""
    for field in card:
        if field.section != section:
            section = field.section
            lines += ["", f"## {section}"]
        lines += ["", f"### {field.name} ({field.status}; Annex IV, {field.annex})", ""]
        lines += [f"- {Markdown.line(disarm(each))}" for each in field.said] or [f"- **{_explain(field)}**"]
    return "\n".join(lines) + "\n"


def _explain(field: CardField) -> str:
    return f"To be written in {field.asked}." if field.asked else "The run did not come to this."
