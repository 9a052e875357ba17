"""What was found in a table becomes the files of a project: params from a template, and a contract."""

import dataclasses
import json
import textwrap
from pathlib import Path
from string import Template

from nbkit.contract import Contract
from nbkit.data.contract import infer_contract
from nbkit.data.contract_file import spell_value
from nbkit.data.delimited import quote_name
from nbkit.features.inspect import SUSPECT, Inspection, few_valued

TEMPLATE = Path(__file__).with_name("new_params.yaml")
BLANK = Path(__file__).with_name("new_blank.json")  # what it says of a table that nobody has looked at
BETTER = {"roc_auc": ">", "log_loss": "<", "mae": "<"}
COSTS = {
    "binary": ", such as {false_positive: 1, false_negative: 5}",
    "regression": ", such as {over: 1, under: 3}",
    "multiclass": "",
}
FAIRNESS = """, and with `protected`
  # rate_ratio: ">= 0.8" (fairness: the least favoured group's rate as a share of the most favoured group's)"""
SAMPLE = "\n  sample: 20000  # the search looks at so many rows; the chosen settings are fitted on all of train"
MANY = 40_000  # rows from which the search looks at a sample
WIDTH = 110


def propose_params(inspection: Inspection, *, name: str, data: str | dict[str, str]) -> str:
    """Write the params file of a new project.

    Parameters
    ----------
    inspection
        What was found.
    name
        Of the project.
    data
        The location of the table as the project will read it, or its source's spec.

    Returns
    -------
    str
        Commented YAML.
    """
    found = inspection
    problem = found.problem
    query = f"SELECT * FROM data WHERE {quote_name(problem.target)} IS NOT NULL"  # noqa: S608
    few = few_valued(found.table, found.features)
    roles = ("target", "task", "positive", "time", "group", "keys")
    made = {role: spell_value(getattr(problem, role)) for role in roles}
    made |= {each: spell_value(getattr(found, each)) for each in ("split", "protected", "slice_by")}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        made,
        head=_head(found, name),
        name=spell_value(name),
        contract=spell_value(f"params/{name}.contract.yaml"),
        data=spell_value(data),
        query=spell_value(query if found.unlabelled else ""),
        such=f", such as [{_print(few[-1])}]" if few else "",
        fairness=FAIRNESS if problem.task == "binary" else "",
        metric=problem.metric,
        better=BETTER[problem.metric],
        costs=COSTS[problem.task],
        features="\n  ".join(f"{kind}: {spell_value(names)}" for kind, names in found.features.items()),
        sample=SAMPLE if len(found.table) > MANY else "",
        min_rows=min(100, max(10, len(found.table) // 40)),
    )


def blank_params(name: str) -> str:
    """Write the params file of a project whose table nobody has looked at: all is to be filled in.

    Parameters
    ----------
    name
        Of the project.

    Returns
    -------
    str
        Commented YAML.
    """
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        json.loads(BLANK.read_text(encoding="utf-8")),
        head=f"# params/{name}.yaml: what a run of this project needs to know. Begin with what is marked: fill in.",
        name=spell_value(name),
        contract=spell_value(f"params/{name}.contract.yaml"),
    )


def propose_contract(inspection: Inspection) -> Contract:
    """Propose a contract for a table: `infer_contract`, with what is suspected of coming later known only afterwards.

    Parameters
    ----------
    inspection
        What was found.
    """
    found = inspection
    contract = infer_contract(found.table, found.problem)
    suspects = set(found.drop.loc[found.drop["kind"] == SUSPECT, "column"])
    known = ["after" if rule.name in suspects else rule.available_at for rule in contract.columns]
    pairs = zip(contract.columns, known, strict=True)
    columns = tuple(dataclasses.replace(rule, available_at=when) for rule, when in pairs)
    least = max(1, min(10, len(found.table) // 50))  # a window of the monitor may be small
    return dataclasses.replace(contract, columns=columns, min_rows=least)


def _head(found: Inspection, name: str) -> str:
    what = f"predict {_print(found.problem.target)} ({found.problem.task})"
    lines = [f"params/{name}.yaml: {what}. Proposed by `nbkit new`, for you to edit."]
    for note in found.notes:
        lines += textwrap.wrap(_print(note), WIDTH, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(f"# {line}" for line in lines)


def _print(text: str) -> str:
    """Write a text on one line of a comment."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
