"""Who hands what to whom, as Mermaid text, which GitHub, GitLab and JupyterLab draw."""

from collections.abc import Mapping, Sequence
from typing import Any

NAMED = 3  # values that an arrow names; of more it says how many


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
