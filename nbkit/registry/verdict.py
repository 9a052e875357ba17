"""May the model be used? The rule that turns gates, criteria, groups and costs into one word with reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadParameter

APPROVE, CONDITIONS, UNDECIDED = "APPROVE", "APPROVE WITH CONDITIONS", "NOT DECIDED"
REJECT, STOPPED = "REJECT", "STOPPED"
TONES = {APPROVE: "good", REJECT: "bad", STOPPED: "bad", "OK": "good", "RETRAIN": "bad"}  # all else is unsure
ASKS_A_PERSON = ("not_too_good_to_be_true", "split_respects_order", "stated_and_confirmed")
SPOKEN = {"look": "needs review"}  # a decision of the monitor as pages say it
GATE_COLUMNS = ["gate", "passed", "blocking", "detail"]


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on; empty where a run did not come to it.

    Parameters
    ----------
    criteria
        One row a criterion: name, verdict (pass, fail, inconclusive) and why.
    gates
        gate, passed, blocking, detail; inconclusive, if `nbkit.registry.evaluate_gates` made the table.
    groups
        One row a protected column and rate: verdict (pass, fail, inconclusive, not judged) and sentence.
    dearer
        Sentences on what would certainly cost less than the model.
    loosened
        Sentences on bounds that are less strict than those of an earlier run on the same rows.
    since
        Each decision of the monitor but ok, with the windows for which it was taken.
    lacking
        Which of the above a stage that passed does not hand over, or is damaged: it is not known to be empty.
    """

    criteria: pd.DataFrame
    gates: pd.DataFrame
    groups: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["verdict", "sentence"]))
    dearer: tuple[str, ...] = ()
    loosened: tuple[str, ...] = ()
    since: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """One word (of the rule below, or what the monitor decided), why, and under which conditions."""

    word: str
    reasons: tuple[str, ...]
    conditions: tuple[str, ...] = ()

    @property
    def tone(self) -> str:
        """``good``, ``unsure`` or ``bad``."""
        return TONES.get(self.word, "unsure")


def reach_verdict(evidence: Evidence) -> Verdict:
    """State whether a model may be used.

    Parameters
    ----------
    evidence
        Of a run that came to its gates.

    Returns
    -------
    Verdict
        *REJECT* if a criterion has failed, a blocking gate that no person can open is closed, or something simpler
        certainly costs less. *NOT DECIDED* if a criterion or a gate is inconclusive, evidence is lacking, or a person
        has to state or confirm something. *APPROVE WITH CONDITIONS* if a group's rate is outside the tolerance or may
        be, a gate that does not block is closed, a bound was loosened after the rows had been seen, or the monitor has
        since said anything but ok. Else *APPROVE*.
    """
    failed, unsure = _describe_criteria(evidence.criteria)
    gates = evidence.gates.astype({"passed": bool, "blocking": bool})
    closed = gates[~gates["passed"] & gates["blocking"]]
    if len(failed) or len(unsure):
        closed = closed[closed["gate"] != "criteria_met"]  # what the criteria say is said already
    asked = closed[closed["gate"].isin(ASKS_A_PERSON)]
    hard = closed[~closed["gate"].isin(ASKS_A_PERSON)]
    open_ones = hard.get("inconclusive", hard["passed"]).astype(bool)  # a table of another kind knows of none
    questions = (
        *(f"{name} is lacking or damaged: run that stage again." for name in evidence.lacking),
        *unsure,
        *_describe_gates(hard[open_ones], " is inconclusive"),
        *(f"A person has to decide: {detail}" for detail in asked["detail"]),
    )
    faults = (*failed, *_describe_gates(hard[~open_ones]))
    if faults or evidence.dearer:
        return Verdict(REJECT, (*faults, *evidence.dearer, *questions))
    if evidence.gates.empty or evidence.criteria.empty or questions:
        return Verdict(UNDECIDED, questions or ("There are no criteria, or no gate was judged.",))
    conditions = tuple(_list_conditions(evidence, gates))
    confirmed = gates.loc[gates["detail"].str.contains("confirmed by"), "detail"]
    who = (f"{detail[:1].upper()}{detail[1:]}." for detail in confirmed)
    good = (f"Every criterion is met on the test rows ({len(evidence.criteria)}).", _describe_open(gates), *who)
    return Verdict(CONDITIONS if conditions else APPROVE, good, conditions)


def _describe_criteria(criteria: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    said = [
        (row["verdict"] == "fail", f"{row['criterion']}: {row['why'] or row['verdict']}")
        for row in criteria[criteria["verdict"] != "pass"].to_dict("records")
    ]
    return tuple(words for bad, words in said if bad), tuple(words for bad, words in said if not bad)


def _describe_gates(gates: pd.DataFrame, how: str = "") -> list[str]:
    return [f"Gate {gate}{how}: {detail}" for gate, detail in zip(gates["gate"], gates["detail"], strict=True)]


def _list_conditions(evidence: Evidence, gates: pd.DataFrame) -> list[str]:
    found = evidence.groups.loc[evidence.groups["verdict"].isin(["fail", "inconclusive"]), "sentence"].tolist()
    found += _describe_gates(gates[~gates["passed"] & ~gates["blocking"]], ", which does not block")
    found += evidence.loosened
    if evidence.since:
        told = {SPOKEN.get(decision, decision): ", ".join(windows) for decision, windows in evidence.since.items()}
        said = "; ".join(f"{decision} for {windows}" for decision, windows in told.items())
        found.append(f"On later rows the monitor says {said}: settle this before relying on the model.")
    return found


def _describe_open(gates: pd.DataFrame) -> str:
    every = "Every gate is open" if gates["passed"].all() else "Every gate that blocks is open"
    return f"{every} ({int(gates['passed'].sum())} of {len(gates)})."


def read_gates(gates: pd.DataFrame) -> list[dict[str, Any]]:
    """Read a gate table as rows; what is not True has not passed.

    Raises
    ------
    BadParameter
        A column is missing.
    """
    missing = [column for column in GATE_COLUMNS if column not in gates.columns]
    if missing:
        raise BadParameter(f"a gate table has the columns {', '.join(GATE_COLUMNS)}; {', '.join(missing)} is missing")
    rows = gates[GATE_COLUMNS].itertuples(index=False, name=None)
    return [
        {"gate": str(gate), "passed": is_true(passed), "blocking": bool(blocking), "detail": str(detail)}
        for gate, passed, blocking, detail in rows
    ]


def is_true(passed: Any) -> bool:
    """Return whether a gate's result is True, and not only something that counts as true."""
    return isinstance(passed, bool | np.bool_) and bool(passed)
