"""What the front page of a report says, as plain tables read from a run."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from nbkit.lifecycle import FRAME, INGEST, MONITOR, REGISTER
from nbkit.pipeline.runs import read_status
from nbkit.record import RunRecord, read_record
from nbkit.report.ahead import read_ahead
from nbkit.report.front import describe_changes, read_cards, read_costs, read_drivers
from nbkit.report.judgement import judge_run, read_approval, read_criteria
from nbkit.report.scraps import describe_code, list_lacking, read_or
from nbkit.report.since import describe_earlier, find_earlier, read_since
from nbkit.report.stages import read_run_stages
from nbkit.report.watch import read_watch
from nbkit.stages.graph import build_graph
from nbkit.stages.notebooks import Stage
from nbkit.wording import end_sentence, format_count

ABSENT = "not part of this run"


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
        criterion, today, target, value, interval, verdict, why.
    stages
        stage, title, status, seconds, headline, page (empty if there is none).
    edges
        source, target, names: what each stage handed to which.
    since
        window, decision, headline, run, page: what the monitor has found about the version since.
    judged
        What is to be known about the criteria, in a sentence.
    cards, costs, watch, drivers, changes
        From `nbkit.report.front`: large numbers, what each way of deciding costs, what to watch and what drives a
        prediction, and what is different from before.
    version
        The version that was registered, as NAME@NUMBER.
    facts
        what, value: how this was made.
    audience
        Who may see the report, and whether single values of persons are in it, in a sentence.
    ahead
        what, sentence: what is to be done next.
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
    cards: pd.DataFrame = field(default_factory=pd.DataFrame)
    costs: pd.DataFrame = field(default_factory=pd.DataFrame)
    watch: pd.DataFrame = field(default_factory=pd.DataFrame)
    drivers: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    version: str = ""
    facts: pd.DataFrame = field(default_factory=pd.DataFrame)
    audience: str = ""
    ahead: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_overview(folder: str | os.PathLike[str]) -> Overview:
    """Read a run for its front page; what a run did not come to is left empty.

    Parameters
    ----------
    folder
        The run.
    """
    folder = Path(folder).absolute()
    record = read_record(folder)
    criteria, since, earlier = read_criteria(folder), read_since(folder), find_earlier(folder)
    reached = judge_run(folder, record, criteria, since, earlier)
    audience, ahead = read_ahead(folder, record, reached, since)
    stages = read_run_stages(folder)
    chosen = {name: stage for name, stage in stages.items() if record.find(name)}
    return Overview(
        run=folder.name,
        project=record.project,
        status=read_status(folder, record),
        started=record.started[:16].replace("T", " "),
        seconds=round(sum(each.seconds or 0 for each in record.stages), 1),
        objective=str(read_or(folder, FRAME, "objective")) or _name_window(folder),
        decision=str(read_or(folder, FRAME, "decision")),
        owner=str(read_or(folder, FRAME, "owner")),
        verdict=reached.word,
        tone=reached.tone,
        reasons=list(reached.reasons[:8]),
        conditions=[end_sentence(each) for each in reached.conditions],
        approval=read_approval(folder, record)[0],
        criteria=criteria,
        stages=_read_stages(folder, record, stages, since),
        edges=pd.DataFrame(build_graph(chosen).rows(), columns=["source", "target", "names"]),
        since=since,
        judged=describe_earlier(folder, earlier),
        cards=read_cards(folder),
        costs=read_costs(folder),
        watch=read_watch(folder, reached.conditions),
        drivers=read_drivers(folder),
        changes=[] if record.is_look else describe_changes(folder, record),
        version=str(read_or(folder, REGISTER, "version")),
        facts=_read_facts(folder, record),
        audience=audience,
        ahead=ahead,
    )


def _read_stages(folder: Path, record: RunRecord, known: dict[str, Stage], since: pd.DataFrame) -> pd.DataFrame:
    entries = {each.stage: each for each in record.stages}
    rows = []
    wanted = entries if record.is_look else dict.fromkeys([*known, *entries])
    for name in wanted:
        entry = entries.get(name)
        status, said = (entry.status, entry.headline or entry.message) if entry else (ABSENT, "")
        page = f"{name}.html" if (folder / f"{name}.ipynb").is_file() else ""
        if status == "passed" and not page:
            entry, status, said = None, "gone", f"{name}.ipynb is not in the run's folder any more."
        title = known[name].title if name in known else name
        if name == MONITOR and status == "passed":
            status = str(read_or(folder, MONITOR, "decision", status))
        if name not in entries and name in known and known[name].cadence != "run":
            said = "It looks at one window of new rows at a time, in a run of its own: nbkit monitor."
            if len(since):
                last = since.iloc[-1]
                status = last["decision"]
                said = f"{format_count(len(since), 'window')} of new rows so far. {last['headline']}"
        rows.append((name, title, status, entry.seconds if entry else None, said, page))
    return pd.DataFrame(rows, columns=["stage", "title", "status", "seconds", "headline", "page"])


def _name_window(folder: Path) -> str:
    """Return what a run of the monitor looked at; empty for another run."""
    version, window = (str(read_or(folder, MONITOR, name)) for name in ("version", "window"))
    return f"Is {version} still right? {window or 'First window'}" if version else ""


def _describe_taken_over(record: RunRecord) -> str:
    """Describe which stages an earlier run had executed, as nothing that they depend on had changed."""
    sources: dict[str, list[str]] = {}
    for each in record.stages:
        if each.borrowed:
            sources.setdefault(each.borrowed, []).append(each.stage)
    return "; ".join(f"{', '.join(stages)} from {run}" for run, stages in sources.items())


def _read_facts(folder: Path, record: RunRecord) -> pd.DataFrame:
    around = record.surroundings
    again = "".join(f", resumed {each.at[:16].replace('T', ' ')}" for each in record.resumed)
    version = read_or(folder, REGISTER, "version", read_or(folder, MONITOR, "version", "–"))
    rows = [
        ("Run", folder.name),
        ("Started (UTC)", record.started[:19].replace("T", " ")),
        ("Command", " ".join(record.command) + again),
        ("Params", ", ".join(record.files)),
        *([("Taken over", taken)] if (taken := _describe_taken_over(record)) else []),
        *([("Not handed over", ", ".join(lacking))] if (lacking := list_lacking(folder, record)) else []),
        ("Data version", str(read_or(folder, INGEST, "version", "–"))[:16]),
        ("Model version", str(version)),
        ("Code", describe_code(record)),
        ("Python", around.python),
        ("Packages", ", ".join(f"{name} {version}" for name, version in around.versions.items())),
    ]
    return pd.DataFrame(rows, columns=["what", "value"])
