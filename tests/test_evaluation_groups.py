"""Fairness: rates counted by hand, intervals of the literature."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import align, compare_protected, rates_by_group
from fairlearn.metrics import (
    MetricFrame,
    count,
    false_positive_rate,
    mean_prediction,
    selection_rate,
    true_positive_rate,
)
from model_helpers import load_table, make_binary
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, precision_score

from nbkit.errors import BadModel
from nbkit.evaluation import compare_groups, guess_groups, judge_groups, price_equal_rates, rate_ratio
from nbkit.evaluation.groups import compare_protected as compare_all
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
        "calibration_gap": 0.0,
    }
    assert rates.loc["a", "value"].to_dict() == pytest.approx(expected)
    assert rates.at[("b", "true_positive_rate"), "value"] == 1
    assert not rates.at[("b", "true_positive_rate"), "judged"]


def test_the_difference_is_newcombes_and_the_ratio_leaves_1_where_it_leaves_0():
    rates = pd.DataFrame(
        {"group": ["a", "b"], "rate": "selection_rate", "count": [48, 56], "n": [80, 70], "judged": True}
    )
    rates = rates.assign(value=rates["count"] / rates["n"], effective=rates["n"])
    rates["low"], rates["high"] = wilson_interval(rates["count"], rates["n"])
    row = compare_groups(rates).iloc[0]
    # Newcombe 1998, table II (a): 56/70 - 48/80, method 10
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([0.2, 0.0524, 0.3339], abs=5e-5)
    (low, high), (least, most) = (wilson_interval(k, n) for k, n in ((48, 80), (56, 70)))
    for end, a, b in (("ratio_low", low, most), ("ratio_high", high, least)):  # Donner and Zou: a - ratio b = 0
        off = abs(0.6 - row[end] * 0.8)
        assert off == pytest.approx(np.hypot(a - 0.6, row[end] * (b - 0.8)))
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
    once, often = (each[each["rate"] != "calibration_gap"] for each in (once, often))
    assert often["effective"].to_numpy() == pytest.approx(once["n"].to_numpy(), rel=0.06)
    same = once["rate"].isin(["base_rate", "selection_rate"])
    assert often["low"][same].to_numpy() == pytest.approx(once["low"][same].to_numpy(), abs=2e-3)
    rows = rates_by_group(y, y * 1.0, groups, blocks=pd.Series(np.arange(400)))
    rows = rows[rows["rate"] != "calibration_gap"]
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
    assert row["ratio"] == pytest.approx(1 / 3)
    assert row["ratio_high"] < 1
    signed = compare_groups(rates.assign(rate="bias")).iloc[0]
    assert np.isnan(signed["ratio"])
    assert signed["apart"]


def test_the_rate_ratio_is_that_of_selection_rates():
    y = np.r_[np.zeros(200), np.ones(200)]
    p = np.r_[np.repeat([0.9, 0.1], [60, 140]), np.repeat([0.9, 0.1], [100, 100])]
    frame = pd.DataFrame({"sex": ["f"] * 200 + ["m"] * 200, "site": ["x", "y"] * 200})
    groups = compare_protected(frame, y, p, ["sex", "site"], metric="roc_auc", task="binary", positive=1)
    row = rate_ratio(compare_groups(groups)).loc["rate_ratio"]
    assert row["value"] == pytest.approx(0.6)
    assert row["low"] == pytest.approx(0.6 * np.exp(-1.96 * np.sqrt(1 / 60 - 1 / 200 + 1 / 100 - 1 / 200)), rel=0.03)
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
    said = {
        "pass": "is within the limit of 1.25",
        "fail": "beyond it",
        "inconclusive": "reaches across it: more rows are needed to tell: about ",
    }
    assert said[verdict] in judged.at["selection_rate", "sentence"]
    assert np.isnan(judged.at["selection_rate", "needed"]) == (verdict != "inconclusive")
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


def test_point_values_are_fairlearns():
    frame = make_binary(2000)
    p = np.random.default_rng(0).random(2000) * 0.5 + 0.3 * frame["late"]
    carrier = frame["carrier"].fillna("missing")
    ours = rates_by_group(frame["late"], p, frame["carrier"]).pivot_table(index="group", columns="rate", values="value")
    theirs = MetricFrame(
        metrics={"selection_rate": selection_rate, "true_positive_rate": true_positive_rate, "n": count,
                 "false_positive_rate": false_positive_rate, "precision": precision_score},
        y_true=frame["late"], y_pred=p >= 0.5, sensitive_features=carrier,
    )  # fmt: skip
    for rate in ("selection_rate", "true_positive_rate", "false_positive_rate", "precision"):
        assert ours[rate].to_dict() == pytest.approx(theirs.by_group[rate].to_dict())
    gaps = compare_groups(rates_by_group(frame["late"], p, frame["carrier"], min_rows=1)).set_index("rate")
    assert gaps.at["selection_rate", "ratio"] == pytest.approx(theirs.ratio()["selection_rate"])
    assert gaps.at["true_positive_rate", "difference"] == pytest.approx(theirs.difference()["true_positive_rate"])


def test_a_regression_has_its_error_and_its_bias_by_group():
    table = load_table("diabetes")
    X, y = table.drop(columns="target"), table["target"]
    said, sex = Ridge().fit(X, y).predict(X), (X["sex"] > 0).map({True: "2", False: "1"})
    told = align(y, said, task="regression", rows=pd.DataFrame({"sex": sex}))
    rates = compare_all(told, ["sex"]).set_index(["rate", "group"])
    theirs = MetricFrame(metrics=mean_absolute_error, y_true=y, y_pred=said, sensitive_features=sex)
    assert rates.loc["mae", "value"].to_dict() == pytest.approx(theirs.by_group.to_dict())
    theirs = MetricFrame(metrics=mean_prediction, y_true=y, y_pred=said - y, sensitive_features=sex)
    assert rates.loc["bias", "value"].to_dict() == pytest.approx(theirs.by_group.to_dict())
    verdicts = judge_groups(compare_groups(rates.reset_index(), told))
    assert verdicts["rate"].tolist() == ["mae"]
    assert ": predictions are off 1.00 times as far as for " in verdicts["sentence"].iloc[0]
    told = judge_groups(compare_groups(rates.reset_index(), told), unit="points")["sentence"].iloc[0]
    assert " points; too high and too low count alike)" in told  # sizes are compared, and it is said


def draw_days(rng, rates, days=40, each=25, shared=0.8):
    """Groups that have the same bad days: (label, group, day) of each row."""
    level = rng.normal(0, shared, days)
    odds = np.log(np.array(rates) / (1 - np.array(rates)))
    chance = 1 / (1 + np.exp(-(odds[:, None] + level + rng.normal(0, 0.2, (len(rates), days)))))
    hits = rng.random((len(rates), days, each)) < chance[:, :, None]
    group, day, _ = np.indices(hits.shape)
    return hits.ravel(), group.ravel(), day.ravel(), chance.mean(axis=1)


def judge_days(rng, rates, **how):
    hits, group, day, _ = draw_days(rng, rates, **how)
    told = align(
        hits * 1, np.where(hits, 0.9, 0.1), task="binary", groups=day, rows=pd.DataFrame({"g": group.astype(str)})
    )
    found = compare_all(told, ["g"])
    return compare_groups(found, told).set_index("rate").loc["selection_rate"], compare_groups(found).iloc[1]


def test_what_moves_groups_together_says_nothing_about_their_difference():
    rng = np.random.default_rng(0)
    drawn = [judge_days(rng, (0.3, 0.3, 0.3)) for _ in range(150)]
    assert np.mean([paired["apart"] for paired, _ in drawn]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)
    widths = [(paired["high"] - paired["low"]) / (free["high"] - free["low"]) for paired, free in drawn]
    assert np.median(widths) < 0.7
    found = [judge_days(rng, (0.3, 0.36)) for _ in range(60)]
    paired, free = (np.mean([pair[place]["apart"] for pair in found]) for place in (0, 1))
    assert paired > 0.6
    assert free < paired - 0.3


def test_gap_and_verdict_never_contradict_each_other():
    rng = np.random.default_rng(1)
    for _ in range(100):
        paired, free = judge_days(rng, rng.uniform(0.05, 0.6, rng.integers(2, 5)), each=int(rng.integers(4, 25)))
        for row in (paired, free):
            assert row["apart"] == (row["low"] > 0) == (row["ratio_high"] < 1)
            assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]


def test_the_ratio_at_the_limit_is_seldom_called_outside():
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        hits = [rng.binomial(1500, 0.32), rng.binomial(1500, 0.4)]
        gaps = compare_groups(shares(("a", hits[0], 1500), ("b", hits[1], 1500)).assign(column="c"))
        wrong += judge_groups(gaps).set_index("rate").at["selection_rate", "verdict"] != "inconclusive"
    assert wrong / 200 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def groups_of(kind, n=3000):
    rng = np.random.default_rng(3)
    group = rng.choice(["a", "b"], n)
    own = {"given away": (group == "a") * 2.0, "hidden": np.zeros(n)}[kind] + rng.normal(size=n)
    p = 1 / (1 + np.exp(1 - 0.8 * own - 0.5 * (group == "a")))
    frame = pd.DataFrame({"x": own, "z": rng.normal(size=n), "g": group, "w": rng.choice(list("uv"), n)})
    return align((rng.random(n) < p) * 1, p, threshold=0.5, rows=frame)


def test_features_that_give_a_group_away_are_told_from_those_that_do_not():
    away, hidden = (
        guess_groups(groups_of(kind), ["g"], ["x", "z", "g", "w"]).iloc[0] for kind in ("given away", "hidden")
    )
    assert away["low"] > 0.7
    assert "give g away" in away["sentence"]
    assert hidden["low"] < 0.5 < hidden["high"]
    assert "hardly tell g" in hidden["sentence"]
    assert len(guess_groups(groups_of("hidden").take(np.arange(90)), ["g"], ["x"])) == 0


def test_thresholds_by_group_bring_rates_within_the_limit_and_have_their_price():
    told, costs = groups_of("given away"), {"false_positive": 2, "false_negative": 3}
    halves = [told.take(np.arange(place, len(told), 2)).at(0.4) for place in (0, 1)]
    table = price_equal_rates(*halves, ["g"], costs, currency="USD").set_index("rate")
    assert (table["before"] > 1.5).all()
    assert (table["after"] < 1.4).all()
    assert table.at["selection_rate", "low"] > 0
    assert "costs 0." in table.at["selection_rate", "sentence"]
    assert "USD more a row" in table.at["selection_rate", "sentence"]
    one = told.take(np.flatnonzero(told.rows["g"] == "a"))
    assert len(price_equal_rates(one, one, ["g"], costs)) == 0


@pytest.mark.parametrize("name", ['<b>"a"', "x" * 200, "a | b"])
def test_odd_names_and_tiny_groups_are_no_trouble(name):
    frame = pd.DataFrame({"g": [name] * 150 + ["b"] * 147 + ["c"] * 3})
    told = align(np.arange(300) % 2, np.full(300, 0.4), rows=frame)
    rates = compare_all(told, ["g"])
    assert not rates.loc[(rates["group"] == "c"), "judged"].any()
    assert judge_groups(compare_groups(rates, told))["verdict"].tolist() != []


@pytest.mark.parametrize("names", ["abc", "cba"])
def test_groups_that_tie_are_not_compared_with_themselves_but_the_two_smallest(names):
    big, small, other = names
    group = pd.Series([big] * 500 + [small] * 15 + [other] * 16)
    rates = rates_by_group(np.tile([1, 0, 1], 177), np.ones(531), group, min_rows=5)
    gap = compare_groups(rates).set_index("rate").loc["selection_rate"]
    assert {gap["lowest"], gap["highest"]} == {small, other}
    assert gap["n"] == 31
