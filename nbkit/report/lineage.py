"""Where a model comes from and where it went, each step with its digest: of a run, of a version, from data onwards."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import BadParameter, NbkitError, UnknownRun
from nbkit.lifecycle import DEPLOY, FEATURES, INGEST, REGISTER, TRAIN
from nbkit.record import RunRecord, iterate_runs, read_record, to_plain
from nbkit.report.scraps import read_or, read_rows
from nbkit.report.since import read_since
from nbkit.scraps import read_scraps
from nbkit.wording import format_count

SHORTEST = 6  # characters of a digest by which data are looked for
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Step:
    """One step of a lineage.

    Attributes
    ----------
    title, said
        What it is, and a sentence about it; `said` is empty where the run did not come to it.
    digest
        What it *is*: sha256, the whole of it; empty where it has none of its own.
    parts
        name, fact, digest (may be empty), page (may be empty): what it is made of.
    text
        Something to show as it is: a query.
    """

    title: str
    said: str = ""
    digest: str = ""
    parts: tuple[dict[str, str], ...] = field(default=())
    text: str = ""


def _part(name: Any, fact: Any = "", digest: Any = "", page: str = "") -> dict[str, str]:
    return {"name": str(name), "fact": str(fact), "digest": str(digest or ""), "page": page}


def read_lineage(folder: Path) -> list[Step]:
    """Read the lineage of a run: sources, query, snapshot, splits, recipe, model, version, service, windows.

    Parameters
    ----------
    folder
        The run; of what it did not come to, a step says nothing.
    """
    record, since, digests = read_record(folder), read_since(folder), _digest_artifacts(folder, INGEST)
    sources, ingest = read_rows(folder, INGEST, "sources"), read_or(folder, INGEST, "ingest", {})
    splits, features = read_rows(folder, INGEST, "splits"), read_rows(folder, FEATURES, "catalogue")
    recipe, model = (
        _digest_artifacts(folder, stage).get(name, "") for stage, name in ((FEATURES, "recipe"), (TRAIN, "model"))
    )
    algorithm = str(read_or(folder, REGISTER, "algorithm") or ("Fitted" if model else ""))
    rows = format_count(sum(row["rows"] for row in splits), "row")
    parts = tuple(_part(row["split"], _count(row), digests.get(_name_split(row["split"]))) for row in splits)
    read = tuple(_part(row["name"], f"{row['location']}, {_count(row)}", row["sha256"]) for row in sources)
    return [
        Step("Sources", format_count(len(sources), "source") if sources else "", "", read),
        _describe_query(ingest),
        Step("Snapshot", f"{rows} set apart" if splits else "", str(read_or(folder, INGEST, "version"))),
        Step("Splits", format_count(len(splits), "part") if splits else "", "", parts),
        Step("Recipe", f"{format_count(len(features), 'feature')}, not fitted yet" if features else "", recipe),
        Step("Model", algorithm, model, _describe_code(to_plain(record.surroundings)) if model else ()),
        Step(
            "Version",
            str(read_or(folder, REGISTER, "version")),
            str(read_or(folder, REGISTER, "digest")),
            _describe_files(read_rows(folder, REGISTER, "files")),
        ),
        Step("Service", str(read_or(folder, DEPLOY, "headline"))),
        _describe_windows(since),
    ]


def _count(row: dict[str, Any]) -> str:
    return format_count(row["rows"], "row")


def _describe_files(rows: list[dict[str, Any]]) -> tuple[dict[str, str], ...]:
    return tuple(_part(row["path"], f"{row['bytes']:,} bytes", row["sha256"]) for row in rows)


def _describe_code(around: dict[str, Any]) -> tuple[dict[str, str], ...]:
    """Describe the code and the packages that made a model, given as `Surroundings` or as a version notes them."""
    git = around.get("git") or {}
    commit = f"{git['commit'][:12]}{' with changes' if git.get('dirty') else ''}" if git.get("commit") else "not in git"
    return (_part("code", commit), *(_part(*each) for each in (around.get("versions") or {}).items()))


def _describe_query(ingest: dict[str, Any]) -> Step:
    said = "Joins the sources." if ingest.get("query") else "None: the only source as it is."
    return Step("Query", said if ingest else "", text=str(ingest.get("query") or ""))


def _describe_windows(since: pd.DataFrame) -> Step:
    rows = since.to_dict("records")
    parts = tuple(_part(row["window"], row["headline"], "", row["page"]) for row in rows)
    return Step("Windows", f"{format_count(len(rows), 'window')} looked at since" if rows else "", "", parts)


def _name_split(split: str) -> str:
    return split if split in SPLITS else f"window_{split}"


def _digest_artifacts(folder: Path, stage: str) -> dict[str, str]:
    """Return the sha256 of each artifact that a stage handed over."""
    try:
        scraps = read_scraps(folder / f"{stage}.ipynb")
    except (NbkitError, OSError, ValueError):
        return {}
    found = {name: data.get("value") for name, data in scraps.items() if isinstance(data, dict)}
    return {
        name: str(value["sha256"]) for name, value in found.items() if isinstance(value, dict) and "sha256" in value
    }


def read_version_lineage(root: Path, version: Any) -> list[Step]:
    """Read the lineage of a registered version; what the registry noted, where its run is gone.

    Parameters
    ----------
    root
        The project.
    version
        A `nbkit.registry.Version`.
    """
    noted = version.lineage
    folder = root / "runs" / str(noted.get("run") or "–")
    if read_or(folder, REGISTER, "digest") == version.digest:
        return read_lineage(folder)
    ingest = noted.get("ingest") or {"sources": {}}
    given = (
        (name, each if isinstance(each, str) else each.get("location", "")) for name, each in ingest["sources"].items()
    )
    said = f"As the registry noted them: the run {noted.get('run')} is not here any more."
    return [
        Step("Sources", said, "", tuple(_part(*each) for each in given)),
        _describe_query(ingest),
        Step("Snapshot", "", str(noted.get("data") or "")),
        Step("Model", "Fitted", "", _describe_code(noted)),
        Step("Version", version.reference, version.digest, _describe_files(version.files.to_dict("records"))),
    ]


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
    rows = [row for folder, record in iterate_runs(root) if (row := _trace_run(folder, record, digest))]
    if not rows:
        raise UnknownRun(f"no run in {root / 'runs'} rests on data whose digest begins with {digest}")
    return rows


def _trace_run(folder: Path, record: RunRecord, digest: str) -> dict[str, Any]:
    through = [name for name, each in _list_digests(read_lineage(folder)) if each.startswith(digest)]
    windows = [f"{row['window']} ({row['decision']})" for row in read_since(folder).to_dict("records")]
    version = str(read_or(folder, REGISTER, "version"))
    return {"run": record.run, "through": through, "version": version, "windows": windows} if through else {}


def _list_digests(steps: list[Step]) -> Iterator[tuple[str, str]]:
    for step in steps:
        yield step.title, step.digest
        yield from ((f"{step.title}: {part['name']}", part["digest"]) for part in step.parts)


def write_lineage(steps: list[Step]) -> str:
    """Write a lineage for a terminal, from the sources to the windows."""
    lines = []
    for step in steps:
        known = step.said or step.digest
        lines.append(f"{step.title}: {step.said or ('' if known else 'not part of this run')}{_mark(step.digest)}")
        lines += [f"    {line}" for line in step.text.strip().splitlines()]
        lines += [f"    {part['name']}: {part['fact']}{_mark(part['digest'])}" for part in step.parts]
    return "\n".join(lines)


def _mark(digest: str) -> str:
    return f" [{digest[:12]}]" if digest else ""


def plain_lineage(steps: list[Step]) -> list[dict[str, Any]]:
    """Return a lineage as plain values for JSON."""
    return [asdict(step) for step in steps]
