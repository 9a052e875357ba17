"""What the front page of a report says, as plain tables read from a run."""

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.pipeline.runs import read_status
from nbkit.record import RunRecord, read_record
from nbkit.registry.verdict import (
    APPROVE,
    CONDITIONS,
    GATE_COLUMNS,
    REJECT,
    STOPPED,
    UNDECIDED,
    Evidence,
    Verdict,
    reach_verdict,
)
from nbkit.report.approval import read_approval
from nbkit.report.flow import list_edges, read_run_stages
from nbkit.report.since import find_earlier, list_loosened, read_or, read_since, say_criteria
from nbkit.stages.notebooks import Stage
from nbkit.wording import say_count

ABSENT = "not part of this run"
SAID = {"alternative is cheaper": "is cheaper than the model", "cannot tell": "cannot be told apart from the model"}


@dataclass(frozen=True)
class MonitorVerdict:
    """What the monitor decided, as a front page shows it."""

    word: str
    reasons: tuple[str, ...]
    conditions: tuple[str, ...] = ()

    @property
    def tone(self) -> str:
        """``good``, ``unsure`` or ``bad``."""
        return {"OK": "good", "RETRAIN": "bad"}.get(self.word, "unsure")


@dataclass(frozen=True)
class Overview:
    """All that the front page shows.

    Attributes
    ----------
    run, project, status, started, seconds
        Of the run.
    objective, decision, owner
        What was asked (01).
    verdict
        A word of `nbkit.registry.Verdict`, or what the monitor decided.
    tone
        ``good``, ``bad`` or ``unsure``, for colour (never colour alone).
    reasons
        Sentences, at most eight.
    conditions
        Sentences: what an approval hangs on.
    approval
        Who has promoted the version, when and why, and what has become of that; or that nobody has.
    criteria
        criterion, target, value, interval, verdict, why.
    stages
        stage, title, status, seconds, headline, page (empty if there is none).
    edges
        source, target, names: what each stage handed to which.
    since
        window, decision, headline, run, page: what the monitor has found about the version since.
    judged
        What is to be known about the criteria, in a sentence.
    risks
        Sentences.
    facts
        what, value: how this was made.
    """

    run: str
    project: str
    status: str
    started: str
    seconds: float
    objective: str
    decision: str
    owner: str
    verdict: str
    tone: str
    reasons: list[str]
    criteria: pd.DataFrame
    stages: pd.DataFrame
    edges: pd.DataFrame = field(default_factory=pd.DataFrame)
    since: pd.DataFrame = field(default_factory=pd.DataFrame)
    judged: str = ""
    conditions: list[str] = field(default_factory=list)
    approval: str = ""
    risks: list[str] = field(default_factory=list)
    facts: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_overview(folder: str | os.PathLike[str]) -> Overview:
    """Read a run for its front page; what a run did not come to is left empty.

    Parameters
    ----------
    folder
        The run.
    """
    folder = Path(folder).absolute()
    record = read_record(folder)
    status = read_status(folder, record)
    criteria = _read_criteria(folder)
    since = read_since(folder)
    stages = read_run_stages(folder)
    names = [each.stage for each in record.stages]
    approval, rejected = read_approval(folder, record)
    earlier = find_earlier(folder)
    reached = _judge(folder, record, status, criteria, since, tuple(_say_loosened(folder, earlier)))
    if rejected:
        reached = Verdict(REJECT, (rejected, *(reached.reasons if reached.word in (REJECT, STOPPED) else ())))
    return Overview(
        run=folder.name,
        project=record.project,
        status=status,
        started=record.started[:16].replace("T", " "),
        seconds=round(sum(each.seconds or 0 for each in record.stages), 1),
        objective=str(read_or(folder, "01_frame", "objective", "")),
        decision=str(read_or(folder, "01_frame", "decision", "")),
        owner=str(read_or(folder, "01_frame", "owner", "")),
        verdict=reached.word,
        tone=reached.tone,
        reasons=list(reached.reasons[:8]),
        conditions=list(reached.conditions),
        approval=approval,
        criteria=criteria,
        stages=_read_stages(folder, record, stages, since),
        edges=pd.DataFrame(list_edges(stages, names), columns=["source", "target", "names"]),
        since=since,
        judged=_say_before(folder, earlier),
        risks=_read_risks(folder),
        facts=_read_facts(folder, record),
    )


def _read_criteria(folder: Path) -> pd.DataFrame:
    table = read_or(folder, "07_evaluate", "verdicts", None)
    columns = ["criterion", "target", "value", "interval", "verdict", "why"]
    if table is None:
        stated = read_or(folder, "01_frame", "criteria", pd.DataFrame(columns=["words"]))
        rows = [(words, "", "", "", "not judged yet", "") for words in stated["words"]]
        return pd.DataFrame(rows, columns=columns)
    rows = [
        (row.words, row.target, _say_number(row.value), _say_interval(row.low, row.high), row.verdict, row.why)
        for row in table.itertuples()
    ]
    return pd.DataFrame(rows, columns=columns)


