"""One static index over the runs, versions and windows of a project, which a browser can search."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from nbkit.errors import NbkitError
from nbkit.lifecycle import EVALUATE, MONITOR, REGISTER
from nbkit.record import SWEEP, iterate_runs, name_sweep, now
from nbkit.report.overview import read_overview
from nbkit.report.pack import FRONT, copy_report
from nbkit.report.pages import find_template
from nbkit.report.scraps import read_or
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
    rows = [_read_run(folder) for folder, _ in iterate_runs(root) if not name_sweep(folder)]
    sweeps = sorted(path.parent for path in runs.glob(f"*/{SWEEP}"))
    pages = {}
    for name in [*(row["run"] for row in rows), *(folder.name for folder in sweeps)]:
        if (runs / name / "report" / FRONT).is_file():
            pages[name] = f"{quote(name)}/{FRONT}" if target else f"{quote(name)}/report/{FRONT}"
            if target:
                copy_report(runs / name / "report", target / name)
    html = find_template("site.html.j2").render(
        o=SimpleNamespace(run=root.name, started=now()[:16].replace("T", " ")), title=f"Models of {root.name}", pages=pages,
        runs=[row for row in rows if not row["window"]], windows=[row for row in rows if row["window"]],
        sweeps=[folder.name for folder in sweeps], versions=list(_list_versions(root)), script=SCRIPT.read_text(),
    )  # fmt: skip
    place = (target or runs) / FRONT
    write_atomic(place, allow_script(html, SCRIPT.read_text()).encode())
    return place


def _read_run(folder: Path) -> dict[str, Any]:
    overview = read_overview(folder)
    found = read_or(folder, EVALUATE, "headline") or read_or(folder, MONITOR, "headline")
    said = found or next(iter(overview.reasons), "")
    version = read_or(folder, REGISTER, "version") or read_or(folder, MONITOR, "version")
    named = {"run": folder.name, "project": overview.project, "started": overview.started, "said": said}
    window = read_or(folder, MONITOR, "window")
    told = {"verdict": overview.verdict, "tone": overview.tone, "approval": overview.approval}
    return {**named, **told, "version": version, "window": window}


def _list_versions(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the versions in the registries that the runs of a project name; a registry that cannot be read says why."""
    from nbkit.registry import Registry

    places = {str(record.parameters.get(REGISTER, {}).get("registry", "")) for _, record in iterate_runs(root)}
    for place in sorted(places - {""}):
        try:
            found = Registry(place if "://" in place else str(root / place), create=False).list()
        except (NbkitError, OSError, ValueError) as error:
            yield {"name": "–", "state": f"The registry cannot be read: {error}"}
            continue
        yield from found.to_dict("records")


def allow_script(html: str, script: str) -> str:
    """Allow one inline script, by its hash, in the policy of one page.

    Examples
    --------
    >>> allow_script('content="default-src \\'none\\'; img-src data:"', "f()")[10:46]
    "default-src 'none'; script-src 'sha2"
    """
    allowed = f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    if "script-src " in html:
        return html.replace("script-src ", f"script-src {allowed} ", 1)
    return html.replace("default-src 'none';", f"default-src 'none'; script-src {allowed};", 1)
