"""The page of a sweep: the best point and how sure that is, a picture and a table of all points."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import UnknownRun
from nbkit.project import SWEEP
from nbkit.report.pages import embed_json, find_template
from nbkit.store import write_atomic
from nbkit.sweep.plan import Sweep, read_sweep
from nbkit.wording import say_count


@dataclass(frozen=True)
class SweepPage:
    """All that the page of a sweep shows.

    Attributes
    ----------
    run, project, started
        Of the sweep.
    word, tone
        What came of it in a few words, and ``good``, ``bad`` or ``unsure``.
    claim
        Which point is best and how sure that is.
    points
        point, run, params, value, interval, difference, span, share, verdict, status, seconds, headline, page (empty if
        there is none).
    scored
        label, value, low, high of the points that have a score, the best first.
    metric
        Of the scores.
    again
        The command that runs every stage with what the best point was given; empty if there is none.
    notes
        What is to be known about the comparison.
    facts
        what, value: how this was made.
    """

    run: str
    project: str
    started: str
    word: str
    tone: str
    claim: str
    points: pd.DataFrame
    scored: pd.DataFrame
    metric: str
    again: str
    notes: list[str]
    facts: pd.DataFrame


def read_sweep_page(folder: Path) -> SweepPage:
    """Read a sweep for its page.

    Raises
    ------
    UnknownRun
        If it is no sweep, or has no table yet.
    """
    sweep = read_sweep(folder.parent.parent, folder.name)
    found = json.loads((folder / SWEEP).read_bytes())
    if "rows" not in found:
        raise UnknownRun(
            f"the sweep {sweep.name} has no table yet: `nbkit sweep --resume {sweep.name}` goes on with it"
        )
    rows = pd.DataFrame(found["rows"])
    word, tone = _sum_up(found, len(sweep.points))
    rows["label"] = [_label(row, sweep) for row in rows.to_dict("records")]
    known = rows[rows["value"].notna()]
    return SweepPage(
        run=sweep.name,
        project=sweep.project,
        started=sweep.started[:16].replace("T", " "),
        word=word,
        tone=tone,
        claim=str(found.get("claim", "")),
        points=_list_points(rows, sweep),
        scored=known[["label", "value", "low", "high"]],
        metric=str(known["metric"].iloc[0]) if len(known) else "",
        again=say_again(sweep, found.get("best", "")),
        notes=_explain(found, sweep),
        facts=_list_facts(sweep, found),
    )


def write_sweep_report(folder: Path) -> Path:
    """Write ``report/index.html`` of a sweep, and return where it is."""
    page = read_sweep_page(folder)
    target = folder / "report" / "index.html"
    write_atomic(target, render_sweep(page).encode())
    return target


def render_sweep(page: SweepPage) -> str:
    """Render the page."""
    picture, words = "", ""
    if len(page.scored):
        from nbkit.plots import draw_dots

        drawn = draw_dots(page.scored, "label", "value", f"{page.metric} of each point", unit=page.metric)
        picture, words = drawn.svg, drawn.alt
    twin = {"claim": page.claim, "points": json.loads(page.points.to_json(orient="records"))}
    return find_template("sweep.html.j2").render(
        o=page, picture=picture, words=words, twin=embed_json(twin), title=f"{page.project}: {page.word}"
    )


def say_again(sweep: Sweep, run: str) -> str:
    """Return the command that runs every stage with what a point was given; empty for no point."""
    names = [sweep.name_point(number) for number in range(1, len(sweep.points) + 1)]
    if run not in names:
        return ""
    given = [*sweep.settings, *sweep.own[names.index(run)]]
    return shlex.join(["nbkit", "run", *sweep.files, *(word for text in given for word in ("--set", text))])


def _sum_up(found: dict[str, Any], points: int) -> tuple[str, str]:
    status, alike = found.get("status"), len(found.get("alike", []))
    if not found.get("best"):
        return "No point has a score", "bad"
    if status == "interrupted":
        return "Interrupted", "unsure"
    if alike:
        return f"{alike + 1} of {say_count(points, 'point')} cannot be told apart", "unsure"
    return f"{found['best']} is best", "good"


def _label(row: dict[Any, Any], sweep: Sweep) -> str:
    return f"{row['point']}: {', '.join(sweep.say_point(row['point']).values())}"


def _list_points(rows: pd.DataFrame, sweep: Sweep) -> pd.DataFrame:
    short = [key.rpartition(".")[2] for key in sweep.points[0]]
    names = dict(zip(sweep.points[0], short if len(set(short)) == len(short) else sweep.points[0], strict=True))
    shown = []
    for row in rows.to_dict("records"):
        page = sweep.root / "runs" / row["run"] / "report" / "index.html"
        values = sweep.say_point(row["point"])
        shown.append(
            {
                "point": row["point"],
                "run": row["run"],
                "params": ", ".join(f"{names[key]} = {value}" for key, value in values.items()),
                "value": _say_number(row["value"]),
                "interval": _say_span(row["low"], row["high"]),
                "difference": _say_number(row["difference"]) if row["verdict"] not in ("best", "") else "",
                "span": _say_span(row["difference_low"], row["difference_high"]) if row["verdict"] != "best" else "",
                "share": "" if pd.isna(row["share"]) else f"{row['share']:.0%}",
                "verdict": row["verdict"],
                "status": row["status"],
                "seconds": row["seconds"],
                "headline": row["headline"],
                "page": f"../../{row['run']}/report/index.html" if page.is_file() else "",
            }
        )
    return pd.DataFrame(shown)


def _say_number(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:.4g}"


def _say_span(low: Any, high: Any) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f"{low:.4g} to {high:.4g}"


def _explain(found: dict[str, Any], sweep: Sweep) -> list[str]:
    unread = "The test rows are not read" if sweep.last == sweep.judge else "What later stages say does not count"
    notes = [
        f"Points are compared by what {sweep.judge} says of validation data. {unread}: who picks the best of many "
        "points by the test rows has learned from them."
    ]
    if found.get("basis") == "paired":
        notes.append(
            "The difference is by how much the best point is better on the same validation rows; its 95 % interval "
            "holds for all pairs of points together. A point whose interval holds 0 cannot be told apart from the "
            "best. First in: the share of the resamples in which a point is the best."
        )
    elif found.get("best"):
        why = f" ({found['why']})" if found.get("why") else ""
        notes.append(
            f"The models were not compared on the same rows{why}: a point counts as worse only where its interval is "
            "farther from the best one's than chance explains among so many."
        )
    if found.get("optimism"):
        notes.append(
            f"The best value is flattered by about {found['optimism']:.2g}: it was picked for being the best on these "
            "rows."
        )
    return notes


def _list_facts(sweep: Sweep, found: dict[str, Any]) -> pd.DataFrame:
    own = sweep.last if sweep.first == sweep.last else f"{sweep.first} to {sweep.last}"
    rows = [
        ("Sweep", sweep.name),
        ("Command", " ".join(sweep.command)),
        ("Params", ", ".join(sweep.files)),
        ("Settings", ", ".join(sweep.settings)),
        (
            "Shared by all points",
            f"up to {sweep.shared}, in the run {sweep.name_point(0)}" if sweep.shared else "nothing",
        ),
        ("Run by each point", own),
        ("Threads of a point", str(sweep.threads)),
        ("Started (UTC)", sweep.started[:19].replace("T", " ")),
        ("Ended (UTC)", str(found.get("ended", ""))[:19].replace("T", " ")),
    ]
    return pd.DataFrame([row for row in rows if row[1]], columns=["what", "value"])
