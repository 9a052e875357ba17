"""What other runs tell about a run: who judged on the same rows before it, and what the monitor has found since."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.lifecycle import EVALUATE, FRAME, INGEST, MONITOR, REGISTER
from nbkit.record import iterate_runs, read_record
from nbkit.report.scraps import read_or, read_rows
from nbkit.scraps import digest_value, read_scraps
from nbkit.wording import format_count

Key = tuple[str, str]
Bound = tuple[float, str]
ASKED = ("metric", "operator", "bound", "reference")
COLUMNS = ["window", "decision", "headline", "found", "run", "page"]


def read_since(folder: Path) -> pd.DataFrame:
    """List the windows in which the version that a run registered was looked at, the latest look at each.

    Parameters
    ----------
    folder
        The run that registered the version.

    Returns
    -------
    DataFrame
        window, decision, headline, found (what asks for a person there, and what to do), run, page (a copy of what the
        monitor said, in this report), sorted by window.
    """
    digest = read_or(folder, REGISTER, "digest")
    looks: dict[str, tuple[str, ...]] = {}
    for other, _ in iterate_runs(folder.parent.parent) if digest else ():  # newest first
        if other != folder and read_or(other, MONITOR, "digest") == digest:
            window, decision, headline = (str(read_or(other, MONITOR, name)) for name in COLUMNS[:3])
            todo: dict[str, list[str]] = {}
            for row in read_rows(other, MONITOR, "reasons"):
                if row["severity"] in ("critical", "warning") or row["finding"].startswith("criterion "):
                    todo.setdefault(row["action"], []).append(row["finding"])
            found = "; ".join(f"{', '.join(findings)} → {action}" for action, findings in todo.items())
            looks.setdefault(window, (window, decision, headline, found, other.name))
    rows = [(*looks[window], f"window_{place}.html") for place, window in enumerate(sorted(looks), start=1)]
    return pd.DataFrame(rows, columns=COLUMNS)


def find_earlier(folder: Path) -> list[Path]:
    """Return the runs that were judged before a run on the same rows, newest first, whatever their params are called.

    The rows are the same if the snapshot is, or the test rows, and the same column is to be predicted.
    """
    started, rows, asked = read_record(folder).started, _read_rows(folder), _read_question(folder)
    return [
        run
        for run, known in (iterate_runs(folder.parent.parent) if rows else ())
        if known.started < started
        and rows & _read_rows(run)
        and _read_question(run) == asked
        and read_or(run, EVALUATE, "headline")
    ]


def _read_rows(folder: Path) -> set[str]:
    """Return the digests of the snapshot and of the test rows; empty if a run did not come to them."""
    try:
        scraps = read_scraps(folder / f"{INGEST}.ipynb")
    except (NbkitError, OSError, ValueError):
        return set()
    return {digest_value(scraps[name]) for name in ("version", "test") if name in scraps}


def _read_question(folder: Path) -> tuple[Any, ...]:
    problem = read_or(folder, FRAME, "problem", None)
    return tuple(getattr(problem, name, None) for name in ("target", "task", "positive"))


def _list_criteria(folder: Path) -> list[tuple[str, ...]]:
    """Return what the criteria of a run ask for, however that was worded."""
    rows = read_rows(folder, FRAME, "criteria")
    return [tuple(str(row.get(name, row["words"])) for name in ASKED) for row in rows]


def list_loosened(folder: Path, earlier: Sequence[Path]) -> list[tuple[str, str, str, Path]]:
    """List the bounds that are less strict than those of an earlier run, or gone.

    Parameters
    ----------
    folder
        The run.
    earlier
        From `find_earlier`.

    Returns
    -------
    list of tuple
        What is judged, the strictest bound of an earlier run, what has become of it, and that run.
    """
    now, strictest = _read_bounds(folder), dict[Key, tuple[Bound, Path]]()
    for run in earlier:
        for key, found in _read_bounds(run).items():
            if key not in strictest or found[0] > strictest[key][0][0]:
                strictest[key] = found, run
    return [
        (key[0], before[1], now[key][1] if key in now else "", run)
        for key, (before, run) in strictest.items()
        if (key not in now and not (key[1] == "dummy" and (key[0], "rule") in now))  # a rule was stated since
        or (key in now and before[0] > now[key][0])
    ]


def find_threshold(folder: Path, earlier: Sequence[Path]) -> tuple[float, str]:
    """Return the threshold that a person has set, and an earlier run with another one; empty if neither is so."""
    own, *others = (read_record(run).parameters.get(EVALUATE, {}).get("threshold", -1.0) for run in (folder, *earlier))
    other = next((run.name for run, value in zip(earlier, others, strict=True) if value != own), "")
    return (own, other) if own >= 0 else (own, "")


def list_redeclared(folder: Path, earlier: Sequence[Path]) -> list[tuple[str, str, Path]]:
    """List the tests of behaviour that an earlier run declared otherwise, or that are gone: name, what became, run.

    Whether another declaration is less strict no rule can say in general: that is for a person to see.
    """
    now, found = _read_tests(folder), dict[str, tuple[str, str, Path]]()
    for run in earlier:
        for name, test in _read_tests(run).items():
            if test != now.get(name):
                became = "is declared otherwise than" if name in now else "is no longer declared as"
                found.setdefault(name, (name, became, run))
    return list(found.values())


def _read_tests(folder: Path) -> dict[str, Any]:
    tests = read_record(folder).parameters.get(EVALUATE, {}).get("behaviour") or []
    return {str(test.get("name", number)): test for number, test in enumerate(tests) if isinstance(test, dict)}


def _read_bounds(folder: Path) -> dict[Key, Bound]:
    """Return the strictest bound of each metric and reference: how strict (more is stricter), and as written."""
    found: dict[Key, Bound] = {}
    for row in read_rows(folder, FRAME, "criteria"):
        if "bound" not in row:
            continue
        bound, other = float(row["bound"]), row["reference"]
        words = f"{row['operator']} " + (f"{other}{f' {bound:+g}' if bound else ''}" if other else f"{bound:g}")
        strict = (bound if row["operator"].startswith(">") else -bound), words
        key = row["metric"], other
        found[key] = max(found.get(key, strict), strict)
    return found


def find_registering(root: Path, digests: Collection[str]) -> list[Path]:
    """Return the project's runs that registered versions with these digests."""
    return [folder for folder, _ in iterate_runs(root) if read_or(folder, REGISTER, "digest") in digests]


def describe_earlier(folder: Path, earlier: list[Path]) -> str:
    """State whether the criteria came before the verdict: who has seen the test rows can set them to be met."""
    mine = _list_criteria(folder)
    if other := next((run.name for run in earlier if _list_criteria(run) != mine), ""):
        return f"These are not the criteria of {other}, which was judged on the same rows before this run."
    if earlier:
        runs = format_count(len(earlier), "earlier run") + (" was" if len(earlier) == 1 else " were")
        return f"{runs} judged on these rows by the same criteria, which the intervals do not allow for."
    return "The criteria were stated before this run read the data, and no earlier run was judged on these rows."
