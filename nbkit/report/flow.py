"""Which stage needs what of which, in a project or in a run: as plain rows, and drawn."""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbkit.errors import NbkitError
from nbkit.project import find_notebooks
from nbkit.record import read_record
from nbkit.report.marks import mark
from nbkit.stages.graph import build_graph
from nbkit.stages.notebooks import Stage, read_stage, read_stages

Row = dict[str, Any]
Flow = tuple[list[Row], list[Row], str]  # stages, edges, title
NAMED = 3  # values that an arrow names; of more it says how many


def read_run_stages(folder: Path) -> dict[str, Stage]:
    """Read the stages of a run from its executed notebooks, and from the project what the run did not come to.

    A run can be told also where the project is gone or broken by now.
    """
    stages: dict[str, Stage] = {}
    root = Path(read_record(folder).root)
    with contextlib.suppress(NbkitError, OSError):
        stages |= read_stages(find_notebooks(root)) if root.is_absolute() and root.is_dir() else {}
    for path in folder.glob("[0-9][0-9]*_*.ipynb"):
        with contextlib.suppress(NbkitError):
            stages[path.stem] = read_stage(path)
    return dict(sorted(stages.items()))


def read_project(root: Path) -> Flow:
    """Read the stages of a project, and who needs whom, for `render_flow`."""
    stages = read_stages(find_notebooks(root))
    nodes = [{"stage": name, "title": stage.title, "status": "", "seconds": None} for name, stage in stages.items()]
    return nodes, build_graph(stages).rows(), "The stages and what each needs"


def read_run(folder: Path) -> Flow:
    """Read the stages of a run, how they went, and who needed whom, for `render_flow`."""
    stages = read_run_stages(folder)
    nodes: list[Row] = []
    for each in read_record(folder).stages:
        title = stages[each.stage].title if each.stage in stages else each.stage
        nodes.append({"stage": each.stage, "title": title, "status": each.status, "seconds": each.seconds})
    return nodes, list_edges(stages, [str(node["stage"]) for node in nodes]), f"The stages of {folder.name}"


def list_edges(stages: Mapping[str, Stage], chosen: Sequence[str]) -> list[Row]:
    """List what the chosen stages hand to each other: source, target, names."""
    return build_graph({name: stage for name, stage in stages.items() if name in chosen}).rows()


def render_flow(rows: list[Row], edges: list[Row], title: str, form: str) -> str:
    """Render what `read_project` or `read_run` returns as ``mermaid`` or ``json``."""
    if form == "json":
        return json.dumps({"title": title, "stages": rows, "edges": edges}, indent=1, ensure_ascii=False)
    nodes = [row | {"note": mark(row["status"]) + _format_time(row["seconds"])} for row in rows]
    return write_mermaid(nodes, edges)


def _format_time(seconds: float | None) -> str:
    if seconds is None or math.isnan(seconds):
        return ""
    return f" · {seconds:.0f} s" if seconds < 600 else f" · {seconds / 60:.0f} min"


def write_mermaid(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> str:
    """Write a flow chart.

    Parameters
    ----------
    nodes
        Of each stage ``stage``, ``title``, and a ``note`` below it.
    edges
        Of each pair ``source``, ``target``, and the ``names`` of what is handed over.

    Examples
    --------
    >>> nodes = [{"stage": "01_a", "title": "A"}, {"stage": "02_b", "title": "B", "note": "passed"}]
    >>> print(write_mermaid(nodes, [{"source": "01_a", "target": "02_b", "names": ["x", "y"]}]))
    flowchart TB
      s01_a["A"]
      s02_b["B<br>passed"]
      s01_a -->|"x, y"| s02_b
    """
    lines = ["flowchart TB"]
    for node in nodes:
        note = f"<br>{_quote(node['note'])}" if node.get("note") else ""
        lines.append(f'  s{node["stage"]}["{_quote(node["title"] or node["stage"])}{note}"]')
    for edge in edges:
        few = len(edge["names"]) <= NAMED
        said = ", ".join(edge["names"]).replace("*", "…") if few else f"{len(edge['names'])} values"
        lines.append(f'  s{edge["source"]} -->|"{_quote(said)}"| s{edge["target"]}')
    return "\n".join(lines)


def _quote(text: Any) -> str:
    """Keep a text from ending the label that it stands in."""
    for char, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = str(text).replace(char, entity)
    return str(text).replace("\n", " ")
