"""The page of a sweep: the best point and how sure that is, a picture and a table of all points."""

import math
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.report.pages import embed_json
from nbkit.report.shell import find_template
from nbkit.store import write_atomic
from nbkit.sweep import read_sweep
from nbkit.wording import format_count, format_value


def write_sweep_report(folder: Path) -> Path:
    """Write ``report/index.html`` of a sweep, and return where it is.

    Raises
    ------
    UnknownRun
        If it is not a sweep.
    """
    target = folder / "report" / "index.html"
    write_atomic(target, render_sweep(folder).encode())
    return target


def render_sweep(folder: Path) -> str:
    """Render the page of a sweep from its ``sweep.json``."""
    found = read_sweep(folder)
    scored = [row for row in found["rows"] if row.get("value") is not None]
    metric = scored[0]["metric"] if scored else ""
    for row in found["rows"]:
        page = folder.parent / row["run"] / "report" / "index.html"
        row["page"] = f"../../{row['run']}/report/index.html" if row["run"] and page.is_file() else ""
    word, tone = _sum_up(found)
    return find_template("sweep.html.j2").render(
        o=found, rows=[shorten(row) for row in found["rows"]], word=word, tone_of_all=tone, metric=metric,
        drawing=_draw(scored, metric) if scored else None, again=write_command(folder),
        twin=embed_json({"claim": found["claim"], "points": found["rows"]}), title=f"{found['project']}: {word}",
    )  # fmt: skip


def _draw(scored: list[dict[str, Any]], metric: str) -> Any:
    from nbkit.plots import draw_dots

    frame = pd.DataFrame(scored)[["value", "low", "high"]].astype(float)
    frame["label"] = [f"{row['point']}: {', '.join(row['params'].values())}" for row in scored]
    return draw_dots(frame, "label", "value", f"{metric} of each point", unit=metric)


def shorten(row: dict[str, Any]) -> dict[str, Any]:
    """Return a point's row as people read it: the digits that its interval allows, nothing where nothing is known."""
    low, high = (math.nan if row.get(key) is None else row[key] for key in ("low", "high"))
    known = {key: "" if row.get(key) is None else format_value(row[key], low, high) for key in ("value", "low", "high")}
    share = "" if row.get("share") is None else f"{row['share']:.0%}"
    seconds = f"{row['seconds']:.1f}" if row["seconds"] else ""
    return {**row, **known, "share": share, "seconds": seconds, "verdict": row.get("verdict", "")}


def write_command(folder: Path) -> str:
    """Return the command that runs every stage with what the best point was given; empty if there is no best."""
    found = read_sweep(folder)
    best = next((row["point"] for row in found["rows"] if row["run"] and row["run"] == found["best"]), 0)
    if not best:
        return ""
    given = [*found["settings"], *found["own"][best - 1]]
    return shlex.join(["nbkit", "run", *found["files"], *(word for text in given for word in ("--set", text))])


def _sum_up(found: dict[str, Any]) -> tuple[str, str]:
    """Return in a few words what came of a sweep, and ``good``, ``bad`` or ``unsure``."""
    if found["status"] in ("running", "interrupted"):
        return "Not every point has ended", "unsure"
    if not found["best"]:
        return "No point has a score", "bad"
    if found["alike"]:
        return (
            f"{len(found['alike']) + 1} of {format_count(len(found['rows']), 'point')} cannot be told apart",
            "unsure",
        )
    return f"{found['best']} has the best score", "good" if found["optimism"] is not None else "unsure"
