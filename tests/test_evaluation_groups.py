"""Fairness: rates counted by hand, intervals of the literature."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import compare_protected, rates_by_group

from nbkit.errors import BadModel
from nbkit.evaluation import compare_groups, judge_groups, rate_ratio
from nbkit.stats import wilson_interval


def test_rates_are_those_counted_by_hand():
    y = np.array([1, 1, 0, 0, 1, 0])
    p = np.array([0.9, 0.2, 0.8, 0.1, 0.7, 0.3])
    rates = rates_by_group(y, p, pd.Series(list("aaaabb")), min_rows=2).set_index(["group", "rate"])
    expected = {
        "base_rate": 0.5,
        "selection_rate": 0.5,
        "true_positive_rate": 0.5,
        "false_positive_rate": 0.5,
        "precision": 0.5,
    }
    assert rates.loc["a", "value"].to_dict() == expected
    assert rates.at[("b", "true_positive_rate"), "value"] == 1
    assert rates.at[("b", "true_positive_rate"), "difference"] == 0.5  # to the largest group
    assert not rates.at[("b", "true_positive_rate"), "judged"]


def test_newcombe_and_katz_are_those_of_the_literature():
    rates = pd.DataFrame(
        {"group": ["a", "b"], "rate": "selection_rate", "count": [48, 56], "n": [80, 70], "judged": True}
    )
    rates = rates.assign(value=rates["count"] / rates["n"], effective=rates["n"])
    rates["low"], rates["high"] = wilson_interval(rates["count"], rates["n"])
    row = compare_groups(rates).iloc[0]
    # Newcombe 1998, table II (a): 56/70 - 48/80, method 10
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([0.2, 0.0524, 0.3339], abs=5e-5)
    spread = np.sqrt(1 / 48 - 1 / 80 + 1 / 56 - 1 / 70)
    assert row["ratio_high"] == pytest.approx(0.75 * np.exp(1.959964 * spread))
    assert (row["lowest"], row["highest"], row["groups"], row["n"], row["apart"]) == ("a", "b", 2, 150, True)


def test_one_group_has_nothing_to_compare():
    row = compare_groups(rates_by_group([0, 1], [0.2, 0.8], pd.Series(["a", "a"]))).iloc[0]
    assert np.isnan(row["difference"])
    assert not row["apart"]
    assert len(rates_by_group([], [], pd.Series([], dtype=object))) == 0


def shares(*groups):
    """Rates of groups given as (name, hits, rows)."""
    y = np.concatenate([np.arange(n) < hits for _, hits, n in groups]).astype(int)
    names = pd.Series(np.repeat([name for name, _, _ in groups], [n for _, _, n in groups]))
    return rates_by_group(y, y.astype(float), names)


def test_intervals_that_overlap_may_still_be_of_groups_apart():
    rates = shares(("a", 215, 375), ("b", 245, 367)).query("rate == 'base_rate'")
    assert rates["high"].iloc[0] > rates["low"].iloc[1]
    pooled = 460 / 742
    z = (245 / 367 - 215 / 375) / np.sqrt(pooled * (1 - pooled) * (1 / 375 + 1 / 367))
    row = compare_groups(rates).iloc[0]
    assert z > 2.576  # p < 0.01
    assert row["apart"]
    assert row["low"] > 0


def test_the_pick_of_many_groups_is_allowed_for():
    two = shares(("a", 215, 375), ("b", 240, 367))
    many = shares(("a", 215, 375), *[(name, 229, 370) for name in "cdefgh"], ("b", 240, 367))
    pair, pick = (compare_groups(rates).set_index("rate").loc["selection_rate"] for rates in (two, many))
    assert pair["difference"] == pick["difference"]
    assert (pair["apart"], pick["apart"], pick["groups"]) == (True, False, 8)
    # by hand: Newcombe from Wilson intervals at 1 - 0.05 / 28
    (low_a, high_a), (low_b, high_b) = (wilson_interval(k, n, 1 - 0.05 / 28) for k, n in ((215, 375), (240, 367)))
    gap = 240 / 367 - 215 / 375
    assert pick["low"] == pytest.approx(gap - np.hypot(240 / 367 - low_b, high_a - 215 / 375))
    assert pick["high"] == pytest.approx(gap + np.hypot(high_b - 240 / 367, 215 / 375 - low_a))


def test_groups_drawn_from_one_population_are_seldom_apart():
    rng = np.random.default_rng(0)
    apart = [
        compare_groups(shares(*[(name, rng.binomial(300, 0.3), 300) for name in "abcde"])).set_index("rate")["apart"]
        for _ in range(200)
    ]
    assert np.mean([each["base_rate"] for each in apart]) < 0.08


def test_rows_of_a_block_count_as_what_they_are_worth():
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.3).astype(int)
    groups = pd.Series(rng.choice(["a", "b"], 400))
    once = rates_by_group(y, y * 1.0, groups)
    told = [np.tile(y, 10), np.tile(y, 10) * 1.0, pd.Series(np.tile(groups, 10))]
    often = rates_by_group(*told, blocks=pd.Series(np.tile(np.arange(400), 10)))
    assert often["effective"].to_numpy() == pytest.approx(once["n"].to_numpy(), rel=0.06)
    same = once["rate"].isin(["base_rate", "selection_rate"])
    assert often["low"][same].to_numpy() == pytest.approx(once["low"][same].to_numpy(), abs=2e-3)
    rows = rates_by_group(y, y * 1.0, groups, blocks=pd.Series(np.arange(400)))
    assert rows["effective"].to_numpy() == pytest.approx(once["n"].to_numpy(), rel=0.06)
    one = rates_by_group(y, y * 1.0, groups, blocks=pd.Series(np.zeros(400)))
    assert one[["effective", "low", "high"]].isna().all(axis=None)  # one block tells nothing of others


def test_the_interval_of_a_metric_is_stretched_for_the_pick():
    rates = pd.DataFrame({"column": "c", "rate": "mae", "group": list("abc"), "value": [1.0, 2.0, 3.0], "n": 200})
    rates = rates.assign(low=rates["value"] - 0.5, high=rates["value"] + 0.5, effective=np.nan, judged=True)
    row = compare_groups(rates).iloc[0]
    half = 0.5 * np.sqrt(2) * 2.3940 / 1.9600  # normal quantiles at 1 - 0.05 / 3 and 0.95
    assert row[["low", "high"]].tolist() == pytest.approx([2 - half, 2 + half], abs=1e-4)
    assert (row["column"], row["lowest"], row["highest"], row["apart"]) == ("c", "a", "c", True)
    assert np.isnan(row["ratio"])


def test_the_rate_ratio_is_that_of_selection_rates():
    y = np.r_[np.zeros(200), np.ones(200)]
    p = np.r_[np.repeat([0.9, 0.1], [60, 140]), np.repeat([0.9, 0.1], [100, 100])]
    frame = pd.DataFrame({"sex": ["f"] * 200 + ["m"] * 200, "site": ["x", "y"] * 200})
    groups = compare_protected(frame, y, p, ["sex", "site"], metric="roc_auc", task="binary", positive=1)
    row = rate_ratio(compare_groups(groups)).loc["rate_ratio"]
    assert row["value"] == pytest.approx(0.6)
    assert row["low"] == pytest.approx(0.6 * np.exp(-1.959964 * np.sqrt(1 / 60 - 1 / 200 + 1 / 100 - 1 / 200)))
    assert row[["n", "better", "note"]].tolist() == [400, "higher", "sex: f against m"]
    with pytest.raises(BadModel, match="no column 'sxe' to compare groups by; did you mean 'sex'"):
        compare_protected(frame, y, p, ["sxe"], metric="roc_auc", task="binary", positive=1)
    none = compare_protected(frame, y, p, [], metric="roc_auc", task="binary", positive=1)
    assert np.isnan(rate_ratio(compare_groups(none))["value"].iloc[0])


@pytest.mark.parametrize(
    ("rates", "n", "verdict"),
    [((0.30, 0.31), 20_000, "pass"), ((0.2, 0.4), 2_000, "fail"), ((0.3, 0.36), 200, "inconclusive")],
)
def test_groups_are_held_against_a_tolerance(rates, n, verdict):
    random = np.random.default_rng(0)
    group = np.repeat(["a", "b"], n)
    y = random.random(2 * n) < 0.3
    p = np.where(random.random(2 * n) < np.repeat(rates, n), 0.9, 0.1)
    gaps = compare_groups(rates_by_group(y, p, pd.Series(group), positive=True).assign(column="sex"))
    judged = judge_groups(gaps).set_index("rate")
    assert {"selection_rate", "true_positive_rate"} <= set(judged.index)
    others = judged.drop(["selection_rate", "true_positive_rate"])
    assert others["verdict"].tolist() == ["fail"] * len(others)  # whichever rate: what is outside is told
    assert ("false_positive_rate" in others.index) == (verdict == "fail")
    assert judged.at["selection_rate", "verdict"] == verdict
    assert "tolerance of 0.8 to 1.25" in judged.at["selection_rate", "sentence"]
    assert judge_groups(gaps, (0.01, 100)).set_index("rate").at["selection_rate", "verdict"] == "pass"


def test_too_few_rows_of_a_group_are_not_judged():
    gaps = compare_groups(
        rates_by_group([0, 1] * 20, [0.2, 0.8] * 20, pd.Series(["a"] * 35 + ["b"] * 5), positive=1).assign(column="sex")
    )
    judged = judge_groups(gaps)
    assert judged["rate"].tolist() == ["selection_rate", "true_positive_rate"]
    assert set(judged["verdict"]) == {"not judged"}
    assert "fewer than two groups" in judged["sentence"].iloc[0]
    assert "nan" not in " ".join(judged["sentence"])
