"""What kind of task a target makes, and which of its values counts as positive."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.errors import BadSource
from nbkit.wording import format_count

POSITIVE = ("1", "1.0", "true", "yes", "y", "positive", "churned", "default", "fraud", "bad", "late", "died", ">50k")


def read_target(column: "pd.Series[Any]", target: str) -> tuple[str, Any, list[str]]:
    """Return the task, the positive value, and what was decided; `BadSource` if the target cannot be learnt."""
    values, notes = column.dropna(), []
    if not len(values):
        raise BadSource(f"target {target!r} has no value in any row")
    if gone := len(column) - len(values):
        notes.append(f"left out: {format_count(gone, 'row')} without {target}")
    levels = sorted(values.unique().tolist(), key=str)
    if len(levels) == 1:
        raise BadSource(f"target {target!r} is always {levels[0]}: there is nothing to predict")
    kind = column_kind(values)
    if kind == "datetime":
        raise BadSource(f"target {target!r} is a date: predict a number of days instead, made by the query")
    if len(levels) == 2:
        positive = _guess_positive(levels, values)
        return "binary", positive, [*notes, f"{target} has two values: binary; {positive!r} counts as positive"]
    if kind == "number" and (odd := int((~np.isfinite(values)).sum())):
        raise BadSource(f"target {target!r} is infinite in {format_count(odd, 'row')}: correct them first")
    whole = kind == "number" and bool((values == values.round()).all())
    if kind == "number" and not (whole and len(levels) <= 10 and len(levels) <= len(values) / 10):
        return "regression", None, [*notes, f"{target} is a number of {format_count(len(levels), 'value')}: regression"]
    if len(levels) > max(50, len(values) / 10):
        raise BadSource(
            f"target {target!r} has {format_count(len(levels), 'different text')} "
            f"in {format_count(len(values), 'row')}: too many classes"
        )
    words = f"of {format_count(len(levels), 'value')}: multiclass"
    words = f"a whole number {words} (set task: regression if their order counts)" if whole else f"text {words}"
    return "multiclass", None, [*notes, f"{target} is {words}"]


def _guess_positive(levels: list[Any], values: "pd.Series[Any]") -> Any:
    for level in levels:
        if str(level).strip().casefold() in POSITIVE:
            return level
    counts = values.value_counts()
    return min(levels, key=lambda level: (counts[level], str(level)))
