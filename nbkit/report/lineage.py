"""Where a model comes from and where it went, each step with its digest: of a run, of a version, from data onwards."""

import contextlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, NbkitError, UnknownRun
from nbkit.lifecycle import REGISTER
from nbkit.record import iterate_runs, read_record
from nbkit.report.facts import render_facts
from nbkit.report.judgement import read_approval
from nbkit.report.scraps import describe_code, read_or
from nbkit.report.since import read_since
from nbkit.scraps import read_scraps

PART = ("name", "fact", "digest", "page")
SHORTEST = 6  # characters of a digest by which data are looked for


@dataclass
class Step:
    """One step of a lineage.

    Attributes
    ----------
    title, said
        What it is, and a sentence about it; `said` is empty where the run did not come to it.
    digest
        What it *is*: sha256, the whole of it; empty where it has none of its own.
    text
        Something to show as it is: a query.
    parts
        `PART`: what it is made of; any but the name may be empty.
    """

    title: str
    said: str = ""
    digest: str = ""
    text: str = ""
    parts: list[dict[str, str]] = field(default_factory=list)


def read_lineage(folder: Path) -> list[Step]:
    """Read the lineage of a run: sources, query, snapshot, splits, recipe, model, version, service, windows.

    Parameters
    ----------
    folder
        The run; of what it did not come to, a step says nothing.
    """
    steps: list[Step] = []
    record = read_record(folder)
    known = {"around": record.surroundings, "since": read_since(folder).to_dict("records")}
    known |= {"code": describe_code(record), "approval": read_approval(folder, record)[0]}
    for line in render_facts("lineage.txt.j2", folder, digest=partial(_digest_artifact, folder), **known):
        kind, *cells = line.split("\t")
        if kind == "step":
            steps.append(Step(cells[0], cells[1], cells[2]))
        elif kind == "part":
            steps[-1].parts.append(dict(zip(PART, cells, strict=True)))
        elif kind == "text":
            steps[-1].text += f"{cells[0]}\n"
    return steps


def _digest_artifact(folder: Path, stage: str, name: str) -> str:
    """Return the sha256 of an artifact that a stage handed over; empty where it did not."""
    with contextlib.suppress(NbkitError, OSError, ValueError, KeyError, TypeError):
        return str(read_scraps(folder / f"{stage}.ipynb")[name]["value"]["sha256"])
    return ""


def find_source(root: Path, version: Any) -> Path:
    """Return the run that registered a `nbkit.registry.Version`.

    Raises
    ------
    UnknownRun
        If it is not here any more.
    """
    folder = root / "runs" / str(version.lineage.get("run") or "–")
    if read_or(folder, REGISTER, "digest") == version.digest:
        return folder
    told = f"`nbkit models {version.reference}` shows what the registry noted of it"
    raise UnknownRun(f"the run that registered {version.reference}, {folder.name}, is not here any more: {told}")


def trace_data(root: Path, digest: str) -> list[dict[str, Any]]:
    """List what rests on data with a digest: runs, newest first, with the version each registered and its windows.

    Parameters
    ----------
    root
        The project.
    digest
        The beginning of a sha256: of a source, a snapshot, a split, or anything else that a lineage shows.

    Returns
    -------
    list of dict
        run, through (what has that digest), version (may be empty), windows.

    Raises
    ------
    BadParameter
        If the digest is too short to mean anything.
    UnknownRun
        If no run rests on such data.
    """
    digest = digest.strip().lower()
    if len(digest) < SHORTEST:
        raise BadParameter(f"{digest!r} is too short for a digest: give {SHORTEST} characters of it at least")
    rows = [_trace_run(folder, digest) for folder, _ in iterate_runs(root)]
    if not any(row["through"] for row in rows):
        raise UnknownRun(f"no run in {root / 'runs'} rests on data whose digest begins with {digest}")
    return [row for row in rows if row["through"]]


def _trace_run(folder: Path, digest: str) -> dict[str, Any]:
    steps = read_lineage(folder)
    known = [(step.title, step.digest) for step in steps]
    known += [(f"{step.title}: {part['name']}", part["digest"]) for step in steps for part in step.parts]
    windows = [f"{row['window']} ({row['decision']})" for row in read_since(folder).to_dict("records")]
    through = [name for name, each in known if each.startswith(digest)]
    return {
        "run": folder.name,
        "version": str(read_or(folder, REGISTER, "version")),
        "through": through,
        "windows": windows,
    }


def write_lineage(steps: list[Step]) -> str:
    """Write a lineage for a terminal, from the sources to the windows."""
    lines = []
    for step in steps:
        said = step.said or ("" if step.digest else "not part of this run")
        lines += [
            f"{step.title}: {said}{_mark(step.digest)}",
            *(f"    {line}" for line in step.text.strip().splitlines()),
        ]
        lines += [f"    {part['name']}: {part['fact']}{_mark(part['digest'])}" for part in step.parts]
    return "\n".join(lines)


def _mark(digest: str) -> str:
    return f" [{digest[:12]}]" if digest else ""
