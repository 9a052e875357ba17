"""One static index over the runs, versions and windows of a project, which a browser can search."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from nbkit.errors import NbkitError
from nbkit.lifecycle import EVALUATE, MONITOR, REGISTER
from nbkit.record import SWEEP, iterate_runs
from nbkit.report.overview import read_overview
from nbkit.report.pack import FRONT, read_files
from nbkit.report.scraps import read_or
from nbkit.report.shell import find_template, hash_script
from nbkit.store import write_atomic

SCRIPT = Path(__file__).with_name("search.js")


def write_site(root: Path, target: Path | None = None) -> Path:
    """Write the index of a project.

    Parameters
    ----------
    root
        The project.
    target
        A folder to put the index and a copy of every report in, to be laid on any web server; by default the index
        goes to ``runs/`` and leads to the reports where they are.
    """
    runs = root / "runs"
    rows = [_read_run(folder) for folder, _ in iterate_runs(root, points=False)]
    sweeps = sorted(path.parent for path in runs.glob(f"*/{SWEEP}"))
    target = target if target and target.resolve() != runs.resolve() else None
    pages = {}
    for name in [*(row["run"] for row in rows), *(folder.name for folder in sweeps)]:
        if (runs / name / "report" / FRONT).is_file():
            pages[name] = quote(f"{name}/{FRONT}" if target else f"{name}/report/{FRONT}")
            if target:
                _copy_report(runs / name / "report", target / name)
    script = SCRIPT.read_text(encoding="utf-8")
    html = find_template("site.html.j2").render(
        o=SimpleNamespace(run=root.name, started=max((row["started"] for row in rows), default="")), pages=pages,
        title=f"Models of {root.name}",
        runs=[row for row in rows if not row["window"]], windows=[row for row in rows if row["window"]],
        sweeps=[folder.name for folder in sweeps], versions=list(_list_versions(root)),
        script=script, script_hash=hash_script(script),
    )  # fmt: skip
    place = (target or runs) / FRONT
    write_atomic(place, html.encode())
    return place


def _copy_report(folder: Path, target: Path) -> None:
    for name, content in read_files(folder).items():
        write_atomic(target / name, content)


def _read_run(folder: Path) -> dict[str, Any]:
    o = read_overview(folder)
    window, seen = read_or(folder, MONITOR, "window"), read_or(folder, MONITOR, "version")
    said = read_or(folder, EVALUATE, "headline") or read_or(folder, MONITOR, "headline") or next(iter(o.reasons), "")
    told = {"verdict": o.verdict, "tone": o.tone, "approval": o.approval, "said": said, "window": window}
    version = read_or(folder, REGISTER, "version") or seen
    return {"run": folder.name, "project": o.project, "started": o.started, "version": version, **told}


def _list_versions(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the versions in the registries that the runs of a project name; a registry that cannot be read says why."""
    from nbkit.registry import Registry

    places = {str(record.parameters.get(REGISTER, {}).get("registry", "")) for _, record in iterate_runs(root)}
    for place in sorted(places - {""}):
        try:
            found = Registry(place if "://" in place else str(root / place), create=False).list()
        except (NbkitError, OSError, ValueError) as error:
            yield {"name": "–", "state": f"The registry cannot be read: {str(error).replace(str(root), root.name)}"}
            continue
        yield from found.to_dict("records")
