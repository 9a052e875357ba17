"""One static index over the runs and windows of a project and what the desk shows, which a browser can search."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any
from urllib.parse import quote

from nbkit.lifecycle import EVALUATE, MONITOR, REGISTER
from nbkit.record import SWEEP, iterate_runs
from nbkit.report.clean import clean_html
from nbkit.report.overview import read_overview
from nbkit.report.pack import FRONT, read_files
from nbkit.report.readable import make_readable
from nbkit.report.scraps import read_or
from nbkit.report.shell import find_template, hash_script
from nbkit.store import write_atomic

SCRIPT = Path(__file__).with_name("search.js")


def write_site(root: Path, target: Path | None = None, twins: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Write the index of a project.

    Parameters
    ----------
    root
        The project.
    target
        A folder to put the index and a copy of every report in, to be laid on any web server; by default the index
        goes to ``runs/`` and leads to the reports where they are.
    twins
        Headings to HTML that goes below, as `nbkit.desk.read_twins` returns it.
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
    page = find_template("site.html.j2").render(
        o=SimpleNamespace(run=root.name, started=max((row["started"] for row in rows), default="")), pages=pages,
        title=f"Models of {root.name}",
        runs=[row for row in rows if not row["window"]], windows=[row for row in rows if row["window"]],
        sweeps=[folder.name for folder in sweeps],
        twins={title: make_readable(clean_html(html.replace(str(root), root.name))) for title, html in twins.items()},
        script=script, script_hash=hash_script(script),
    )  # fmt: skip
    place = (target or runs) / FRONT
    write_atomic(place, page.encode())
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
