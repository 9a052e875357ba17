"""What the front page says beside the verdict: large numbers, costs, what drives a prediction, what changed."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.lifecycle import DEPLOY, EVALUATE, EXPLAIN, FRAME, INGEST, REGISTER
from nbkit.record import RunRecord, iterate_runs, read_record
from nbkit.report.judgement import open_registry
from nbkit.report.scraps import read_or, read_rows
from nbkit.wording import capitalize, describe, end_sentence, format_estimate, format_value

Plain = bool | int | float
Score = tuple[str, float, float, float]  # a metric, its value, and the ends of its interval
CARDS = 4  # large numbers
PRICED = {  # which cost is for what
    "false_positive": "acting in vain", "false_negative": "a missed case", "over": "each unit too high",
    "true_positive": "acting on a case", "true_negative": "rightly not acting", "under": "each unit too low",
}  # fmt: skip
PER_ROW = "saved per row"  # which the costs below show
REQUIREMENTS = {  # how a limit of 01 is said on a card
    "latency_p95_ms": ("{:,.0f} ms", "response time of 95 % of the requests, several at once (limit {:,.0f} ms)"),
    "throughput_rps": ("{:,.0f}/s", "requests answered each second ({:,.0f} are needed)"),
}


def read_cards(folder: Path) -> pd.DataFrame:
    """Read the large numbers: what the model is worth (07), and the first limit that the service was held to (10).

    Returns
    -------
    DataFrame
        big (a number with its unit), words (what it is, on how many rows, with its interval).
    """
    answer = read_rows(folder, EVALUATE, "answer")
    known = [row for row in answer if math.isfinite(row["value"]) and row["what"] != PER_ROW]
    rows = [(_enlarge(row), f"{end_sentence(row['sentence'])}{_compare_cheapest(folder, row)}") for row in known]
    for row in read_rows(folder, DEPLOY, "required"):
        if row["requirement"] in REQUIREMENTS:
            big, words = REQUIREMENTS[row["requirement"]]
            rows.append((big.format(row["measured"]), words.format(row["limit"])))
    return pd.DataFrame(rows[:CARDS], columns=["big", "words"])


def _compare_cheapest(folder: Path, card: Mapping[Any, Any]) -> str:
    """Hold the money that a card names against the cheapest way without a model, unless that is the one it names."""
    rows = read_rows(folder, EVALUATE, "alternatives")
    costs = [row for row in rows if math.isfinite(row.get("cost_per_row", math.nan))]
    cheapest = min(costs, key=lambda row: row["cost_per_row"], default=None)
    if not str(card["what"]).startswith("saved") or not cheapest or cheapest["alternative"] in card["sentence"]:
        return ""
    saved, low, high = (0.0 - cheapest["n"] * float(cheapest[name]) for name in ("difference", "high", "low"))
    words = f"saves {format_estimate(saved, low, high, card['unit'])}" if low > 0 else "is not shown to save anything"
    words = f"costs {format_estimate(-saved, -high, -low, card['unit'])} more" if high < 0 else words
    return f" The cheapest way without a model is {cheapest['alternative']}: against that the model {words}."


def _enlarge(row: Mapping[Any, Any]) -> str:
    """Write a value with its unit, in the digits of the sentence beside it."""
    scale, unit = (100, "%") if row["unit"] == "share" else (1, row["unit"])
    return f"{format_value(*(scale * float(row[name]) for name in ('value', 'low', 'high')))} {unit}".strip()


def read_costs(folder: Path) -> pd.DataFrame:
    """Read what deciding otherwise would cost, and the model, the dearest first.

    Returns
    -------
    DataFrame
        way (of deciding), cost (with its currency), share (of the dearest, 0 to 1), own (whether it is the model); the
        attribute `basis` says in a sentence which costs were stated.
    """
    stated = read_or(folder, FRAME, "costs", {"": 1.0})
    rows = [row for row in read_rows(folder, EVALUATE, "alternatives") if "alternative" in row] if stated else []
    costs = {str(row["alternative"]): float(row["cost_per_row"]) for row in rows}
    if rows:
        costs["the model"] = float(rows[0]["model"])
    known = {way: cost for way, cost in costs.items() if math.isfinite(cost)}
    most, currency = max(known.values(), default=0.0), str(read_or(folder, FRAME, "currency"))
    found = [
        (capitalize(way), f"{format_value(cost)} {currency}".strip(), max(cost / most, 0.0), way == "the model")
        for way, cost in sorted(known.items(), key=lambda pair: -pair[1])
        if most > 0
    ]
    table = pd.DataFrame(found, columns=["way", "cost", "share", "own"])
    priced = [f"{format_value(stated[name])} {currency} for {PRICED[name]}" for name in PRICED if name in stated]
    table.attrs["basis"] = f"Stated in 01: {', '.join(priced)}; all else costs nothing." if priced else ""
    return table


def read_drivers(folder: Path) -> list[str]:
    """Read what drives a prediction, the strongest first, where a direction was found."""
    unsure = {row["feature"] for row in read_rows(folder, EXPLAIN, "permuted") if not row["low"] > 0}
    drivers = [row for row in read_rows(folder, EXPLAIN, "drivers") if row.get("clear", True)]
    doubt = " (not shown to help on new rows)"
    return [end_sentence(f"{row['sentence']}{doubt * (row['feature'] in unsure)}") for row in drivers]


def describe_changes(folder: Path, record: RunRecord) -> list[str]:
    """Describe what is different from the run of the project before this one, and from the version in production."""
    score, found = _read_score(folder), []
    if before := _find_before(folder, record):
        found += _describe_before(folder, record, before, score)
    reference = str(read_or(folder, REGISTER, "version"))
    try:
        name = reference.partition("@")[0]
        production = open_registry(folder, record).get(f"{name}@production") if reference else None
    except (NbkitError, OSError, ValueError):
        production = None
    if production is not None and production.reference == reference:
        found.append(f"{reference} is in production.")
    elif production is not None:
        words = f"In production is {production.reference}"
        scores = production.scores
        if score and score[0] in scores.index:
            then, now = (format_value(value, *score[2:]) for value in (scores.loc[score[0], "value"], score[1]))
            words += f": {describe(score[0])} {then} on its own test rows, here {now}"
        found.append(f"{words}.")
    return found


def _describe_before(folder: Path, record: RunRecord, before: Path, score: Score | None) -> list[str]:
    """Describe what is different from another run."""
    other, earlier, found = read_record(before), _read_score(before), []
    if score and earlier and score[0] == earlier[0]:
        then, now = (format_value(value, *score[2:]) for value in (earlier[1], score[1]))
        found.append(f"{capitalize(describe(score[0]))}: {then} in {before.name}, now {now}.")
    data = [str(read_or(each, INGEST, "version")) for each in (before, folder)]
    found.append(f"Data: {'the same rows as' if data[0] == data[1] else 'other rows than'} in {before.name}.")
    changed = _list_changed(other.parameters, record.parameters)
    said = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    found.append(f"Parameters changed: {said}." if changed else "Parameters: no change.")
    commits = [each.surroundings.git.commit for each in (other, record)]
    if all(commits):
        same = commits[0] == commits[1]
        found.append("Code: the same commit." if same else f"Code: {commits[0][:8]} then, {commits[1][:8]} now.")
    return found


def _list_changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List parameters that differ, as STAGE.NAME; those of a plain value with what it was and is."""
    return [
        f"{stage}.{name}" + f" ({before[stage].get(name)} → {now[stage][name]})" * isinstance(now[stage][name], Plain)
        for stage in now
        for name in now[stage]
        if name != "run_dir" and stage in before and before[stage].get(name) != now[stage][name]
    ]


def _find_before(folder: Path, record: RunRecord) -> Path | None:
    """Return the latest run of the project before this one that came to its scores."""
    return next(
        (
            run
            for run, known in iterate_runs(folder.parent.parent)
            if known.project == record.project and known.started < record.started and _read_score(run)
        ),
        None,
    )


def _read_score(folder: Path) -> Score | None:
    """Return the metric by which models are judged, and its value on test with its interval."""
    problem = read_or(folder, FRAME, "problem", None)
    scores = {row.get("metric"): row for row in read_rows(folder, EVALUATE, "scores") if "value" in row}
    metric = getattr(problem, "metric", "")
    ends = [float(scores[metric].get(name, math.nan)) for name in ("value", "low", "high")] if metric in scores else []
    return (metric, ends[0], ends[1], ends[2]) if ends else None
