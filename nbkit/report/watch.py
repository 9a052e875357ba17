"""What the front page asks people to watch: groups, weak spots, what was never learned, data, the explanation."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.contract import describe_column
from nbkit.lifecycle import EVALUATE, EXPLAIN, FRAME, INGEST, VALIDATE
from nbkit.report.judgement import describe_alternatives
from nbkit.report.scraps import read_or, read_rows
from nbkit.wording import end_sentence, format_count, format_estimate, format_share, format_value

MISFIT, OUTSIDE = 0.25, 0.05  # shares from which to tell: of bins (3 of 10 are 1 in 100 by chance), of rows
CHANCE = 0.001  # that training has narrower ends by itself: of two ends of fifty columns one in ten is told in vain
SIDES = {"below": "lowest", "above": "highest"}


def read_watch(folder: Path, told: Sequence[str] = ()) -> pd.DataFrame:
    """Read what to watch: topic, sentence, page (of the stage that found it); but for what is `told` already.

    Columns are called as in the contract.
    """
    groups = [row for row in read_rows(folder, EVALUATE, "group_verdicts") if row["verdict"] != "pass"]
    groups = [row for row in groups if row["sentence"] not in told]
    order, check = read_or(folder, INGEST, "order", {}), read_rows(folder, EXPLAIN, "check")
    contract = read_or(folder, VALIDATE, "contract", None)
    remedies, broken = read_rows(folder, EVALUATE, "remedies"), read_rows(folder, VALIDATE, "violations")[:3]
    costs = describe_alternatives(folder, "inconclusive") if read_or(folder, FRAME, "costs", {"": 1.0}) else []
    found = [
        *((f"Groups by {_name(contract, row)}", _reword(contract, row, "sentence"), EVALUATE) for row in groups),
        *(("Remedy", _reword(contract, row, "sentence"), EVALUATE) for row in remedies),
        *(("Weak spot", words, EVALUATE) for words in _list_weak(folder, contract)[:3]),
        *(("Not learned", words, EVALUATE) for words in _list_outside(folder, contract)[:2]),
        *(("Calibration", words, EVALUATE) for words in _list_misfits(folder)),
        *(("Cost", words.removeprefix("Cost: "), EVALUATE) for words in costs),
        *(("Data", f"{_reword(contract, row, 'message')} ({row['severity']})", VALIDATE) for row in broken),
        *([] if order.get("respected", True) else [("Order of the rows", order["sentence"], INGEST)]),
    ]
    if check:
        from nbkit.explanation import NOT_FIRM, judge_firmness

        stable, many = float(check[0].get("top5_stable", math.nan)), len(read_rows(folder, EXPLAIN, "importance"))
        if judge_firmness(stable, many) == NOT_FIRM:
            found.append(("Explanation", read_or(folder, EXPLAIN, "firmness"), EXPLAIN))
    rows = [(topic, end_sentence(words), page) for topic, words, page in found]
    return pd.DataFrame(rows, columns=["topic", "sentence", "page"])


def _name(contract: Any, row: Mapping[Any, Any]) -> str:
    return describe_column(contract, str(row.get("column", "group")))[0]


def _reword(contract: Any, row: Mapping[Any, Any], what: str) -> str:
    """Return the sentence of a row in which the column that it is about is called as in the contract."""
    own = re.escape(str(row.get("column") or "group"))
    return re.sub(rf"(?<!\w){own}(?!\w)", lambda _: _name(contract, row), str(row[what]).rstrip("."), count=1)


def _list_outside(folder: Path, contract: Any) -> list[str]:
    """Say which columns leave the range that training has seen, the farthest first."""
    known = [row for row in read_rows(folder, EVALUATE, "outside") if row["chance"] < CHANCE]
    rows = [(row[side], side, row) for row in known if row[side := max(SIDES, key=row.__getitem__)] >= OUTSIDE]
    return [
        f"In {format_share(share)} of the test rows {_name(contract, row)} is {side} the {SIDES[side]} in training"
        f"{math.isfinite(end := row[SIDES[side]]) * f', {format_value(end)}'}: the model has learned from no such row."
        for share, side, row in sorted(rows, key=lambda each: -each[0])
    ]


def _list_misfits(folder: Path) -> list[str]:
    """Say where stated probabilities differ from what came, if they do in more bins than chance would have it."""
    bins = [row for row in read_rows(folder, EVALUATE, "calibration") if "class" not in row]
    problem = read_or(folder, FRAME, "problem", None)
    out = [row for row in bins if row["low"] > row["predicted"] or row["high"] < row["predicted"]]
    if getattr(problem, "task", "") != "binary" or len(out) < 3 or len(out) < MISFIT * len(bins):
        return []
    told = [f"{format_share(row['predicted'])} where {format_share(row['observed'])} came" for row in (out[0], out[-1])]
    return [f"In {len(out)} of {len(bins)} bins the stated probability is off, such as {' and '.join(told)}."]


def _list_weak(folder: Path, contract: Any) -> list[str]:
    """Say where it errs: the worst slices of one column, the parts of the error tree, the worst slices of two."""
    slices = [row for row in read_rows(folder, EVALUATE, "slices") if row.get("verdict") == "worse"]
    problem = read_or(folder, FRAME, "problem", None)
    weak = _describe_slices(problem, contract, slices)
    far = getattr(problem, "task", "") == "regression"
    head, tail = ("Errors are", "as large") if far else ("Wrong decisions are", "as frequent")
    for row in read_rows(folder, EVALUATE, "error_tree"):
        if row["verdict"] == "worse":
            times = format_estimate(row["lift"], row["low"], row["high"])
            words = f"{head} {times} times {tail} as on the whole where {row['rule']}, on "
            weak.append(f"{words}{format_count(row['n'], 'row')}.")
    pairs = [row for row in read_rows(folder, EVALUATE, "worst") if "gap" in row]
    return weak + _describe_slices(problem, contract, pairs)


def _describe_slices(problem: Any, contract: Any, rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Say for which rows predictions are further off than on the whole, the farthest first."""
    far = getattr(problem, "task", "") == "regression"
    scale, unit = (1, describe_column(contract, problem.target)[1]) if far else (100, "points")
    found = []
    for row in sorted(rows, key=lambda each: -each["gap_low"]):
        off = format_estimate(scale * row["gap"], scale * row["gap_low"], scale * row["gap_high"], unit)
        parts = [str(row[name]).split(" and ") for name in ("column", "slice")]
        parts = parts if len(parts[0]) == len(parts[1]) else [[str(row["column"])], [str(row["slice"])]]
        where = ", ".join(f"{describe_column(contract, name)[0]} {level}" for name, level in zip(*parts, strict=True))
        words = f"predictions are off by {off} more than on the whole"
        found.append(f"{where}: {words}, on {format_count(row['n'], 'row')}.")
    return found
