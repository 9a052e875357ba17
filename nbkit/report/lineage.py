"""Where a model comes from and where it went, each step with its digest: of a run, of a version, from data onwards."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, NbkitError, UnknownRun
from nbkit.lifecycle import DEPLOY, FEATURES, INGEST, REGISTER, TRAIN
from nbkit.record import iterate_runs, read_record, to_plain
from nbkit.report.scraps import read_or, read_rows
from nbkit.report.since import read_since
from nbkit.scraps import read_scraps
from nbkit.wording import format_count

Rows = list[dict[Any, Any]]
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
    parts: Rows = field(default_factory=list)
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
    sources, splits, files = (
        read_rows(folder, stage, name) for stage, name in ((INGEST, "sources"), (INGEST, "splits"), (REGISTER, "files"))
    )
    windows, features = read_since(folder).to_dict("records"), read_rows(folder, FEATURES, "catalogue")
    digests, model = _digest_artifacts(folder, INGEST), _digest_artifacts(folder, TRAIN).get("model", "")
    set_apart = f"{format_count(sum(row['rows'] for row in splits), 'row')} set apart" if splits else ""
    learned = str(read_or(folder, REGISTER, "algorithm") or ("Fitted" if model else ""))
    made = _describe_code(to_plain(read_record(folder).surroundings)) if model else []
    data, version, digest, service = (
        str(read_or(folder, *each))
        for each in ((INGEST, "version"), (REGISTER, "version"), (REGISTER, "digest"), (DEPLOY, "headline"))
    )
    read = [_part(row["name"], f"{row['location']}, {row['rows']:,} rows", row["sha256"]) for row in sources]
    parts = [_part(row["split"], f"{row['rows']:,} rows", digests.get(_name_split(row["split"]))) for row in splits]
    return [
        Step("Sources", _count(sources, "source"), parts=read),
        _describe_query(read_or(folder, INGEST, "ingest", {})),
        Step("Snapshot", set_apart, data),
        Step("Splits", _count(splits, "part"), parts=parts),
        Step("Recipe", _count(features, "feature"), _digest_artifacts(folder, FEATURES).get("recipe", "")),
        Step("Model", learned, model, made),
        Step("Version", version, digest, _describe_files(files)),
        Step("Service", service),
        Step(
            "Windows",
            _count(windows, "window"),
            "",
            [_part(w["window"], w["headline"], "", w["page"]) for w in windows],
        ),
    ]


def _count(rows: Rows, noun: str) -> str:
    return format_count(len(rows), noun) if rows else ""


def _describe_files(rows: Rows) -> Rows:
    return [_part(row["path"], f"{row['bytes']:,} bytes", row["sha256"]) for row in rows]


def _describe_code(around: dict[str, Any]) -> Rows:
    """Describe the code and the packages that made a model, given as `Surroundings` or as a version notes them."""
    git = around.get("git") or {}
    commit = f"{git['commit'][:12]}{' with changes' if git.get('dirty') else ''}" if git.get("commit") else "not in git"
    return [_part("code", commit), *(_part(*each) for each in (around.get("versions") or {}).items())]


def _describe_query(ingest: dict[str, Any]) -> Step:
    said = "Joins the sources." if ingest.get("query") else "None: the only source as it is."
    return Step("Query", said if ingest else "", text=str(ingest.get("query") or ""))


def _name_split(split: str) -> str:
    return split if split in SPLITS else f"window_{split}"


def _digest_artifacts(folder: Path, stage: str) -> dict[str, str]:
    """Return the sha256 of each artifact that a stage handed over."""
    try:
        scraps = read_scraps(folder / f"{stage}.ipynb")
    except (NbkitError, OSError, ValueError):
        return {}
    found = ((name, data.get("value")) for name, data in scraps.items() if isinstance(data, dict))
    return {name: str(value.get("sha256", "")) for name, value in found if isinstance(value, dict)}


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
    said = f"As the registry noted them: the run {noted.get('run')} is not here any more."
    sources = [_part(*each) for each in (noted.get("ingest") or {}).get("sources", {}).items()]
    return [
        Step("Sources", said, parts=sources),
        _describe_query(noted.get("ingest") or {}),
        Step("Snapshot", "", str(noted.get("data") or "")),
        Step("Model", "Fitted", parts=_describe_code(noted)),
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
