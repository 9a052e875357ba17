"""One word for a run, and why; issue 10, A3."""

import pandas as pd
import pytest

from nbkit.registry import Evidence, reach_verdict
from nbkit.registry.gates import GATES
from nbkit.registry.verdict import ASKS_A_PERSON

CRITERIA = pd.DataFrame({"criterion": ["auc", "cost"], "verdict": ["pass", "pass"], "why": ["all of it", "all of it"]})
GATE_TABLE = pd.DataFrame(
    [("criteria_met", True, True, "met"), ("beats_rule", True, True, "better")],
    columns=["gate", "passed", "blocking", "detail"],
)


def add_gate(name, blocking=True, passed=False):
    row = pd.DataFrame([(name, passed, blocking, f"{name} says so")], columns=GATE_TABLE.columns)
    return pd.concat([GATE_TABLE, row], ignore_index=True)


def groups(verdict):
    return pd.DataFrame({"verdict": ["pass", verdict], "sentence": ["a is fine", "b goes from 0.2 to 0.4"]})


def test_all_well_is_approved():
    reached = reach_verdict(Evidence(CRITERIA, GATE_TABLE, groups("pass")))
    assert (reached.word, reached.tone, reached.conditions) == ("APPROVE", "good", ())
    assert reached.reasons == ("Every criterion is met on the test rows (2).", "Every gate is open (2 of 2).")


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"groups": groups("fail")}, "b goes from 0.2 to 0.4"),
        ({"groups": groups("inconclusive")}, "b goes from 0.2 to 0.4"),
        ({"loosened": ("auc was to be > 0.8",)}, "auc was to be > 0.8"),
        ({"gates": add_gate("fast", blocking=False)}, "Gate fast, which does not block: fast says so"),
        (
            {"since": {"retrain": ["2013-09"], "look": ["2013-06", "2013-07"]}},
            "On later rows the monitor says retrain for 2013-09; needs review for 2013-06, 2013-07",
        ),
        ({"since": {"inconclusive": ["2013-08"]}}, "On later rows the monitor says inconclusive for 2013-08"),
    ],
)
def test_each_open_point_is_a_condition(change, condition):
    reached = reach_verdict(Evidence(**{"criteria": CRITERIA, "gates": GATE_TABLE, **change}))
    assert (reached.word, reached.tone, len(reached.conditions)) == ("APPROVE WITH CONDITIONS", "unsure", 1)
    assert reached.conditions[0].startswith(condition)


@pytest.mark.parametrize("name", ASKS_A_PERSON)
def test_what_a_person_has_to_say_is_not_decided(name):
    reached = reach_verdict(Evidence(CRITERIA, add_gate(name)))
    assert (reached.word, reached.tone) == ("NOT DECIDED", "unsure")
    assert reached.reasons == (f"A person has to decide: {name} says so",)


@pytest.mark.parametrize("verdict", ["cannot tell", "inconclusive"])
def test_a_criterion_that_cannot_be_judged_decides_nothing(verdict):
    closed = GATE_TABLE.assign(passed=[False, True])
    reached = reach_verdict(Evidence(CRITERIA.assign(verdict=["pass", verdict], why="the bound is inside"), closed))
    assert (reached.word, reached.reasons) == ("NOT DECIDED", ("cost: the bound is inside",))


@pytest.mark.parametrize(
    "change",
    [
        {"criteria": CRITERIA.assign(verdict=["pass", "fail"])},
        {"gates": add_gate("no_leaked_feature")},
        {"dearer": ("Cost: never acting is cheaper than the model.",)},
    ],
)
def test_what_is_certainly_wrong_is_rejected_whatever_a_person_has_to_say(change):
    gates = change.get("gates", GATE_TABLE)
    asked = pd.concat([gates, add_gate("stated_and_confirmed").tail(1)], ignore_index=True)
    assert reach_verdict(Evidence(**{"criteria": CRITERIA, **change, "gates": asked})).word == "REJECT"


def test_a_gate_that_cannot_tell_decides_nothing_and_rejects_nothing():
    gates = add_gate("beats_it").assign(inconclusive=[False, False, True])
    reached = reach_verdict(Evidence(CRITERIA, gates))
    assert (reached.word, reached.reasons) == ("NOT DECIDED", ("Gate beats_it is inconclusive: beats_it says so",))
    assert reach_verdict(Evidence(CRITERIA, gates.assign(inconclusive=False))).word == "REJECT"


def test_groups_that_nobody_can_judge_are_no_condition():
    assert reach_verdict(Evidence(CRITERIA, GATE_TABLE, groups("not judged"))).word == "APPROVE"


def test_nothing_judged_is_not_decided():
    assert reach_verdict(Evidence(CRITERIA.head(0), GATE_TABLE)).word == "NOT DECIDED"
    assert reach_verdict(Evidence(CRITERIA, GATE_TABLE.head(0))).word == "NOT DECIDED"


def test_who_opened_a_gate_is_said():
    opened = add_gate("not_too_good_to_be_true", passed=True)
    opened.loc[2, "detail"] = "near perfect; confirmed by Ann on 2026-11-28: known at admission"
    reasons = reach_verdict(Evidence(CRITERIA, opened)).reasons
    assert "Near perfect; confirmed by Ann on 2026-11-28: known at admission." in reasons


def test_the_gates_that_ask_a_person_are_gates():
    assert set(ASKS_A_PERSON) <= set(GATES)
