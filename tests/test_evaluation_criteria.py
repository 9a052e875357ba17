"""Criteria: read strictly, judged by the whole interval."""

import re

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


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((0.66, 0.64, 0.68), "0.65 lies inside; more rows are needed to tell: about 4,000 in place of 1,000 for an"),
        ((0.66, 0.6499, 0.68), "about 1,100 in place of 1,000"),
        ((0.64, 0.6, 0.66), "about 4,000 in place of 1,000"),
        ((0.62, 0.5, 0.71), "about 9,000 in place of 1,000"),
        ((0.653, 0.63, 0.68), "about 59,000 in place of 1,000"),
        (
            (0.65, 0.6, 0.7),
            "0.65 lies inside; it is too near to tell in practice: more than 100 times the 1,000 rows",
        ),
        ((0.6501, 0.6, 0.7), "too near to tell in practice"),
    ],
)
def test_a_bound_inside_the_interval_says_about_how_many_rows_would_tell(row, told):
    criteria = read_criteria({"roc_auc": ">= 0.65"}, "binary")
    why = judge(criteria, scores(roc_auc=row).assign(n=1_000))["why"].iloc[0]
    assert told in why
    assert (
        judge(criteria, scores(roc_auc=row))["why"].iloc[0].endswith("0.65 lies inside; more rows are needed to tell")
    )


def test_of_a_value_that_leans_to_one_side_no_number_of_rows_is_said():
    for demand, row in (("slice_gap", (0.1, 0.02, 0.2)), ("ece", (0.05, 0.0, 0.06)), ("rate_ratio", (0.8, 0.6, 1.0))):
        criteria = read_criteria({demand: ">= 0.7" if demand == "rate_ratio" else "<= 0.04"}, "binary")
        why = judge(criteria, scores(**{demand: row}).assign(n=1_000))["why"].iloc[0]
        assert why.endswith("lies inside; more rows are needed to tell")


def draw_binary(chance, n, spread=1.0):
    p = 1 / (1 + np.exp(-spread * chance.normal(size=n)))
    return (chance.random(n) < p).astype(int), p


def read_needed(why):
    return int(re.search(r"about ([\d,]+) in place of [\d,]+ for an even chance", why)[1].replace(",", ""))


@pytest.mark.parametrize(("metric", "demand"), [("accuracy", ">="), ("brier", "<="), ("roc_auc", ">=")])
def test_with_as_many_rows_as_are_named_half_of_all_draws_tell_if_the_value_stays(metric, demand):
    chance, told = np.random.default_rng(1), []
    truth = score_predictions(*draw_binary(chance, 400_000), [metric], draws=0)["value"].iloc[0]
    for off in (0.8, 1.4):  # standard errors between truth and bound
        seen = score_predictions(*draw_binary(chance, 500), [metric], draws=60)
        error = (seen["high"] - seen["low"]).iloc[0] / 2 / 1.96
        bound = truth - off * error if demand == ">=" else truth + off * error
        criteria = read_criteria({metric: f"{demand} {bound:.6f}"}, "binary")
        stays = seen.assign(value=truth, low=truth - 1.96 * error, high=truth + 1.96 * error)
        needed = read_needed(judge(criteria, stays)["why"].iloc[0])
        assert needed == pytest.approx(500 * (1.96 / off) ** 2, rel=0.06)
        for _ in range(40):
            again = score_predictions(*draw_binary(chance, needed), [metric], draws=60)
            told.append(judge(criteria, again)["verdict"].iloc[0] != "inconclusive")
    assert 0.35 < np.mean(told) < 0.7, np.mean(told)  # 80 draws of one half, the width of whose interval is drawn, too


def test_with_as_many_rows_as_are_named_half_tell_over_all_that_the_truth_may_be():
    chance, criteria, told = np.random.default_rng(2), read_criteria({"bias": "<= 1"}, "regression"), []
    for truth in chance.uniform(1 - 5 * 0.1, 1 + 5 * 0.1, 1_200):  # five standard errors to either side of the bound
        value = chance.normal(truth, 0.1)
        row = judge(criteria, scores(bias=(value, value - 0.196, value + 0.196)).assign(n=1_000)).iloc[0]
        if "in place of" in row["why"]:
            error = 0.1 * np.sqrt(1_000 / read_needed(row["why"]))
            again = chance.normal(truth, error)
            second = judge(criteria, scores(bias=(again, again - 1.96 * error, again + 1.96 * error)))
            told.append(second["verdict"].iloc[0] != "inconclusive")
    assert len(told) > 300
    assert 0.5 < np.mean(told) < 0.65, np.mean(told)


def test_missing_numbers_cannot_tell():
    criteria = read_criteria({"roc_auc": "> rule", "brier": "<= 0.2", "f1": ">= 0.1"}, "binary")
    table = judge(criteria, scores(roc_auc=(0.7, 0.6, 0.8)))
    assert table["verdict"].tolist() == ["inconclusive"] * 3
    assert "no roc_auc of the rule" in table["why"][0]
    assert "f1 was not measured on the test split" in table["why"][2]


def against(**rows):
    """Tables of a comparison: of each metric the reference, the difference to it, and its limits."""
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["reference", "difference", "low", "high"])
    return table.rename_axis("metric")


def test_a_paired_comparison_is_used():
    rng = np.random.default_rng(0)
    p = rng.random(800)
    y = (rng.random(800) < p).astype(int)
    rule = np.clip(p + rng.normal(0, 0.1, 800), 0, 1)
    criteria, mine = read_criteria({"brier": "< rule"}, "binary"), score_predictions(y, p, "brier")
    paired = judge(criteria, mine, {"rule": compare(y, rule, p, "brier")})
    theirs = score_predictions(y, rule, "brier")
    assert paired["verdict"].tolist() == ["pass"]
    assert mine["high"].iloc[0] > theirs["low"].iloc[0]  # told apart only row by row


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
    mine, today = scores(**{metric: (0.05, 0.04, 0.06)}), against(**{metric: (rule[0], -1, -2, 0)})
    criteria = read_criteria(demand, "regression")
    assert judge(criteria, mine, {"rule": today})["target"].tolist() == [told]
    assert judge(criteria, mine)["target"].tolist() == [told.partition(",")[0]]


def test_no_criteria_no_rows():
    assert len(judge(read_criteria({}, "binary"), scores(roc_auc=(1, 1, 1)))) == 0


def test_bias_against_the_rule_is_of_sizes():
    criteria, mine = read_criteria({"bias": "< rule"}, "regression"), scores(bias=(0.1, 0.05, 0.15))
    row = judge(criteria, mine, {"rule": against(bias=(-0.9, -0.8, -0.9, -0.7))}).iloc[0]
    assert (row["verdict"], row["value"]) == ("pass", 0.1)
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
