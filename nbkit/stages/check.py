"""All that can be said about a project's notebooks without running them."""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nbkit.errors import BadNotebook, NbkitError
from nbkit.lifecycle import DESK, STAGE_NAME
from nbkit.stages.calls import Call
from nbkit.stages.graph import Finding, Graph, build_graph
from nbkit.stages.notebooks import Stage, list_stages, read_stage
from nbkit.stages.params import resolve_params
from nbkit.stages.preflight import check_sense, import_used

HERE = Path()
RUN = re.compile(r"\b(nbkit\.)?Run\(")


def check_notebooks(folder: Path, files: Sequence[Path] = (), settings: Sequence[str] = (), root: Path = HERE) -> Graph:
    """Read every notebook of a folder and say all that is wrong or odd, instead of stopping at the first.

    Parameters
    ----------
    folder
        Where the notebooks lie.
    files, settings
        Params that are held against them, as for `resolve_params`, and read by the libraries that will be given them.
    root
        The project.

    Raises
    ------
    BadNotebook
        If the folder holds no stage at all.
    """
    stages: dict[str, Stage] = {}
    problems = []
    for path in list_stages(folder):
        try:
            stages[path.stem] = read_stage(path)
        except BadNotebook as error:
            problems.append(Finding("error", path.stem, 0, f"cannot be read: {error}"))
    stages = {name: stage for name, stage in stages.items() if stage.cadence != DESK}
    broken = {each.place for each in problems}  # they may hand over anything
    others = {name: Stage(name, folder / f"{name}.ipynb", name, "", calls=(Call("give", 0),)) for name in broken}
    graph = build_graph(stages | others)
    problems += [each for each in graph.problems if each.place not in broken]
    problems = sorted([*problems, *_find_strangers(folder)], key=lambda each: (each.place, each.cell))
    if broken and (files or settings):
        problems.append(Finding("hint", "params", 0, "are not checked before every notebook can be read"))
    elif files or settings:
        try:
            resolved = resolve_params(files, settings, stages)
            import_used(resolved.limits, list(stages), root, resolved.places)
            if odd := check_sense(resolved.values, list(stages), root, resolved.places):
                problems.append(Finding("hint", "params", 0, f"fit, but {odd}"))
        except NbkitError as error:
            problems.append(Finding("error", "params", 0, f"do not fit: {error}"))
    return replace(graph, stages=stages, problems=tuple(problems))


def _find_strangers(folder: Path) -> Iterator[Finding]:
    """Find notebooks that work in a run and are no stages, by their name."""
    for path in sorted(folder.glob("*.ipynb")):
        if STAGE_NAME.fullmatch(path.stem):
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            cells = json.loads(path.read_bytes())["cells"]
            if any(cell["cell_type"] == "code" and RUN.search("".join(cell["source"])) for cell in cells):
                yield Finding("hint", path.name, 0, "uses nbkit.Run and is not a stage: a stage is named NN_name.ipynb")
