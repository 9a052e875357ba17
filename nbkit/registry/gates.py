"""Gates: what must hold before a version may move on. A new gate is one decorated function."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbkit import formats
from nbkit.contract import doubt_contract
from nbkit.data import refuse_leaks
from nbkit.errors import BadParameter, LeakedFeature
from nbkit.extend import claim, first_line
from nbkit.problem import Problem
from nbkit.registry.confirmations import find_confirmation
from nbkit.registry.golden import check_golden
from nbkit.registry.verdict import GATE_COLUMNS
from nbkit.wording import capitalize, describe, format_count, format_estimate, format_value, suggest

Verdict = tuple[bool | None, str]  # None: the evidence is inconclusive, which opens nothing and refutes nothing
NEARLY_ALL = 0.9  # the share of the importance at which one or two columns have to be confirmed
SKILLS = {"explained": "the share of the variance explained,", "roc_auc": "ROC AUC"}
STRONG = {"binary": 0.75, "regression": 0.95}  # the root of the share explained from which columns are confirmed
PERFECT = {"explained": 0.95, "roc_auc": 0.99}  # from here on a score has to be confirmed


@dataclass(frozen=True)
class Gate:
    """A gate: its name, whether it blocks, and the function that judges."""

    name: str
    blocking: bool
    judge: Callable[..., Verdict]

    @property
    def needs(self) -> list[str]:
        """Names of the evidence without which it cannot judge."""
        found = inspect.signature(self.judge).parameters.values()
        return [parameter.name for parameter in found if parameter.default is inspect.Parameter.empty]


GATES: dict[str, Gate] = {}


def gate(*, blocking: bool = True) -> Callable[[Callable[..., Verdict]], Callable[..., Verdict]]:
    """Make a gate of a function whose arguments name its evidence and which returns ``(passed, detail)``.

    Where the evidence is inconclusive, ``passed`` is None: the gate is closed, and the verdict is not to reject.

    Parameters
    ----------
    blocking
        Whether a version that fails may go to production.

    Raises
    ------
    BadParameter
        If nbkit or another module has a gate of that name.
    """

    def add(judge: Callable[..., Verdict]) -> Callable[..., Verdict]:
        claim("gate", judge.__name__, judge, GATES)
        GATES[judge.__name__] = Gate(judge.__name__, blocking, judge)
        return judge

    return add


def known_gates() -> pd.DataFrame:
    """Return the gates: gate, blocking, evidence (what it needs), words (what it asks)."""
    rows = [(row.name, row.blocking, ", ".join(row.needs), first_line(row.judge, row.name)) for row in GATES.values()]
    return pd.DataFrame(rows, columns=["gate", "blocking", "evidence", "words"])


def evaluate_gates(
    criteria: pd.DataFrame | None = None, *, gates: Sequence[str] | None = None, **evidence: Any
) -> pd.DataFrame:
    """Judge the gates on evidence.

    Parameters
    ----------
    criteria
        The verdict per success criterion, from `nbkit.evaluation.judge`.
    gates
        Names of the gates to judge; all by default.
    **evidence
        What the gates' functions ask for by name, see `known_gates`. A gate whose evidence is missing has not passed.

    Returns
    -------
    DataFrame
        gate, passed, blocking, detail, inconclusive (it is closed only because the evidence cannot tell).

    Raises
    ------
    BadParameter
        An unknown gate, or evidence that no gate asks for.
    """
    given = {name: value for name, value in {"criteria": criteria, **evidence}.items() if value is not None}
    asked = {name for row in GATES.values() for name in inspect.signature(row.judge).parameters}
    for name in sorted(set(evidence) - asked):
        raise BadParameter(f"no gate asks for {name!r}{suggest(name, asked)}")
    for name in gates or ():
        if name not in GATES:
            raise BadParameter(f"unknown gate {name!r}{suggest(name, GATES)}")
    rows = [(row.name, *_judge(row, given)) for row in GATES.values() if gates is None or row.name in gates]
    table = [(name, bool(passed), GATES[name].blocking, detail, passed is None) for name, passed, detail in rows]
    return pd.DataFrame(table, columns=[*GATE_COLUMNS, "inconclusive"])


def find_closed(gates: pd.DataFrame) -> pd.DataFrame:
    """Return the blocking gates that stop a run; what a person has yet to state only bars a version from production."""
    return gates[~gates["passed"] & gates["blocking"] & (gates["gate"] != "stated_and_confirmed")]


def _judge(row: Gate, given: Mapping[str, Any]) -> Verdict:
    lacking = [name for name in row.needs if name not in given]
    if lacking:
        return False, f"not judged: no evidence {', '.join(lacking)}"
    wanted = inspect.signature(row.judge).parameters
    try:
        passed, detail = row.judge(**{name: value for name, value in given.items() if name in wanted})
    except Exception as error:  # evidence of any shape comes from notebooks; a gate that breaks has not passed
        return False, f"could not be judged: {type(error).__name__}: {error}"
    return (None if passed is None else bool(passed)), detail


@gate()
def criteria_met(criteria: pd.DataFrame) -> Verdict:
    """Every success criterion has the verdict *pass*."""
    if not len(criteria):
        return None, "there is no criterion; state one in 01_frame.criteria"
    met, words = _list_open(criteria, "name")
    return met, words or f"every criterion is met ({len(criteria)})"


def _list_open(table: pd.DataFrame, name: str) -> Verdict:
    """Return whether every row has passed, and of the others what is said of them, where it cannot be told also why."""
    words = []
    for row in table[table["verdict"] != "pass"].to_dict("records"):
        why = f", {row['why']}" if row["verdict"] == "inconclusive" and row.get("why") else ""
        words.append(f"{row[name]}: {row['verdict']}{why}")
    return True if not words else False if (table["verdict"] == "fail").any() else None, "; ".join(words)


@gate()
def beats_rule(
    scores: pd.DataFrame, rule_scores: pd.DataFrame, problem: Problem, rule: Sequence[str] = ("",)
) -> Verdict:
    """The model is better than the rule in use today (where there is none, than a constant), by more than chance."""
    today = "today's rule" if rule else "a constant prediction (no rule is stated)"
    metric = problem.metric
    if "verdict" in rule_scores:  # compared on the same rows, from nbkit.model.compare(model, rule)
        pair = rule_scores.loc[metric].to_dict()
        if np.isnan(pair["low"]):
            why = pair.get("note") or "too few rows"
            return None, f"{describe(metric)} cannot be compared with that of {today}: {why}"
        by = format_estimate(pair["difference"], pair["low"], pair["high"], sign="+")
        words = f"{describe(metric)} differs from that of {today} by {by} on the same rows"
        return {"better": True, "worse": False}.get(pair["verdict"]), words
    row, base = scores.loc[metric].to_dict(), float(rule_scores["value"].to_dict()[metric])
    worst, best = ("high", "low") if row["better"] == "lower" else ("low", "high")
    sign = -1.0 if row["better"] == "lower" else 1.0
    ends = row["low"], row["high"]
    words = f"{describe(metric)} {format_estimate(row['value'], *ends)}, {today} {format_value(base, *ends)}"
    return True if sign * row[worst] > sign * base else False if sign * row[best] <= sign * base else None, words


@gate()
def behaves_as_declared(behaviour: pd.DataFrame) -> Verdict:
    """The model behaves as the tests of 07_evaluate.behaviour demand."""
    if not len(behaviour):
        return True, "none declared: no test of behaviour stands in 07_evaluate.behaviour"
    kept, words = _list_open(behaviour, "sentence")
    return kept, words or f"it behaves as declared ({format_count(len(behaviour), 'test')})"


@gate()
def data_keeps_contract(violations: pd.DataFrame) -> Verdict:
    """The data break no blocking rule of their contract."""
    blocking = violations[violations["severity"] == "blocking"] if len(violations) else violations
    words = [str(message) for message in blocking["message"]] if len(blocking) else []
    return not words, "; ".join(words) or f"no blocking violation, {format_count(len(violations), 'warning')}"


@gate()
def no_leaked_feature(columns: Sequence[str], contract: Any, problem: Problem) -> Verdict:
    """Everything the model sees was known at prediction time."""
    try:
        refuse_leaks(list(columns), contract, lead=problem.lead)
    except LeakedFeature as error:
        return False, str(error)
    return True, f"{format_count(len(columns), 'column')}, each declared as known at prediction time"


@gate()
def not_too_good_to_be_true(
    leaks: pd.DataFrame,
    columns: Sequence[str],
    importance: pd.DataFrame,
    skill: Mapping[str, float],
    problem: Problem,
    confirmed: pd.DataFrame | None = None,
) -> Verdict:
    """No near-perfect score, no column that gives the target away, no one or two that carry nearly all."""
    doubts, named = [], []
    alone = (leaks["columns"].str.len() == 1) | (problem.task == "regression")  # easy classes may need several columns
    strong = leaks["score"] >= STRONG.get(problem.task, STRONG["binary"])
    outstanding = leaks["suspect"].astype(bool) | (alone & strong)
    for row in leaks[outstanding].to_dict("records"):
        used = [name for name in row["columns"] if name in columns]
        if len(used) == len(row["columns"]):
            doubts.append(f"{', '.join(used)} {row['reason']} ({row['evidence']})")
            named += used
    measured = {name: value for name, value in skill.items() if value >= PERFECT[name]}
    doubts += [f"{SKILLS[name]} {value:.4f} on test is nearly perfect" for name, value in measured.items()]
    heavy = _find_heavy(importance)
    if heavy:
        share = importance.set_index("feature")["share"].loc[heavy].sum()
        carry = "carries" if len(heavy) == 1 else "carry"
        doubts.append(f"{' and '.join(heavy)} {carry} {share:.0%} of the importance")
        named += heavy
    if not doubts:
        return True, "no score is nearly perfect, and no one or two columns carry nearly all of the importance"
    named = list(dict.fromkeys(named))
    words = "; ".join(doubts)
    if who := find_confirmation(confirmed, "not_too_good_to_be_true", named):
        return True, f"{words}; {who}"
    what = f", columns: [{', '.join(named)}]" if named else ""
    return False, (
        f"{words}. Make sure that all of it is known when the prediction is due, then say so in 01_frame.confirmed: "
        f"{{gate: not_too_good_to_be_true, by: NAME, on: DATE, why: REASON{what}}}; or leave it out of the features"
    )


def _find_heavy(importance: pd.DataFrame) -> list[str]:
    """Return the one column, or of five and more the two, that carry nearly all of the importance."""
    ranked = importance.dropna(subset="share").sort_values("share", ascending=False, kind="stable")
    for count, least in ((1, 2), (2, 5)):
        top = ranked.head(count)
        if len(ranked) >= least and top["share"].sum() >= NEARLY_ALL:
            return [str(name) for name in top["feature"]]
    return []


@gate()
def split_respects_order(order: Mapping[str, Any], confirmed: pd.DataFrame | None = None) -> Verdict:
    """Rows that depend on their place in the file are not split at random."""
    if order["respected"]:
        return True, str(order["sentence"])
    if who := find_confirmation(confirmed, "split_respects_order"):
        return True, f"{order['sentence']} {capitalize(who)}"
    return False, (
        f"{order['sentence']} If the rows came in no order, say so in 01_frame.confirmed: "
        "{gate: split_respects_order, by: NAME, on: DATE, why: REASON}"
    )


@gate()
def stated_and_confirmed(unstated: Sequence[str], contract: Any, demanded: pd.DataFrame) -> Verdict:
    """A person has stated what the model is for, and stands by the contract."""
    doubt = doubt_contract(contract)
    open_ones = [*unstated, *([f"{doubt}: nbkit contract confirm"] if doubt else [])]
    if len(demanded) and (demanded["reference"] == "dummy").all():
        open_ones.append(
            "state a criterion with a bound, or today's rule: all there is to beat is a constant prediction"
        )
    if open_ones:
        things = format_count(len(open_ones), "thing")
        return False, f"{things} to state or confirm before production:\n" + ";\n".join(open_ones)
    who = contract.confirmed
    return True, f"all that is required is stated; the contract was confirmed by {who.by} on {who.on}"


@gate()
def explanation_adds_up(explanation: pd.DataFrame) -> Verdict:
    """The attributions add up to what the model says."""
    row = explanation.iloc[0]
    error = float(row["relative" if "relative" in explanation else "max_error"])
    adds_up = bool(np.isfinite(error) and error <= 1e-3)
    return adds_up, f"largest gap {error:.2g} of the spread on {format_count(row['rows'], 'row')}"


@gate()
def bundle_reproduces_golden(model: Any, golden: pd.DataFrame, problem: Problem) -> Verdict:
    """The model, saved and loaded again, gives the golden answers."""
    kind, _, content = formats.dump(model)
    gap = check_golden(formats.load(kind, content), golden, problem)
    return gap <= 1e-9, f"largest difference {gap:.2g} on {format_count(len(golden), 'row')}"
