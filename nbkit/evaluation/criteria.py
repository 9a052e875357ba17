"""The success criteria: read from params before anything is trained, judged once the test split has spoken."""

import re
from collections.abc import Mapping
from operator import ge, gt, le, lt
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadCriterion
from nbkit.evaluation.words import describe_need, name_metric
from nbkit.model.metrics import MEASURES, METRICS, known_metrics
from nbkit.wording import describe, format_value, suggest

REQUIREMENTS: dict[str, tuple[str, str]] = {  # of the service: column of measure_latency, "max" at most, "min" at least
    "latency_p50_ms": ("p50_ms", "max"),
    "latency_p95_ms": ("p95_ms", "max"),
    "latency_p99_ms": ("p99_ms", "max"),
    "latency_max_ms": ("max_ms", "max"),
    "errors": ("errors", "max"),
    "throughput_rps": ("throughput_rps", "min"),
}
REFERENCES = {"rule": "rule", "dummy": "dummy", "baseline": "dummy", "constant": "dummy"}
SPOKEN = {"rule": "the rule in use today", "dummy": "a constant prediction"}
COMPARE = {">=": ge, ">": gt, "<=": le, "<": lt}
OPERATORS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
LEANING = ("ece", "slice_gap", "rate_ratio")  # move to one side as rows become more: how many would tell is not known
PREFERRED = {"higher": "more", "lower": "less", "zero": "nearer to zero"}
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
PATTERN = re.compile(
    rf"^\s*(?:(?P<metric>[a-z]\w*)\s*(?=[<>\s]))?(?P<operator>>=|<=|>|<)?\s*(?:(?P<number>[-+]?{NUMBER}%?)"
    rf"|(?P<reference>[a-z]+)(?:\s*(?P<margin>[-+]\s*{NUMBER}))?)(?:\s+on\s+(?P<split>\w+))?\s*$",
    flags=re.IGNORECASE,
)


def read_criteria(criteria: Mapping[str, Any] | None, task: str, *, rule: bool = True) -> pd.DataFrame:
    """Read success criteria.

    Parameters
    ----------
    criteria
        Name to what is demanded: ``roc_auc: ">= 0.65"``, ``brier: "<= 0.17"``, ``roc_auc: "> rule"`` (better than the
        rule in use today; also ``dummy``), with a margin ``"> rule + 0.02"``. All are judged on the test split: the
        valid split has chosen the model and its threshold, and flatters both. The name is a metric of the task (see
        `known_metrics`) or one of these three: ``cost_per_row`` (what a decision costs on average, in the currency of
        the costs: ``"<= 12"``), ``slice_gap`` (by how much predictions are off in the worst slice with enough rows,
        beyond what they are on the whole, in units of the target or as a probability: ``"<= 0.05"``), ``rate_ratio``
        (binary, with protected columns: the share acted on in the least favoured group over that in the most favoured
        one: ``">= 0.8"``, the four-fifths rule). Or the name is any words, and then the metric comes first in the
        value: ``beats the rule: "roc_auc > rule"``. A number alone means at least or at most, whichever is better.
    task
        "binary", "multiclass" or "regression".
    rule
        Whether there is a rule in use today. Where there is none, ``> rule`` is read as ``> dummy``.

    Returns
    -------
    DataFrame
        Columns `name`, `metric`, `operator`, `bound` (a number; of a comparison the margin, 0 if none), `reference`
        ("", rule or dummy), `words` (a sentence).

    Raises
    ------
    BadCriterion
        If a criterion cannot be read, or names what there is not; the message says what is nearest.

    Examples
    --------
    >>> table = read_criteria({"roc_auc": ">= 0.65", "beats the rule": "brier < rule"}, "binary")
    >>> table[["metric", "operator", "bound", "reference"]].values.tolist()
    [['roc_auc', '>=', 0.65, ''], ['brier', '<', 0.0, 'rule']]
    """
    if criteria is not None and not isinstance(criteria, Mapping):
        raise BadCriterion(f'criteria are written as name: "demand", such as roc_auc: ">= 0.65"; got {criteria!r}')
    rows = [_read(str(name), value, task, rule=rule) for name, value in (criteria or {}).items()]
    columns = ["name", "metric", "operator", "bound", "reference", "words"]
    return pd.DataFrame(rows, columns=columns).astype({"bound": float})


