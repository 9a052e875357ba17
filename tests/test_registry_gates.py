"""Gates and golden examples."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbkit.data import ColumnRule, Contract
from nbkit.errors import BadModel, BadParameter
from nbkit.registry import check_golden, evaluate_gates, gate, known_gates, make_golden
from nbkit.registry.gates import GATES
from nbkit.registry.golden import split_golden

WINE = load_wine(as_frame=True)
X = WINE.data
BINARY = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, WINE.target == 1)
MULTI = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, WINE.target.map(lambda c: f"class {c}"))
DIABETES = load_diabetes(as_frame=True)
REGRESSION = LinearRegression().fit(DIABETES.data, DIABETES.target)


def scores(value, low, high, better="higher"):
    return pd.DataFrame({"value": [value], "low": [low], "high": [high], "better": [better]}, index=["m"])


def evidence(**changes):
    contract = Contract((ColumnRule("alcohol", "number"), ColumnRule("later", "number", available_at="after")))
    given = {
        "criteria": pd.DataFrame({"name": ["roc_auc"], "verdict": ["pass"]}),
        "scores": scores(0.8, 0.75, 0.85),
        "rule_scores": scores(0.7, 0.65, 0.75),
        "metric": "m",
        "violations": pd.DataFrame(columns=["severity", "message"]),
        "columns": ["alcohol"],
        "contract": contract,
        "explanation": pd.DataFrame({"rows": [100], "max_error": [1e-9]}),
        "model": BINARY,
        "golden": make_golden(BINARY, X, task="binary", positive=True),
        "task": "binary",
        "positive": True,
    }
    return {**given, **changes}


def judged(**changes):
    return evaluate_gates(**evidence(**changes)).set_index("gate")


def test_all_pass_on_good_evidence():
    table = evaluate_gates(**evidence())
    assert table["passed"].all(), table.to_string()
    assert table.columns.tolist() == ["gate", "passed", "blocking", "detail"]
    assert table["gate"].tolist() == known_gates()["gate"].tolist()


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        (
            {"criteria": pd.DataFrame({"name": ["ece", "f1"], "verdict": ["cannot tell", "pass"]})},
            "criteria_met",
            "ece: cannot tell",
        ),
        ({"criteria": pd.DataFrame({"name": [], "verdict": []})}, "criteria_met", "there is no criterion"),
        ({"scores": scores(0.8, 0.65, 0.9)}, "beats_rule", "0.65 to 0.9"),
        ({"scores": scores(5, 4, 8, "lower"), "rule_scores": scores(7, 6, 8, "lower")}, "beats_rule", "7"),
        ({"scores": scores(np.nan, np.nan, np.nan)}, "beats_rule", "nan"),
        ({"metric": "other"}, "beats_rule", "could not be judged: KeyError"),
        (
            {"violations": pd.DataFrame({"severity": ["blocking"], "message": ["hour is gone"]})},
            "data_keeps_contract",
            "hour is gone",
        ),
        ({"columns": ["alcohol", "later"]}, "no_leaked_feature", "later"),
        ({"explanation": pd.DataFrame({"rows": [9], "max_error": [0.1]})}, "explanation_adds_up", "0.1"),
        ({"explanation": pd.DataFrame({"rows": [9], "max_error": [np.nan]})}, "explanation_adds_up", "nan"),
        ({"golden": make_golden(BINARY, X + 1, task="binary", positive=False)}, "bundle_reproduces_golden", "largest"),
        ({"model": None}, "bundle_reproduces_golden", "no evidence model"),
    ],
)
def test_one_bad_piece_of_evidence_closes_its_gate_only(changes, name, says):
    table = judged(**changes)
    assert table.index[~table["passed"]].tolist() == [name], table.to_string()
    assert says in table.at[name, "detail"]


def test_a_paired_comparison_counts_where_there_is_one():
    pair = pd.DataFrame({"difference": [0.01], "low": [0.002], "high": [0.02], "verdict": ["b is better"]}, index=["m"])
    table = judged(scores=scores(0.71, 0.65, 0.8), rule_scores=pair)  # overlapping intervals, yet better row by row
    assert table.at["beats_rule", "passed"]
    assert not judged(rule_scores=pair.assign(verdict="cannot tell")).at["beats_rule", "passed"]


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
        assert found.tolist() == ["small_enough", False, False, "12 MB"]
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
    golden = make_golden(model, rows, task=task, positive=positive, rows=8)
    raw, expected = split_golden(golden)
    assert raw.columns.tolist() == rows.columns.tolist()
    assert (len(golden), expected.shape[1]) == (8, columns)
    assert check_golden(model, golden, task=task, positive=positive) == 0
    assert golden.equals(make_golden(model, rows, task=task, positive=positive, rows=8))
    moved = golden.copy()
    moved[expected.columns[0]] += 0.25
    assert check_golden(model, moved, task=task, positive=positive) == pytest.approx(0.25)


def test_golden_of_another_shape_never_passes():
    golden = make_golden(MULTI, X, task="multiclass")
    assert check_golden(BINARY, golden, task="binary", positive=True) == np.inf
    assert check_golden(BINARY, X, task="binary", positive=True) == np.inf
    lost = make_golden(BINARY, X, task="binary", positive=True).assign(expected=np.nan)
    assert check_golden(BINARY, lost, task="binary", positive=True) == np.inf
    with pytest.raises(BadModel):
        make_golden(BINARY, X.head(0), task="binary")


@given(st.integers(1, 60), st.integers(0, 5))
def test_golden_rows_are_distinct_rows_of_the_table(rows, seed):
    golden = make_golden(BINARY, X.head(40), task="binary", positive=True, rows=rows, seed=seed)
    raw, _ = split_golden(golden)
    assert len(raw) == min(rows, 40)
    assert len(raw.merge(X.head(40).drop_duplicates())) == len(raw)
