"""The headlines of training, evaluation and explanation: one sentence each, every number from the tables."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from nbkit.model.selection import Selection
from nbkit.wording import say_count

BASELINES = {"rule": "today's rule", "dummy": "the dummy"}


def summarize_training(scores: pd.DataFrame, selection: Selection, best: str) -> str:
    """Return the headline of a training.

    Parameters
    ----------
    scores
        The problem's metric on the valid split, one row a candidate, as `nbkit.model.score` returns it.
    selection
        From `compare_with_best`, on the same rows.
    best
        The candidate that goes on.
    """
    row, metric, alike = scores.to_dict("index")[best], scores.index.name or "metric", _list_alike(selection)
    tried = [name for name in scores.index if name not in BASELINES]
    others = [_name(each) for each in alike if each not in (*BASELINES, best)]
    name = _name(best)
    if best != selection.best:
        said = f"{name} is the simplest that is not told apart from {_join([_name(selection.best), *others])}"
    elif best in BASELINES:
        said = f"{name} does better than {_join(tried)}" if tried else f"{name} does best"
    else:
        said = f"{name} does best of {_join(tried)}" if len(tried) > 1 else f"{name} is the only candidate"
    said += f": {metric} {say_interval(row)} on {say_count(int(row['n']), 'validation row')}"
    if best == selection.best and others:
        said += f", not told apart from {_join(others)}"
    if best != "rule" and "rule" in scores.index:
        constant = "dummy" in scores.index and scores["value"]["rule"] == scores["value"]["dummy"]
        rule = "a constant answer (no rule is stated)" if constant else BASELINES["rule"]
        said += f"; {rule} {scores['value']['rule']:.3f}"
        said += ", not told apart either" if "rule" in alike else ""
    return f"{said[0].upper()}{said[1:]}."


def say_interval(row: Any) -> str:
    """Write a row of scores as its value with its interval, or say that there are too few rows for one."""
    return "not known" if pd.isna(row["value"]) else f"{row['value']:.3f}{say_limits(row, ' (', '.3f', ')')}"


def _list_alike(selection: Selection) -> list[str]:
    table = selection.table
    return list(table.index[(table["verdict"] == "inconclusive") & table["difference"].notna()])


def _name(candidate: str) -> str:
    return BASELINES.get(candidate, candidate)


def _join(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def say_limits(row: Any, before: str, form: str, after: str) -> str:
    """Return the interval in words, or that there are too few to say."""
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return f"{before}too few to say how sure{after}"
    return f"{before}{row['low']:{form}} to {row['high']:{form}}{after}"