def _say_number(value: float) -> str:
    """Write a number with three digits, a large one whole, a missing one as a dash."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _say_interval(low: float, high: float) -> str:
    return "–" if math.isnan(low) and math.isnan(high) else f"{_say_number(low)} to {_say_number(high)}"


def _judge(
    folder: Path,
    record: RunRecord,
    status: str,
    criteria: pd.DataFrame,
    since: pd.DataFrame,
    loosened: tuple[str, ...] = (),
) -> Verdict | MonitorVerdict:
    """Say whether the model may be used, and why."""
    decision = str(read_or(folder, "11_monitor", "decision", ""))
    if decision:
        reasons = read_or(folder, "11_monitor", "reasons", pd.DataFrame(columns=["finding", "evidence", "action"]))
        from nbkit.monitor import say_reasons  # brings the models' libraries, which other runs need not load

        return MonitorVerdict(decision.upper(), tuple(say_reasons(reasons)))
    stopped = record.stopped
    if stopped and status == "running":
        return Verdict(UNDECIDED, (f"The run is at work on {stopped.stage}.",))
    evidence = Evidence(
        criteria,
        read_or(folder, "09_register", "gates", pd.DataFrame(columns=GATE_COLUMNS)),
        read_or(folder, "07_evaluate", "group_verdicts", pd.DataFrame(columns=["verdict", "sentence"])),
        tuple(_say_dearer(folder)),
        loosened,
        _list_concerns(since),
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
        unjudged = ("The run did not come to the stages that judge.",)
        return Verdict(REJECT if rejected else UNDECIDED, reached.reasons if rejected else unjudged)
    deployed = str(read_or(folder, "10_deploy", "headline", ""))
    approved = reached.word in (APPROVE, CONDITIONS) and deployed
    return dataclasses.replace(reached, reasons=(*reached.reasons, deployed)) if approved else reached


def _list_concerns(since: pd.DataFrame) -> dict[str, list[str]]:
    """Return the windows for which the monitor has decided anything but ok, by decision, the gravest first."""
    order = ("retrain", "look", "inconclusive")
    found = {decision: since.loc[since["decision"] == decision, "window"].tolist() for decision in order}
    return {decision: windows for decision, windows in found.items() if windows}


def _say_dearer(folder: Path) -> list[str]:
    """Say what would certainly cost less than to follow the model."""
    costs = read_or(folder, "07_evaluate", "alternatives", pd.DataFrame(columns=["verdict"]))
    costs = costs[costs["verdict"] == "alternative is cheaper"].rename_axis("alternative").reset_index()
    return [_say_cost(row) for row in costs.to_dict("records")]


def _say_cost(row: Mapping[Any, Any]) -> str:
    note = str(row.get("note") or "")
    if note.endswith("acts at the threshold that costs least"):
        return f"Cost: {note}."
    if pd.isna(row["low"]):
        return f"Cost: {row['alternative']} {SAID[row['verdict']]}{': ' + note if note else ''}."
    return (
        f"Cost: {row['alternative']} {SAID[row['verdict']]} ({_say_number(row['cost_per_row'])} a row against "
        f"{_say_number(row['model'])}, difference {_say_interval(row['low'], row['high'])})."
    )


def _read_stages(folder: Path, record: RunRecord, known: dict[str, Stage], since: pd.DataFrame) -> pd.DataFrame:
    entries = {each.stage: each for each in record.stages}
    rows = []
    for name in list(dict.fromkeys([*known, *entries])):
        entry = entries.get(name)
        status, said = (entry.status, entry.headline or entry.message) if entry else (ABSENT, "")
        page = f"{name}.html" if (folder / f"{name}.ipynb").is_file() else ""
        if status == "passed" and not page:
            entry, status, said = None, "gone", f"{name}.ipynb is not in the run's folder any more."
        title = known[name].title if name in known else name
        if name not in entries and name in known and known[name].cadence != "run":
            said = "It looks at one window of new rows at a time, in a run of its own: nbkit monitor."
            if len(since):
                last = since.iloc[-1]
                status = last["decision"]
                said = f"{say_count(len(since), 'window')} of new rows so far. {last['headline']}"
        rows.append((name, title, status, entry.seconds if entry else None, said, page))
    return pd.DataFrame(rows, columns=["stage", "title", "status", "seconds", "headline", "page"])


def _say_before(folder: Path, earlier: list[Path]) -> str:
    """Say whether the criteria came before the verdict: who has seen the test rows can set them to be met."""
    mine = say_criteria(folder)
    if other := next((run.name for run in earlier if say_criteria(run) != mine), ""):
        return f"These are not the criteria of {other}, which was judged on the same rows before this run."
    if earlier:
        return f"The criteria are those of {say_count(len(earlier), 'earlier run')} judged on the same rows."
    return "The criteria were stated before this run read the data, and no earlier run was judged on these rows."


def _say_loosened(folder: Path, earlier: list[Path]) -> list[str]:
    """Say which bounds were loosened after an earlier run had been judged on the same rows, and how that came out."""
    return [
        f"{what} was to be {before} in {run.name} ({_read_word(run)}), and {now}: "
        "the bound was loosened after these rows had been judged."
        for what, before, now, run in list_loosened(folder, earlier)
    ]


def _read_word(folder: Path) -> str:
    """Return the word of the verdict on another run."""
    record = read_record(folder)
    if read_approval(folder, record)[1]:
        return REJECT
    loosened = tuple(what for what, *_ in list_loosened(folder, find_earlier(folder)))
    status, criteria, since = read_status(folder, record), _read_criteria(folder), read_since(folder)
    return _judge(folder, record, status, criteria, since, loosened).word


def _read_risks(folder: Path) -> list[str]:
    risks = []
    violations = read_or(folder, "03_validate", "violations", pd.DataFrame())
    risks += [f"Data: {row.message} ({row.severity})" for row in violations.head(3).itertuples()]
    worst = read_or(folder, "07_evaluate", "worst", pd.DataFrame())
    risks += [
        f"Weak spot: in {row.column} {row.slice} predictions are off by {_say_number(row.gap)} "
        f"({_say_number(row.gap_low)} to {_say_number(row.gap_high)}) beyond the whole, on {say_count(row.n, 'row')}."
        for row in (worst.head(3).itertuples() if "gap" in worst else ())
    ]
    costs = read_or(folder, "07_evaluate", "alternatives", pd.DataFrame(columns=["verdict"]))
    costs = costs[costs["verdict"] == "cannot tell"].rename_axis("alternative").reset_index()
    risks += [_say_cost(row) for row in costs.to_dict("records") if row["cost_per_row"] or row["model"]]
    order = read_or(folder, "02_ingest", "order", {})
    risks += [f"Rows: {order['sentence']}"] if order else []
    groups = read_or(folder, "07_evaluate", "group_verdicts", pd.DataFrame(columns=["verdict", "sentence"]))
    risks += [f"Groups: {said}." for said in groups.loc[groups["verdict"] == "not judged", "sentence"]]
    gaps = read_or(folder, "07_evaluate", "group_gaps", pd.DataFrame(columns=["apart", "rate"]))
    gaps = gaps[
        gaps["apart"].astype(bool) & (gaps["rate"] != "base_rate")
    ]  # how the world is, is no fault of the model
    risks += [
        f"Groups: {row['rate'].replace('_', ' ')} by {row['column']} goes from {_say_number(row['lowest_value'])} "
        f"({row['lowest']}) to {_say_number(row['highest_value'])} ({row['highest']})."
        for row in gaps.head(4).to_dict("records")
    ]
    return risks


def _say_taken_over(record: RunRecord) -> str:
    """Say which stages an earlier run had executed, as nothing that they depend on had changed."""
    sources: dict[str, list[str]] = {}
    for each in record.stages:
        if each.borrowed:
            sources.setdefault(each.borrowed, []).append(each.stage)
    return "; ".join(f"{', '.join(stages)} from {run}" for run, stages in sources.items())


def _read_facts(folder: Path, record: RunRecord) -> pd.DataFrame:
    around, git = record.surroundings, record.surroundings.git
    unknown = "" if git.dirty is not None else ", git did not say in time whether with changes"
    changes = " with changes" if git.dirty else unknown
    commit = f"{git.commit[:12]}{changes}" if git.commit else "not in git"
    version = read_or(folder, "09_register", "version", read_or(folder, "11_monitor", "version", "–"))
    rows = [
        ("Run", folder.name),
        ("Started (UTC)", record.started[:19].replace("T", " ")),
        ("Command", " ".join(record.command)),
        ("Params", ", ".join(record.files)),
        *([("Taken over", taken)] if (taken := _say_taken_over(record)) else []),
        ("Data version", str(read_or(folder, "02_ingest", "version", "–"))[:16]),
        ("Model version", str(version)),
        ("Code", commit),
        ("Python", around.python),
        ("Packages", ", ".join(f"{name} {version}" for name, version in around.versions.items())),
    ]
    return pd.DataFrame(rows, columns=["what", "value"])
