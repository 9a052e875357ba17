"""The page that compares two runs for people: verdicts, scores, figures side by side, and what may have caused it."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbkit.errors import NbkitError
from nbkit.lifecycle import INGEST
from nbkit.pictures import Picture
from nbkit.pipeline.compare import group_artifacts
from nbkit.record import read_record
from nbkit.report.figures import clean_svg
from nbkit.report.overview import read_overview
from nbkit.report.places import forget_places
from nbkit.report.shell import find_template
from nbkit.scraps import read_scrap, read_scraps
from nbkit.scrub import Scrubber
from nbkit.store import write_atomic
from nbkit.wording import format_score

CAUSES = ("parameter", f"{INGEST}.version", "code", "version")  # what can have caused the other differences


def write_comparison(before: Path, after: Path, found: tuple[Any, Any, str], target: Path | None = None) -> Path:
    """Write the page that compares two runs.

    Parameters
    ----------
    before, after
        Folders of runs.
    found
        What `nbkit.pipeline.compare_runs` lists, then the two that `nbkit.pipeline.compare_models` returns.
    target
        The file, or the folder to put ``compare.html`` in; by default the working directory.
    """
    rows, scores, said = found
    overviews = [read_overview(folder) for folder in (before, after)]
    stages = sorted({path.stem for folder in (before, after) for path in folder.glob("[0-9]*.ipynb")})
    html = find_template("compare.html.j2").render(
        o=overviews[1], runs=overviews, said=said, scores=[format_score(row) for row in scores],
        causes={kind: [row for row in rows if kind in (row["what"], row["where"])] for kind in CAUSES},
        code=list(filter(None, (_compare_code(before, after, stage) for stage in stages))),
        figures=[pair for stage in stages for pair in _pair_figures(before, after, stage)],
        artifacts=group_artifacts(rows), title=f"{before.name} and {after.name} compared",
    )  # fmt: skip
    target = target or Path()
    target = target / "compare.html" if target.is_dir() else target
    for folder in (before, after):
        html = forget_places(Scrubber.of(read_record(folder).secrets).clean(html), folder)
    write_atomic(target, html.encode())
    return target


def _compare_code(before: Path, after: Path, stage: str) -> dict[str, Any] | None:
    """Return the lines of a stage's code that differ, as in a diff; None where there are none."""
    first, second = (_read_code(folder / f"{stage}.ipynb") for folder in (before, after))
    lines = list(difflib.unified_diff(first, second, lineterm="", n=1))[2:]
    return {"stage": stage, "lines": lines} if lines and first and second else None


def _read_code(notebook: Path) -> list[str]:
    """Return the lines of a notebook's code, without the parameters that a run put in."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
        tagged = [(cell, "injected-parameters" in cell["metadata"].get("tags", [])) for cell in cells]
        code = ["".join(cell["source"]) for cell, given in tagged if cell["cell_type"] == "code" and not given]
    except (OSError, ValueError, KeyError):
        return []
    return "\n\n".join(code).splitlines()


def _pair_figures(before: Path, after: Path, stage: str) -> Iterator[dict[str, Any]]:
    """Yield the figures that a stage of both runs handed over under one name, and that differ."""
    try:
        scraps = [read_scraps(folder / f"{stage}.ipynb") for folder in (before, after)]
        for name in scraps[0]:
            if name.endswith("_picture") and name in scraps[1] and scraps[0][name] != scraps[1][name]:
                drawn = [read_scrap(each[name], folder) for each, folder in zip(scraps, (before, after), strict=True)]
                if all(isinstance(each, Picture) for each in drawn):
                    shown = [(each.alt, clean_svg(each.svg, f"{stage}-{name}-{n}")) for n, each in enumerate(drawn)]
                    yield {"stage": stage, "name": name.removesuffix("_picture").replace("_", " "), "shown": shown}
    except (NbkitError, OSError, ValueError):
        return
