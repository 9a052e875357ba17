"""The split that is proposed for a table: the most demanding one that can be made of it."""

from typing import Any

import pandas as pd

from nbkit.data.splits import split_table
from nbkit.errors import BadSource, BadSplit
from nbkit.leakage.order import judge_order
from nbkit.leakage.places import is_sorted_by
from nbkit.problem import Problem
from nbkit.wording import format_count

LEAST = 50  # rows that a window of the monitor should have


def propose_split(
    table: pd.DataFrame, problem: Problem, order: pd.DataFrame | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the first split that can be made of this table, in the order of how much it demands."""
    target, time, group = problem.target, problem.time, problem.group
    few = len(table) < 500  # then more of them judge, fewer wait for the monitor
    shares = {"valid": 0.15, "test": 0.2 if few else 0.15, "production": 0.1 if few else 0.15}
    ways: list[tuple[str, Any, str]] = []
    if time:
        ways.append(("time", _choose_windows(table[time], shares["production"]), "the past teaches, the future judges"))
    notes = []
    if order is not None:
        found = judge_order(order, "random")
        notes.append(found["sentence"])
        if found["respected"] is False and not is_sorted_by(table[target]):
            ways.append(("position", 2, "the first rows teach, the last ones judge and are watched"))
    if group:
        ways.append(("group", 2, f"no {group} is in two parts"))
    if problem.is_classification:
        ways.append(("stratified", 2, f"at random, with the same shares of {target} in each part"))
    ways.append(("random", 2, "at random"))
    for by, windows, words in ways:
        spec = {"by": by, **shares, "windows": windows}
        try:
            parts = split_table(table, spec, problem)
            if problem.is_classification and parts.test[target].nunique() < 2:
                raise BadSplit(f"all of test has {target} {parts.test[target].iloc[0]}")
        except BadSplit as error:
            notes.append(f"no split by {by}: {error}")
            continue
        notes.append(f"split by {time if by == 'time' else by}: {words}")
        if group and by != "group":
            words = "they may be in two parts; if the model is to be used on others, let the split be by group"
            notes.append(f"{group} comes again in several rows: {words}")
        return spec, notes
    raise BadSource(f"the {format_count(len(table), 'row')} cannot be split: {notes[-1]}")


def _choose_windows(times: "pd.Series[Any]", production: float) -> str | int:
    """Choose months or weeks if the last share of the rows fills several of them, else a number of windows."""
    days, rows = (times.max() - times.min()).days * production, len(times) * production
    for name, length in (("month", 30), ("week", 7)):
        if days / length >= 2 and rows * length / days >= LEAST:
            return name
    return int(min(max(rows // LEAST, 2), 4))
