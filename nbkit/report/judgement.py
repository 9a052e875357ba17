"""What is said of a run: how each criterion came out, the verdict with its reasons, and who has approved it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.lifecycle import DEPLOY, EVALUATE, EVIDENCE, FRAME, MONITOR, REGISTER
from nbkit.pipeline.runs import read_status
from nbkit.record import RunRecord, read_record
from nbkit.registry.verdict import GATE_COLUMNS, REJECT, STOPPED, UNDECIDED, Evidence, Verdict, reach_verdict
from nbkit.report.scraps import list_lacking, read_or, read_rows
from nbkit.report.since import find_earlier, find_threshold, list_loosened, list_redeclared, read_since
from nbkit.wording import describe, format_interval, format_value

if TYPE_CHECKING:
    from nbkit.registry import Registry

SAID = {"worse": "is cheaper than the model", "inconclusive": "cannot be told apart from the model"}
GRAVE = ("retrain", "look", "inconclusive")  # what the monitor may decide but ok, the gravest first


def read_criteria(folder: Path) -> pd.DataFrame:
    """Read how the criteria of a run came out: criterion, today, target, value, interval, verdict, why."""
    rows = []
    for row in read_rows(folder, EVALUATE, "verdicts"):
        ends = row["low"], row["high"]
        today = row.get("today", math.nan)
        like = format_value(today, *ends) if isinstance(today, float) and math.isfinite(today) else ""
        value, interval = format_value(row["value"], *ends), format_interval(*ends)
        rows.append((row["words"], like, row["target"], value, interval, row["verdict"], row["why"]))
    if not rows:
        from nbkit.evaluation.criteria import describe_measure, describe_target

        for row in read_rows(folder, FRAME, "criteria"):
            told = (describe_measure(row["metric"]), "", describe_target(row))
            rows.append((*told, "", "", "not judged yet", ""))
    return pd.DataFrame(rows, columns=["criterion", "today", "target", "value", "interval", "verdict", "why"])


def judge_run(
    folder: Path, record: RunRecord, criteria: pd.DataFrame, since: pd.DataFrame, earlier: Sequence[Path]
) -> Verdict:
    """State whether the model of a run may be used, and why.

    Parameters
    ----------
    folder, record
        Of the run.
    criteria
        From `read_criteria`.
    since
        From `read_since`.
    earlier
        From `find_earlier`.
    """
    rejected = read_approval(folder, record)[1]
    reached = _judge(folder, record, criteria, since, tuple(_describe_loosened(folder, earlier)))
    if not rejected:
        return reached
    return Verdict(REJECT, (rejected, *(reached.reasons if reached.word in (REJECT, STOPPED) else ())))


def _judge(
    folder: Path, record: RunRecord, criteria: pd.DataFrame, since: pd.DataFrame, loosened: tuple[str, ...]
) -> Verdict:
    """Judge what a run says of itself and what the monitor has said since."""
    status = read_status(folder, record)
    if decision := str(read_or(folder, MONITOR, "decision")):
        from nbkit.monitor import describe_reasons  # brings the models' libraries, which other runs need not load

        return Verdict(decision.upper(), tuple(describe_reasons(pd.DataFrame(read_rows(folder, MONITOR, "reasons")))))
    stopped = record.stopped
    if stopped and status == "running":
        return Verdict(UNDECIDED, (f"The run is at work on {stopped.stage}.",))
    evidence = Evidence(
        criteria,
        read_or(folder, REGISTER, "gates", pd.DataFrame(columns=GATE_COLUMNS)),
        read_or(folder, EVALUATE, "group_verdicts", pd.DataFrame(columns=["verdict", "sentence"])),
        tuple(describe_alternatives(folder, "worse")),
        loosened,
        {word: windows for word in GRAVE if (windows := _list_windows(since[since["decision"] == word]))},
        tuple(list_lacking(folder, record, EVIDENCE)),
    )
    reached = reach_verdict(evidence)
    if stopped:
        where = stopped.stage + (f", code cell {stopped.cell}" if stopped.cell else "")
        told = f"The run stopped at {where}: {stopped.message or 'its process ended without a word'}"
        if stopped.status != "refused":
            return Verdict(STOPPED, (told, *(reached.reasons if reached.word == REJECT else ())))
        undecided = reached.word != REJECT and len(evidence.gates)
        return Verdict(UNDECIDED if undecided else REJECT, (told, *(reached.reasons if len(evidence.gates) else ())))
    if status != "passed" or not len(evidence.gates):
        rejected = reached.word == REJECT
        unjudged = (f"The run did not come to the gates, which {REGISTER} judges.",)
        return Verdict(REJECT if rejected else UNDECIDED, reached.reasons if rejected or evidence.lacking else unjudged)
    deployed = str(read_or(folder, DEPLOY, "headline"))
    approved = reached.word not in (REJECT, UNDECIDED) and deployed
    return dataclasses.replace(reached, reasons=(*reached.reasons, deployed)) if approved else reached


def _list_windows(since: pd.DataFrame) -> list[str]:
    """Return windows with what asks for a person there; those with the same as one."""
    parts = since.groupby("found", sort=False)["window"].agg(", ".join)
    return [f"{windows} ({found})" if found else str(windows) for found, windows in parts.items()]


def describe_alternatives(folder: Path, verdict: str) -> list[str]:
    """Describe what deciding otherwise would cost, of the alternatives against which the model has this verdict."""
    rows = read_rows(folder, EVALUATE, "alternatives")
    return [_describe_cost(row) for row in rows if row["verdict"] == verdict and (row["cost_per_row"] or row["model"])]


def _describe_cost(row: Mapping[Any, Any]) -> str:
    note, said = str(row.get("note") or ""), f"{row['alternative']} {SAID[row['verdict']]}"
    if note.endswith("acts at the threshold that costs least"):
        return f"Cost: {note}."
    if pd.isna(row["low"]):
        return f"Cost: {said}{': ' + note if note else ''}."
    ends = row["low"], row["high"]
    costs = f"{format_value(row['cost_per_row'], *ends)} a row against {format_value(row['model'], *ends)}"
    return f"Cost: {said} ({costs}, difference {format_interval(*ends)})."


def _describe_loosened(folder: Path, earlier: Sequence[Path]) -> list[str]:
    """Describe which bounds were loosened after an earlier run on the same rows, and how that run came out."""
    told, (own, other) = [], find_threshold(folder, earlier)
    if other:
        told = [f"A person has set the threshold to {own:g} after these rows had been judged at another in {other}."]
    for what, before, now, run in list_loosened(folder, earlier):
        then = f"{describe(what)} was to be {before} in {run.name} ({_read_word(run)})"
        loosened = f", and is now to be {now}: the bound was loosened after these rows had been judged."
        told.append(then + (loosened if now else "; this criterion was dropped after these rows had been judged."))
    for name, became, run in list_redeclared(folder, earlier):
        since = f"in {run.name} ({_read_word(run)}), after these rows had been judged."
        told.append(f"The test of behaviour {name!r} {became} {since}")
    return told


def _read_word(folder: Path) -> str:
    """Return the word of the verdict on another run."""
    record = read_record(folder)
    if read_approval(folder, record)[1]:
        return REJECT
    loosened = tuple(what for what, *_ in list_loosened(folder, find_earlier(folder)))
    return _judge(folder, record, read_criteria(folder), read_since(folder), loosened).word


def read_approval(folder: Path, record: RunRecord) -> tuple[str, str]:
    """Describe who has approved the version that a run registered, and who has rejected it.

    Parameters
    ----------
    folder, record
        Of the run.

    Returns
    -------
    tuple of str and str
        Who has promoted it, when and why, and what has become of that, or that nobody has; then who has rejected it,
        when and why, empty if nobody has.
    """
    reference = str(read_or(folder, REGISTER, "version", ""))
    if not reference:
        return "", ""
    try:
        from nbkit.registry.events import describe_moves

        events = open_registry(folder, record).history(reference.partition("@")[0])
    except (NbkitError, OSError, ValueError) as error:
        return f"Who approved it cannot be read: {error}", ""
    said, rejected = describe_moves(reference, events.to_dict("records"))
    return "; ".join(said) or f"Nobody has approved {reference} for production{'' if rejected else ' yet'}.", rejected


def open_registry(folder: Path, record: RunRecord) -> "Registry":
    """Open the registry in which a run registered, to read it."""
    from nbkit.registry import Registry

    place = str(record.parameters.get(REGISTER, {}).get("registry", "registry"))
    place = place if "://" in place else str(Path(record.root or folder.parent.parent) / place)
    return Registry(place, create=False)
