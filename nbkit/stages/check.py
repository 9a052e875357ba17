"""All that can be said about a project's notebooks without running them."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbkit.errors import BadNotebook, NbkitError
from nbkit.stages.calls import Call
from nbkit.stages.graph import Finding, Graph, build_graph
from nbkit.stages.notebooks import STAGE_NAME, Stage, list_stages, read_stage
from nbkit.stages.params import resolve_params
from nbkit.stages.preflight import check_sense, import_used

RUN = re.compile(r"\b(nbkit\.)?Run\(")


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes
    ----------
    stages
        The notebooks that can be read as stages.
    graph
        Who needs whom, among them.
    problems
        What is wrong or odd, by place.
    """

    stages: dict[str, Stage]
    graph: Graph
    problems: tuple[Finding, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return a plain row for each stage: stage, title, cadence, loads, sources, saves."""
        return [
            {
                "stage": stage.name,
                "title": stage.title,
                "cadence": stage.cadence,
                "loads": sum(len(edge.names) for edge in self.graph.edges if edge.target == stage.name),
                "sources": list(self.graph.upstream(stage.name)),
                "saves": list(stage.saves),
            }
            for stage in self.stages.values()
        ]

    @property
    def errors(self) -> int:
        """How many problems no run can live with."""
        return sum(each.level == "error" for each in self.problems)


def check_notebooks(folder: Path) -> Checked:
    """Read every notebook of a folder and say all that is wrong or odd, instead of stopping at the first.

    Parameters
    ----------
    folder
        Where the notebooks lie.

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
    broken = {each.place for each in problems}  # they may hand over anything
    others = {name: Stage(name, folder / f"{name}.ipynb", name, "", calls=(Call("give", 0),)) for name in broken}
    graph = build_graph(stages | others)
    problems += [each for each in graph.problems if each.place not in broken]
    problems += [
        Finding("hint", stage.name, cell, f"defines {name}: a module of the project can be tested and used by others")
        for stage in stages.values()
        for cell, name in stage.helpers
    ]
    problems += _find_strangers(folder)
    return Checked(stages, graph, tuple(sorted(problems, key=lambda each: (each.place, each.cell))))


def check_params(found: Checked, files: Sequence[Path], settings: Sequence[str], root: Path) -> Checked:
    """Check params files against notebooks that have been read, and let the libraries read what they give.

    Parameters
    ----------
    found
        From `check_notebooks`.
    files, settings
        As for `resolve_params`.
    root
        The project.
    """
    if set(found.graph.stages) - set(found.stages):
        problem = Finding("hint", "params", 0, "are not checked before every notebook can be read")
    else:
        try:
            resolved = resolve_params(files, settings, found.stages)
            import_used(resolved.limits, list(found.stages), root, resolved.places)
            check_sense(resolved.values, list(found.stages), root, resolved.places)
        except NbkitError as error:
            problem = Finding("error", "params", 0, f"do not fit: {error}")
        else:
            return found
    return replace(found, problems=(*found.problems, problem))


def _find_strangers(folder: Path) -> Iterator[Finding]:
    """Find notebooks that work in a run and are no stages, by their name."""
    for path in sorted(folder.glob("*.ipynb")):
        if STAGE_NAME.fullmatch(path.stem):
            continue
        try:
            cells = json.loads(path.read_bytes())["cells"]
            uses = any(cell["cell_type"] == "code" and RUN.search("".join(cell["source"])) for cell in cells)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if uses:
            yield Finding("hint", path.name, 0, "uses nbkit.Run and is no stage: a stage is named NN_name.ipynb")
