"""Criteria: read strictly, judged by the whole interval."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import compare, score_predictions
from hypothesis import given
from hypothesis import strategies as st

from nbkit.errors import BadCriterion
from nbkit.evaluation import judge, read_criteria
from nbkit.model.metrics import MEASURES


def scores(**values):
    rows = {name: dict(zip(("value", "low", "high"), row, strict=True)) for name, row in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("roc_auc", ">= 0.65", ("roc_auc", ">=", 0.65, "")),
        ("roc_auc", ">=.65 on test", ("roc_auc", ">=", 0.65, "")),
        ("brier", "<= 1e-1", ("brier", "<=", 0.1, "")),
        ("recall", "> 60%", ("recall", ">", 0.6, "")),
        ("roc_auc", 0.7, ("roc_auc", ">=", 0.7, "")),
        ("brier", 1, ("brier", "<=", 1.0, "")),
        ("roc_auc", "> rule", ("roc_auc", ">", 0.0, "rule")),
        ("roc_auc", "> rule + 0.02 on Test", ("roc_auc", ">", 0.02, "rule")),
        ("brier", "< baseline", ("brier", "<", 0.0, "dummy")),
        ("Besser als heute", "roc_auc >= Rule", ("roc_auc", ">=", 0.0, "rule")),
        ("cost_per_row", "< dummy - 0.5", ("cost_per_row", "<", -0.5, "dummy")),
        ("slice_gap", "<= 0.1", ("slice_gap", "<=", 0.1, "")),
    ],
)
def test_what_can_be_written(name, value, expected):
    row = read_criteria({name: value}, "binary").iloc[0]
    assert tuple(row[["metric", "operator", "bound", "reference"]]) == expected
    assert row["words"].endswith("on the test split")


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        ({"rocauc": ">= 0.6"}, "did you mean 'roc_auc'"),
        ({"mae": "<= 3"}, "no metric 'mae' for binary"),
        ({"roc_auc": "high"}, "nothing to compare with called 'high'"),
        ({"roc_auc": "> rul"}, "did you mean 'rule'"),
        ({"roc_auc": "<= 0.6"}, "more is better"),
        ({"brier": "> rule"}, "less is better"),
        ({"roc_auc": ">= 0.6 on tset"}, "there is no 'tset'"),
        ({"roc_auc": ">= 0.6 on valid"}, "the valid split has chosen the model"),
        ({"roc_auc": "> champion"}, "nothing to compare with called 'champion'"),
        ({"roc_auc": "=> 0.6"}, "cannot read"),
        ({"roc_auc": ""}, "cannot read"),
        ({"roc_auc": None}, "nothing to compare with called 'None'"),
        ({"roc_auc": True}, "cannot read"),
        ({"roc_auc": [0.6]}, "cannot read"),
        ({"roc_auc": ">= 0.6.1"}, "cannot read"),
    ],
)
def test_what_cannot_be_read_says_why(criteria, words):
    with pytest.raises(BadCriterion, match=words):
        read_criteria(criteria, "binary")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.66, 0.7, "pass"),
        (0.65, 0.7, "pass"),
        (0.6, 0.64, "fail"),
        (0.6, 0.7, "inconclusive"),
        (np.nan, np.nan, "inconclusive"),
    ],
)
def test_the_whole_interval_decides(low, high, verdict):
    table = judge(read_criteria({"roc_auc": ">= 0.65"}, "binary"), scores(roc_auc=(0.66, low, high)))
    assert table["verdict"].tolist() == [verdict]


@given(st.sampled_from([">=", ">", "<=", "<"]), *[st.floats(-1, 1) for _ in range(4)])
def test_verdicts_never_contradict_the_value(operator, bound, a, b, c):
    low, value, high = sorted((a, b, c))
    from nbkit.evaluation.criteria import _decide

    verdict = _decide(operator, bound, value, low, high, "it")[0]
    holds = {">=": value >= bound, ">": value > bound, "<=": value <= bound, "<": value < bound}[operator]
    assert verdict == "inconclusive" or (verdict == "pass") == holds


def test_missing_numbers_cannot_tell():
    criteria = read_criteria({"roc_auc": "> rule", "brier": "<= 0.2", "f1": ">= 0.1"}, "binary")
    table = judge(criteria, scores(roc_auc=(0.7, 0.6, 0.8)))
    assert table["verdict"].tolist() == ["inconclusive"] * 3
    assert "no roc_auc of the rule" in table["why"][0]
    assert "f1 was not measured on the test split" in table["why"][2]


def test_a_paired_comparison_is_used():
    rng = np.random.default_rng(0)
    p = rng.random(800)
    y = (rng.random(800) < p).astype(int)
    rule = np.clip(p + rng.normal(0, 0.1, 800), 0, 1)
    criteria, mine = read_criteria({"brier": "< rule"}, "binary"), score_predictions(y, p, "brier")
    paired = judge(criteria, mine, {"rule": compare(y, rule, p, "brier")})
    apart = judge(criteria, mine.reset_index(), {"rule": score_predictions(y, rule, "brier")})
    assert paired["verdict"].tolist() == ["pass"]
    assert apart["verdict"].tolist() == ["inconclusive"]


def test_bias_is_judged_by_its_size():
    criteria = read_criteria({"bias": "<= 0.1"}, "regression")
    sizes = {(-0.5, -0.6, -0.4): "fail", (-0.05, -0.08, 0.02): "pass", (-0.05, -0.2, 0.02): "inconclusive"}
    for row, verdict in sizes.items():
        assert judge(criteria, scores(bias=row))["verdict"].tolist() == [verdict]


@pytest.mark.parametrize(
    ("demand", "rule", "told"),
    [
        ({"mae": "<= 5"}, (4, 3, 5), "at most 5, which today's rule meets, too"),
        ({"mae": "<= 5"}, (6, 5, 7), "at most 5"),
        ({"bias": "<= 0.1"}, (-0.9, -1, -0.8), "at most 0.1"),
        ({"bias": "<= 0.1"}, (-0.05, -0.1, 0.1), "at most 0.1, which today's rule meets, too"),
    ],
)
def test_a_target_that_the_rule_in_use_meets_says_so(demand, rule, told):
    metric = next(iter(demand))
    mine, today = scores(**{metric: (0.05, 0.04, 0.06)}), scores(**{metric: rule})
    criteria = read_criteria(demand, "regression")
    assert judge(criteria, mine, {"rule": today})["target"].tolist() == [told]
    assert judge(criteria, mine)["target"].tolist() == [told.partition(",")[0]]


def test_no_criteria_no_rows():
    assert len(judge(read_criteria({}, "binary"), scores(roc_auc=(1, 1, 1)))) == 0


def test_bias_against_the_rule_is_of_sizes():
    criteria = read_criteria({"bias": "< rule"}, "regression")
    mine, rule = scores(bias=(0.1, 0.05, 0.15)), scores(bias=(-0.9, -1.0, -0.8))
    row = judge(criteria, mine, {"rule": rule}).iloc[0]
    assert (row["verdict"], row["value"]) == ("pass", 0.1)
    assert judge(criteria, rule, {"rule": mine})["verdict"].tolist() == ["fail"]
    y = np.arange(200.0)
    paired = compare(y, y - 0.9, y + 0.1, "bias", task="regression")
    assert judge(criteria, mine, {"rule": paired})["verdict"].tolist() == ["pass"]


def test_what_criteria_may_also_name_is_told():
    for measure in MEASURES:
        assert measure in read_criteria.__doc__


def test_a_criterion_on_bias_says_that_its_size_counts():
    words = read_criteria({"bias": "< rule", "mae": "<= 3"}, "regression")["words"]
    assert (
        words[0]
        == "the size of bias (predicted minus true, on average) is less than that of the rule in use today on the test split"
    )
    assert words[1].startswith("mean absolute error (how far")