def check_requirements(requirements: Mapping[str, Any]) -> None:
    """Check that each limit is on something that 10_deploy measures.

    Raises
    ------
    BadCriterion
        An unknown requirement, with the nearest there is.
    """
    for name in requirements:
        if name not in REQUIREMENTS:
            raise BadCriterion(f"unknown requirement {name!r}{suggest(name, REQUIREMENTS)}")


def judge(
    criteria: pd.DataFrame,
    scores: pd.DataFrame,
    reference: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Judge a model by the criteria.

    Parameters
    ----------
    criteria
        From `read_criteria`.
    scores
        The model's scores as `nbkit.model.score` returns them, with rows of `score_cost`, `slice_gap` or
        `rate_ratio` appended where a criterion asks for them.
    reference
        "rule" and "dummy" to the table of `nbkit.model.compare` that holds the model against it.

    Returns
    -------
    DataFrame
        Columns `name`, `words` (what is measured, for a layman), `today` (the rule's value on the same rows, NaN where
        there is none), `target` (in words), `value`, `low`, `high`, `verdict` and `why`. The verdict is **pass** if the
        whole 95 % interval satisfies the criterion, **fail** if none of it does, **inconclusive** if the bound lies
        inside the interval or a number is missing. A comparison is judged by the difference (model − reference). Where
        rows are too few to tell, `why` says about how many would, by the column `n` of the scores.
    """
    rows = [_judge(criterion, scores, reference or {}) for criterion in criteria.to_dict("records")]
    columns = ["name", "words", "today", "target", "value", "low", "high", "verdict", "why"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(("today", "value", "low", "high"), float))


def _read(name: str, value: Any, task: str, *, rule: bool) -> tuple[Any, ...]:
    found = PATTERN.match(str(value))
    if isinstance(value, bool) or not found:
        raise BadCriterion(f'criterion {name!r}: cannot read {value!r}; write ">= 0.65", "<= 0.17" or "> rule + 0.02"')
    metric = found["metric"] or name
    better, words = _find_measure(metric, task, name)
    operator = found["operator"] or (">=" if better == "higher" else "<=")
    if (operator[0] == ">") != (better == "higher"):
        raise BadCriterion(f"criterion {name!r}: of {metric} {PREFERRED[better]} is better, yet it demands {value!r}")
    if (split := (found["split"] or "test").lower()) != "test":
        why = "the valid split has chosen the model and its threshold" if split == "valid" else f"there is no {split!r}"
        raise BadCriterion(f"criterion {name!r}: criteria are judged on the test split ({why}): leave out 'on {split}'")
    if word := found["reference"]:
        if word.lower() not in REFERENCES:
            near = suggest(word.lower(), REFERENCES)
            raise BadCriterion(f"criterion {name!r}: nothing to compare with called {word!r}{near}")
        bound, reference = float((found["margin"] or "0").replace(" ", "")), REFERENCES[word.lower()]
        reference = "dummy" if reference == "rule" and not rule else reference
        target = f"that of {SPOKEN[reference]}" + (f" {bound:+g}" if bound else "")
    else:
        number, reference = found["number"], ""
        bound = float(number.rstrip("%")) / (100 if number.endswith("%") else 1)
        target = f"{bound:g}"
    what = f"{'the size of ' if better == 'zero' else ''}{describe(metric).partition(' (')[0]} ({words})"
    sentence = f"{what} is {OPERATORS[operator]} {target} on the test split"
    return name, metric, operator, bound, reference, sentence


def _find_measure(metric: str, task: str, name: str) -> tuple[str, str]:
    if metric in MEASURES:
        return MEASURES[metric]
    known = known_metrics(task)
    if metric in known:
        return METRICS[metric].better, METRICS[metric].words
    raise BadCriterion(f"criterion {name!r}: no metric {metric!r} for {task}{suggest(metric, [*known, *MEASURES])}")


def _judge(criterion: dict[Any, Any], scores: pd.DataFrame, reference: Mapping[str, pd.DataFrame]) -> tuple[Any, ...]:
    metric, other, bound = criterion["metric"], criterion["reference"], criterion["bound"]
    value, low, high = _look_up(scores, metric)
    bases = {name: _look_up(reference.get(name), metric, "reference")[0] for name in {"rule", other} - {""}}
    target = describe_target(criterion, bases.get(other, np.nan), low, high)
    zero = metric in METRICS and METRICS[metric].better == "zero"
    if not other and COMPARE[criterion["operator"]](abs(bases["rule"]) if zero else bases["rule"], bound):  # no NaN is
        target += ", which today's rule meets, too"
    head = (criterion["name"], describe_measure(metric), bases["rule"], target)
    if not np.isfinite(value):
        return *head, value, low, high, "inconclusive", f"{metric} was not measured on the test split"
    seen = (value, low, high)
    what = metric
    if other:
        seen = _look_up(reference.get(other), metric, "difference")
        what = f"the difference to {SPOKEN[other]}"
        if not np.isfinite(seen[0]):
            return *head, value, low, high, "inconclusive", f"there is no {metric} of {SPOKEN[other]} to compare with"
    elif zero:
        seen, what = _size(*seen), f"the size of {metric}"
    rows = float(scores["n"].max()) if "n" in scores and metric not in LEANING else np.nan
    return *head, value, low, high, *_decide(criterion["operator"], bound, *seen, what, rows)


def describe_measure(metric: str) -> str:
    """Describe what is measured, for a layman: "ROC AUC: the chance that a case is ranked above …"."""
    words = METRICS[metric].words if metric in METRICS else MEASURES.get(metric, ("", ""))[1]
    return f"{name_metric(metric)}: {words}".removesuffix(": ")  # a metric of a project may not be loaded here


def describe_target(
    criterion: Mapping[Any, Any], base: float = np.nan, low: float = np.nan, high: float = np.nan
) -> str:
    """Describe what is demanded: "at least 0.65", or "better than today's 0.662"."""
    other, bound = criterion["reference"], criterion["bound"]
    if not other:
        return f"{OPERATORS[criterion['operator']]} {bound:g}"
    than = {"rule": "today's", "dummy": "a constant prediction's"}.get(other, f"the {other}'s")
    better = "no worse than" if criterion["operator"].endswith("=") else "better than"
    value = format_value(base, low, high) if np.isfinite(base) else "value"
    return f"{better} {than} {value}" + (f" by {abs(bound):g}" if bound else "")


def _look_up(table: pd.DataFrame | None, metric: str, column: str = "value") -> tuple[float, float, float]:
    """Return a number of a metric with the limits in its row."""
    if table is not None and "metric" in table.columns:
        table = table.set_index("metric")
    if table is None or metric not in table.index:
        return np.nan, np.nan, np.nan
    value, low, high = (float(table[name][metric]) for name in (column, "low", "high"))
    return value, low, high


def _size(value: float, low: float, high: float) -> tuple[float, float, float]:
    inside = low <= 0 <= high
    return abs(value), 0.0 if inside else min(abs(low), abs(high)), max(abs(low), abs(high))


def _decide(
    operator: str, bound: float, value: float, low: float, high: float, what: str, rows: float = np.nan
) -> tuple[str, str]:
    if np.isnan(low) or np.isnan(high):
        return "inconclusive", f"{what} is {format_value(value)}, on too few rows, cases or blocks to say how sure"
    holds = [COMPARE[operator](end, bound) for end in (low, high)]
    ends = (format_value(end, low, high) for end in (low, high))
    span = f"{what} is {format_value(value, low, high)}, between {' and '.join(ends)}"
    if all(holds):
        return "pass", f"{span}: all of it is {operator} {bound:g}"
    if not any(holds):
        return "fail", f"{span}: none of it is {operator} {bound:g}"
    half, off = value - low if bound < value else high - value, abs(value - bound)
    needed = np.nan if not low <= value <= high else rows * (half / off) * (half / off) if off else np.inf
    return "inconclusive", f"{span}: {bound:g} lies inside; {describe_need(needed, rows)}"
