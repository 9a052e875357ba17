"""What was found in a table becomes the files of a project: commented params, and a contract."""

import dataclasses
import io
import textwrap
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from nbkit.data.contract import Contract, infer_contract
from nbkit.data.delimited import quote_name
from nbkit.data.inspect import SUSPECT, Inspection, few_valued

BETTER = {"roc_auc": ">", "log_loss": "<", "mae": "<"}
WIDTH = 110
COMMENTS = 24  # the column in which a comment beside a value begins
UNCLEAR = ("yes", "no", "y", "n", "on", "off")  # words that older YAML readers take for true and false
FAIRNESS = """, and with `protected`
rate_ratio: ">= 0.8" (fairness: the least favoured group's rate as a share of the most favoured group's)"""
THRESHOLD = """;
a rule with a threshold ("three calls or more") needs a column of its own, made in the query: SELECT *,
support_calls >= 3 AS often FROM data; else nbkit takes the usual outcome for each level of the column, and picks the
threshold itself. The contract then needs a line for that column, too"""
MANY = 40_000  # rows from which the search looks at a sample


class _Representer(RoundTripRepresenter):
    """Writes nothing as null."""


_Representer.add_representer(type(None), lambda self, data: self.represent_scalar("tag:yaml.org,2002:null", "null"))
SECTIONS = {
    "shared": "what every stage knows",
    "01_frame": "what it is for; the lines to fill in are read by people, the criteria also by the gates",
    "02_ingest": "how rows are set apart: to learn from, to choose with, to judge by, and windows for the monitor",
    "03_validate": "what the table must be like",
    "05_features": "what the model sees",
    "06_train": "how models are chosen",
    "07_evaluate": "where to look for weak spots",
}
WORDS = {
    "positive": "the value that counts as yes",
    "keys": "columns that name a row",
    "query": "SQL over the sources (DuckDB)",
    "objective": "fill in: what is to become better, in one sentence",
    "decision": "fill in: what is done differently because of a prediction",
    "owner": "fill in: who takes that decision",
    "hypotheses": """\
fill in: what could have ended the project before a model is built, and what came of it; two examples:
hypotheses:
  - {claim: "A rule of thumb is good enough", verdict: rejected, because: "It misses every second case."}
  - {claim: "What tells the outcome is known in time", verdict: kept, because: "It is on file a day before."}""",
    "rule": "fill in: columns of the rule in use today",
    "rule_in_words": "fill in: the same rule as its users say it",
    "criteria": """\
what a model must reach, a metric's name to a demand; without a rule it is measured against one answer for all;
also slice_gap (how far predictions may be off in the worst slice)""",
    "nonfunctional": "limits that 10 measures, such as {latency_p95_ms: 250, throughput_rps: 20}",
    "protected": "columns whose groups must be treated alike",
    "rows": "0 = all; fewer for a quick trial",
    "lead": "how long before the event the prediction is due, such as 2h",
    "sample": "the search looks at so many rows; the chosen settings are fitted on all of train",
}


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
    sections = {
        "shared": _propose_shared(found, name, data),
        "01_frame": _propose_frame(found),
        "02_ingest": {"rows": 0, "split": found.split},
        "03_validate": {"contract": f"params/{name}.contract.yaml"},
        "05_features": {"lead": "", "features": found.features},
        "06_train": {"metric": found.metric, **({"sample": MANY // 2} if len(found.table) > MANY else {})},
        "07_evaluate": {"slice_by": found.slice_by, "min_rows": min(100, max(10, len(found.table) // 40))},
    }
    hints = {**WORDS, "rule": WORDS["rule"] + _hint_at_rule(found), "costs": _hint_at_costs(found.task)}
    if found.task == "binary":
        hints["criteria"] += FAIRNESS
    params = CommentedMap((section, _to_yaml(values, hints)) for section, values in sections.items())
    for section in sections:
        params.yaml_set_comment_before_after_key(section, before=f"\n{SECTIONS[section]}")
    out, yaml = io.StringIO(), YAML()
    yaml.Representer = _Representer
    yaml.width = WIDTH
    yaml.allow_unicode = True
    yaml.dump(params, out)
    text = out.getvalue()
    return _head(found, name) + "\n".join(line.rstrip().removesuffix("#") for line in text.splitlines()) + "\n"


def propose_contract(inspection: Inspection) -> Contract:
    """Propose a contract for a table: `infer_contract`, with what is too good to be true known only afterwards.

    Parameters
    ----------
    inspection
        What was found.
    """
    found = inspection
    contract = infer_contract(found.table, target=found.target, time=found.time, keys=found.keys)
    suspects = set(found.drop.loc[found.drop["kind"] == SUSPECT, "column"])
    columns = tuple(
        dataclasses.replace(rule, available_at="after") if rule.name in suspects else rule for rule in contract.columns
    )
    least = max(1, min(10, len(found.table) // 50))  # a window of the monitor may be small
    return dataclasses.replace(contract, columns=columns, min_rows=least)


def _head(found: Inspection, name: str) -> str:
    what = f"predict {_print(found.target)} ({found.task})"
    lines = [f"params/{name}.yaml: {what}. Proposed by `nbkit new`, for you to edit."]
    for note in found.notes:
        lines += textwrap.wrap(_print(note), WIDTH, initial_indent="- ", subsequent_indent="  ")
    return "".join(f"# {line}\n" for line in lines)


def _propose_shared(found: Inspection, name: str, data: str | dict[str, str]) -> dict[str, Any]:
    where = f" WHERE {quote_name(found.target)} IS NOT NULL" if found.unlabelled else ""
    rows = f"SELECT * FROM data{where}"  # noqa: S608
    if found.distinct:
        rows = _keep_first(rows) if found.split["by"] == "position" else rows.replace("*", "DISTINCT *", 1)
    query = rows if where or found.distinct else ""
    roles = {role: getattr(found, role) for role in ("target", "task", "positive", "time", "group", "keys")}
    return {"name": name, **roles, "seed": 42, "sources": {"data": data}, "query": query}


def _keep_first(rows: str) -> str:
    """Return a query that keeps the first of equal rows, and the order of the file."""
    numbered = f"SELECT *, row_number() OVER () AS place FROM ({rows})"  # noqa: S608
    first = f"SELECT * EXCLUDE (place), min(place) AS place FROM ({numbered}) GROUP BY ALL"  # noqa: S608
    return f"SELECT * EXCLUDE (place) FROM ({first}) ORDER BY place"  # noqa: S608


def _propose_frame(found: Inspection) -> dict[str, Any]:
    return {
        "objective": "",
        "decision": "",
        "owner": "",
        "hypotheses": [],
        "rule": [],
        "rule_in_words": "",
        "criteria": {found.metric: DoubleQuotedScalarString(f"{BETTER[found.metric]} rule")},
        "costs": {},
        "nonfunctional": {},
        "protected": found.protected,
    }


def _hint_at_rule(found: Inspection) -> str:
    few = few_valued(found.table, found.features)
    such = f", such as [{_print(few[-1])}]: the usual outcome for each" if few else ""
    return f"{such}{THRESHOLD}"


def _print(text: str) -> str:
    """Write a text on one line of a comment."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _hint_at_costs(task: str) -> str:
    shown = "{over: 1, under: 3}" if task == "regression" else "{false_positive: 1, false_negative: 5}"
    return f"fill in: what each error costs, such as {shown}" if task != "multiclass" else "of each error"


def _to_yaml(values: dict[str, Any], hints: dict[str, str]) -> CommentedMap:
    made = CommentedMap((key, _plain(value)) for key, value in values.items())
    for key, value in values.items():
        if key in hints and isinstance(value, dict | list):
            made.yaml_set_comment_before_after_key(key, before=hints[key], indent=2)
        elif key in hints and value is not None:
            made.yaml_add_eol_comment(hints[key], key, column=COMMENTS)
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        made = CommentedMap((key, _plain(inner)) for key, inner in value.items())
        if all(not isinstance(inner, dict | list) for inner in value.values()) and len(str(value)) < WIDTH:
            made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        seq = CommentedSeq(_plain(item) for item in value)
        seq.fa.set_flow_style()
        return seq
    unclear = isinstance(value, str) and (value.casefold() in UNCLEAR or not value.isprintable())
    return DoubleQuotedScalarString(value) if unclear else value
