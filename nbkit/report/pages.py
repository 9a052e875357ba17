"""Writes the pages of a run: the front page and one a stage, each a file that asks the network for nothing."""

import json
import os
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.lifecycle import FRAME, MONITOR
from nbkit.record import read_record
from nbkit.report.card import render_card
from nbkit.report.glossary import render_glossary
from nbkit.report.lineage import read_lineage
from nbkit.report.overview import Overview, read_overview
from nbkit.report.places import forget_places
from nbkit.report.scraps import read_or
from nbkit.report.sections import read_page
from nbkit.report.shell import find_template
from nbkit.report.since import find_registering
from nbkit.scrub import Scrubber
from nbkit.store import write_atomic


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report/index.html`` and a page for each stage of a run, also of one that failed.

    Parameters
    ----------
    folder
        The run.

    Returns
    -------
    Path
        The front page.
    """
    folder = Path(folder)
    overview = read_overview(folder)
    for stale in (folder / "report").glob("[0-9][0-9]*_*.html"):
        if stale.name not in overview.stages["page"].tolist():
            stale.unlink()
    return _write_pages(folder, _render_pages(folder, overview, whole=True))


def _render_pages(folder: Path, overview: Overview, *, whole: bool = False) -> dict[str, str]:
    """Render the front page and what it leads to: glossary, model card, lineage, and the windows looked at since.

    Of the stages all if the report is written as a whole, else the last, on which the latest window follows.
    """
    pages, own = {"glossary.html": render_glossary(folder, overview)}, overview.stages.query("page != ''")
    since, around = overview.since.to_dict("records"), own
    for stale in set((folder / "report").glob("window_*.html")) - {folder / "report" / row["page"] for row in since}:
        stale.unlink()
    for row in since:
        other = folder.parent / row["run"]
        seen = read_overview(other)
        stage = next(each for each in seen.stages.to_dict("records") if each["stage"] == MONITOR)
        told = {**stage, "page": row["page"], "title": f"{stage['title']}: {row['window']}"}
        around = pd.concat([own, pd.DataFrame([told])])
        html = render_stage(seen, told, other / f"{MONITOR}.ipynb", around.tail(2))
        pages[row["page"]] = Scrubber.of(read_record(other).secrets).clean(html)
    for row in own.to_dict("records") if whole else own.tail(1 if since else 0).to_dict("records"):
        pages[row["page"]] = render_stage(overview, row, folder / f"{row['stage']}.ipynb", around)
    if (folder / f"{FRAME}.ipynb").is_file():
        steps, title = read_lineage(folder), f"Lineage · {overview.project}"
        lineage = find_template("lineage.html.j2").render(o=overview, steps=steps, title=title)
        pages |= {**render_card(folder, overview, find_template), "lineage.html": lineage}
    return {**pages, "index.html": render_index(overview)}


def _write_pages(folder: Path, pages: dict[str, str]) -> Path:
    """Write pages without the secrets of their run, which a table may have brought along, and return the front page."""
    scrubber = Scrubber.of(read_record(folder).secrets)
    for name, html in pages.items():
        write_atomic(folder / "report" / name, forget_places(scrubber.clean(html), folder).encode())
    return folder / "report" / "index.html"


def refresh_fronts(monitor: Path) -> None:
    """Write the front page again of the runs whose version a run of the monitor looked at."""
    if digest := read_or(monitor, MONITOR, "digest"):
        refresh_versions(monitor.parent.parent, [digest])


def refresh_versions(root: Path, digests: Collection[str]) -> None:
    """Write the front page again of a project's runs that registered these versions."""
    for folder in find_registering(root, digests):
        _write_pages(folder, _render_pages(folder, read_overview(folder)))


def render_index(overview: Overview) -> str:
    """Render the front page."""
    twin = {name: _plain(value) for name, value in asdict(overview).items()}
    title = f"{overview.project}: {overview.verdict}"
    return find_template("index.html.j2").render(o=overview, twin=embed_json(twin), title=title)


def render_stage(overview: Overview, stage: dict[Any, Any], notebook: Path, pages: pd.DataFrame) -> str:
    """Render the page of one stage, with links to its neighbours among these pages."""
    titles, place = list(zip(pages["page"], pages["title"], strict=True)), pages["page"].tolist().index(stage["page"])
    before, after = titles[:place][-1:], titles[place + 1 :][:1]
    return find_template("stage.html.j2").render(
        o=overview, stage=stage, page=read_page(notebook), before=before, after=after,
        title=f"{stage['title']} · {overview.project}",
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return json.loads(value.to_json(orient="records")) if isinstance(value, pd.DataFrame) else value


def embed_json(value: Any) -> str:
    """Return JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
