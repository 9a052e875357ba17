"""Gates and golden examples."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbkit.contract import ColumnRule, Confirmation, Contract
from nbkit.errors import BadModel, BadParameter
from nbkit.evaluation import read_criteria
from nbkit.problem import Problem
from nbkit.registry import check_golden, evaluate_gates, find_closed, gate, known_gates, make_golden, read_confirmations
from nbkit.registry.gates import GATES
from nbkit.registry.golden import split_golden

WINE = load_wine(as_frame=True)
X = WINE.data
YES, NO = (Problem("y", positive=positive, metric="m") for positive in (True, False))
BINARY = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, WINE.target == 1)
MULTI = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, WINE.target.map(lambda c: f"class {c}"))
DIABETES = load_diabetes(as_frame=True)
REGRESSION = LinearRegression().fit(DIABETES.data, DIABETES.target)


def scores(value, low, high, better="higher"):
    return pd.DataFrame({"value": [value], "low": [low], "high": [high], "better": [better]}, index=["m"])


def leak(*columns):
    row = {"columns": list(columns), "suspect": True, "reason": "determine the target together", "score": 1.0}
    return pd.DataFrame([{**row, "evidence": "a + b explains 100 %"}])


def shares(*values):
    names = ["alcohol", *(f"f{number}" for number in range(1, len(values)))]
    return pd.DataFrame({"feature": names, "share": values})


def evidence(**changes):
    columns = (ColumnRule("alcohol", "number"), ColumnRule("later", "number", available_at="after"))
    contract = Contract(columns, confirmed=Confirmation("Ann", "2026-11-28"))
    given = {
        "criteria": pd.DataFrame({"name": ["roc_auc"], "verdict": ["pass"]}),
        "scores": scores(0.8, 0.75, 0.85),
        "rule_scores": scores(0.7, 0.65, 0.75),
        "violations": pd.DataFrame(columns=["severity", "message"]),
        "columns": ["alcohol"],
        "contract": contract,
        "explanation": pd.DataFrame({"rows": [100], "max_error": [1e-9]}),
        "model": BINARY,
        "golden": make_golden(BINARY, X, YES),
        "problem": YES,
        "leaks": leak("later", "twin"),
        "importance": shares(0.5, 0.3, 0.2),
        "skill": {"explained": 0.4, "roc_auc": 0.85},
        "order": {"respected": True, "sentence": "The split follows the time of the rows."},
        "unstated": [],
        "behaviour": pd.DataFrame(columns=["verdict", "sentence"]),
        "demanded": read_criteria({"roc_auc": "> rule"}, "binary"),
    }
    return {**given, **changes}


def judged(**changes):
    return evaluate_gates(**evidence(**changes)).set_index("gate")


def test_all_pass_on_good_evidence():
    table = evaluate_gates(**evidence())
    assert table["passed"].all(), table.to_string()
    assert table.columns.tolist() == ["gate", "passed", "blocking", "detail", "inconclusive"]
    assert not table["inconclusive"].any()
    assert table["gate"].tolist() == known_gates()["gate"].tolist()


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        (
            {"criteria": pd.DataFrame({"name": ["ece", "f1"], "verdict": ["inconclusive", "pass"]})},
            "criteria_met",
            "ece: inconclusive",
        ),
        ({"criteria": pd.DataFrame({"name": [], "verdict": []})}, "criteria_met", "there is no criterion"),
        ({"scores": scores(0.8, 0.65, 0.9)}, "beats_rule", "0.65 to 0.9"),
        ({"scores": scores(5, 4, 8, "lower"), "rule_scores": scores(7, 6, 8, "lower")}, "beats_rule", "7"),
        ({"scores": scores(np.nan, np.nan, np.nan)}, "beats_rule", "unknown"),
        ({"problem": replace(YES, metric="other")}, "beats_rule", "could not be judged: KeyError"),
        (
            {"violations": pd.DataFrame({"severity": ["blocking"], "message": ["hour is gone"]})},
            "data_keeps_contract",
            "hour is gone",
        ),
        ({"columns": ["alcohol", "later"]}, "no_leaked_feature", "later"),
        ({"explanation": pd.DataFrame({"rows": [9], "max_error": [0.1]})}, "explanation_adds_up", "0.1"),
        ({"explanation": pd.DataFrame({"rows": [9], "max_error": [np.nan]})}, "explanation_adds_up", "nan"),
        ({"golden": make_golden(BINARY, X + 1, NO)}, "bundle_reproduces_golden", "largest"),
        ({"model": None}, "bundle_reproduces_golden", "no evidence model"),
        ({"leaks": leak("alcohol")}, "not_too_good_to_be_true", "alcohol determine the target together"),
        ({"skill": {"explained": 0.97}}, "not_too_good_to_be_true", "nearly perfect"),
        ({"skill": {"explained": 0.5, "roc_auc": 0.9996}}, "not_too_good_to_be_true", "ROC AUC 0.9996"),
        ({"importance": shares(0.95, 0.03, 0.02)}, "not_too_good_to_be_true", "alcohol carries 95%"),
        ({"importance": shares(0.5, 0.45, 0.02, 0.02, 0.01)}, "not_too_good_to_be_true", "alcohol and f1 carry 95%"),
        ({"order": {"respected": False, "sentence": "It rises."}}, "split_respects_order", "It rises."),
        ({"order": {"respected": None, "sentence": "Too few."}}, "split_respects_order", "Too few."),
        (
            {"unstated": ["state `owner`: who"]},
            "stated_and_confirmed",
            "1 thing to state or confirm before production:\nstate `owner`",
        ),
        (
            {"demanded": read_criteria({"roc_auc": "> rule"}, "binary", rule=False)},
            "stated_and_confirmed",
            "all there is to beat is a constant prediction",
        ),
    ],
)
def test_one_bad_piece_of_evidence_closes_its_gate_only(changes, name, says):
    table = judged(**changes)
    assert table.index[~table["passed"]].tolist() == [name], table.to_string()
    assert says in table.at[name, "detail"]


def test_a_paired_comparison_counts_where_there_is_one():
    pair = pd.DataFrame({"difference": [0.01], "low": [0.002], "high": [0.02], "verdict": ["better"]}, index=["m"])
    table = judged(scores=scores(0.71, 0.65, 0.8), rule_scores=pair)  # overlapping intervals, yet better row by row
    assert table.at["beats_rule", "passed"]
    for verdict, inconclusive in (("inconclusive", True), ("worse", False)):
        row = judged(rule_scores=pair.assign(verdict=verdict)).loc["beats_rule"]
        assert (row["passed"], row["inconclusive"]) == (False, inconclusive)
    few = judged(rule_scores=pair.assign(low=np.nan, verdict="inconclusive"), rule=[]).loc["beats_rule"]
    assert few["inconclusive"]
    assert few["detail"] == "m cannot be compared with that of a constant prediction (no rule is stated): too few rows"


def criteria_of(*verdicts):
    return pd.DataFrame({"name": [f"c{number}" for number in range(len(verdicts))], "verdict": verdicts})


@pytest.mark.parametrize(
    ("changes", "name", "inconclusive"),
    [
        ({"scores": scores(0.8, 0.65, 0.9)}, "beats_rule", True),
        ({"scores": scores(0.68, 0.65, 0.69)}, "beats_rule", False),
        ({"scores": scores(7, 6, 8, "lower"), "rule_scores": scores(7.5, 7, 8, "lower")}, "beats_rule", True),
        ({"scores": scores(8, 7.6, 9, "lower"), "rule_scores": scores(7.5, 7, 8, "lower")}, "beats_rule", False),
        ({"criteria": criteria_of("inconclusive", "pass")}, "criteria_met", True),
        ({"criteria": criteria_of("inconclusive", "fail")}, "criteria_met", False),
        ({"columns": ["alcohol", "later"]}, "no_leaked_feature", False),
        ({"model": None}, "bundle_reproduces_golden", False),
    ],
)
def test_a_gate_tells_what_is_refuted_from_what_cannot_be_told(changes, name, inconclusive):
    table = judged(**changes)
    assert (table.at[name, "passed"], table.at[name, "inconclusive"]) == (False, inconclusive)
    assert find_closed(table.reset_index())["gate"].tolist() == [name]


def confirm(gate_name, **more):
    said = {"gate": gate_name, "by": "Ann", "on": "2026-11-28", "why": "measured at admission", **more}
    return read_confirmations([said])


def test_a_named_person_opens_a_gate_for_the_columns_that_are_named():
    name = "not_too_good_to_be_true"
    leaked = {"leaks": leak("alcohol")}
    assert not judged(**leaked, confirmed=confirm(name)).at[name, "passed"]
    assert not judged(**leaked, confirmed=confirm(name, columns=["other"])).at[name, "passed"]
    assert not judged(**leaked, confirmed=confirm("split_respects_order")).at[name, "passed"]
    opened = judged(**leaked, confirmed=confirm(name, columns=["alcohol"])).loc[name]
    assert opened["passed"]
    assert "confirmed by Ann on 2026-11-28: measured at admission" in opened["detail"]
    assert judged(skill={"explained": 0.99}, confirmed=confirm(name)).at[name, "passed"]
    order = {"respected": False, "sentence": "It rises."}
    assert judged(order=order, confirmed=confirm("split_respects_order")).at["split_respects_order", "passed"]


@pytest.mark.parametrize(
    ("task", "score", "passed"), [("binary", 0.8, False), ("binary", 0.7, True), ("regression", 0.9, True)]
)
def test_one_column_that_tells_most_of_the_target_asks_for_a_person_without_the_words_of_a_leak(task, score, passed):
    row = {"columns": ["alcohol"], "suspect": False, "reason": "unusually strong, look at it", "score": score}
    leaks = pd.DataFrame([{**row, "evidence": "alone it explains most"}])
    ways = {"leaks": leaks, "problem": Problem("y", task, True, metric="m")}
    found = judged(**ways).loc["not_too_good_to_be_true"]
    assert found["passed"] == passed
    assert "leak" not in found["detail"]
    assert judged(**ways, confirmed=confirm("not_too_good_to_be_true", columns=["alcohol"])).loc[
        "not_too_good_to_be_true", "passed"
    ]


def test_half_of_a_leak_in_company_is_none():
    assert judged(leaks=leak("alcohol", "later")).at["not_too_good_to_be_true", "passed"]


def test_a_contract_that_nobody_confirmed_bars_production_and_stops_no_run():
    contract = Contract((ColumnRule("alcohol", "number"),))
    table = evaluate_gates(**evidence(contract=contract))
    assert table.loc[~table["passed"], "gate"].tolist() == ["stated_and_confirmed"]
    assert table["blocking"].all()
    assert find_closed(table).empty


def test_without_a_rule_the_gate_says_that_a_constant_was_beaten():
    assert "a constant prediction (no rule is stated)" in judged(rule=[]).at["beats_rule", "detail"]
    assert "today's rule" in judged(rule=["hour"]).at["beats_rule", "detail"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gate": "beats_rule"}, "no person can open gate"),
        ({"by": " "}, "by must not be empty"),
        ({"why": ""}, "why must not be empty"),
        ({"on": "yesterday"}, "on must be a date"),
        ({"on": "2999-01-01"}, "on must be a date up to today"),
        ({"columns": "age"}, "columns must be a list"),
        ({"bye": "Ann"}, "no key 'bye'; did you mean 'by'"),
    ],
)
def test_a_confirmation_needs_a_name_a_date_and_a_reason(change, says):
    said = {"gate": "split_respects_order", "by": "Ann", "on": "2026-11-28", "why": "sorted by name"}
    with pytest.raises(BadParameter, match=says):
        read_confirmations([{**said, **change}])
    with pytest.raises(BadParameter, match="is not a mapping"):
        read_confirmations(["Ann"])


def test_lower_is_better_where_it_is():
    assert judged(scores=scores(5, 4, 5.5, "lower"), rule_scores=scores(6, 5, 7, "lower")).at["beats_rule", "passed"]


def test_unknown_names_are_refused():
    with pytest.raises(BadParameter, match="did you mean 'criteria_met'"):
        evaluate_gates(gates=["criteria_mett"])
    with pytest.raises(BadParameter, match="did you mean 'golden'"):
        evaluate_gates(goldn=1)
    assert evaluate_gates(gates=["criteria_met"])["passed"].tolist() == [False]


def test_a_new_gate_is_one_function():
    @gate(blocking=False)
    def small_enough(size: int) -> tuple[bool, str]:
        """Fit on a phone."""
        return size < 10, f"{size} MB"

    try:
        found = evaluate_gates(gates=["small_enough"], size=12).iloc[0]
        assert found.tolist() == ["small_enough", False, False, "12 MB", False]
    finally:
        del GATES["small_enough"]


@pytest.mark.parametrize(
    ("model", "rows", "task", "positive", "columns"),
    [
        (BINARY, X, "binary", True, 1),
        (MULTI, X, "multiclass", None, 3),
        (REGRESSION, DIABETES.data, "regression", None, 1),
    ],
)
def test_golden_answers_are_given_again(model, rows, task, positive, columns):
    problem = Problem("y", task, positive)
    golden = make_golden(model, rows, problem, rows=8)
    raw, expected = split_golden(golden)
    assert raw.columns.tolist() == rows.columns.tolist()
    assert (len(golden), expected.shape[1]) == (8, columns)
    assert check_golden(model, golden, problem) == 0
    assert golden.equals(make_golden(model, rows, problem, rows=8))
    moved = golden.copy()
    moved[expected.columns[0]] += 0.25
    assert check_golden(model, moved, problem) == pytest.approx(0.25)


def test_golden_of_another_shape_never_passes():
    golden = make_golden(MULTI, X, Problem("y", "multiclass"))
    assert check_golden(BINARY, golden, YES) == np.inf
    assert check_golden(BINARY, X, YES) == np.inf
    lost = make_golden(BINARY, X, YES).assign(expected=np.nan)
    assert check_golden(BINARY, lost, YES) == np.inf
    with pytest.raises(BadModel):
        make_golden(BINARY, X.head(0), YES)


@given(st.integers(1, 60), st.integers(0, 5))
def test_golden_rows_are_distinct_rows_of_the_table(rows, seed):
    golden = make_golden(BINARY, X.head(40), replace(YES, seed=seed), rows=rows)
    raw, _ = split_golden(golden)
    assert len(raw) == min(rows, 40)
    assert len(raw.merge(X.head(40).drop_duplicates())) == len(raw)


def behaved(*verdicts):
    return pd.DataFrame({"verdict": verdicts, "sentence": [f"test {number}" for number in range(len(verdicts))]})


@pytest.mark.parametrize(
    ("behaviour", "passed", "inconclusive", "words"),
    [
        (behaved(), True, False, "none declared"),
        (behaved("pass", "pass"), True, False, "2 tests"),
        (behaved("pass", "inconclusive"), False, True, "test 1: inconclusive"),
        (behaved("fail", "inconclusive"), False, False, "test 0: fail; test 1: inconclusive"),
    ],
)
def test_behaviour_is_a_gate_that_blocks_where_tests_are_declared(behaviour, passed, inconclusive, words):
    row = judged(behaviour=behaviour).loc["behaves_as_declared"]
    assert (row["passed"], row["inconclusive"], row["blocking"]) == (passed, inconclusive, True)
    assert words in row["detail"]
