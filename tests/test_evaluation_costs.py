"""Decisions: the threshold is the cheapest to be expected on new rows, and money adds up."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import choose_threshold, compare, compare_costs, price_rows, score_cost, tabulate_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from benchmarks.truth.thresholds import World, lose, use_cheapest, use_formula, use_nbkit
from nbkit.errors import BadCriterion, NbkitError

COSTS = {"false_positive": 10, "false_negative": 60, "true_positive": 4, "true_negative": -1}


def calibrated(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, n)
    return (rng.random(n) < p).astype(int), p


def cost_at(y, p, threshold):
    tn, fp, fn, tp = confusion_matrix(y, p >= threshold, labels=[0, 1]).ravel()
    return (tn * -1 + fp * 10 + fn * 60 + tp * 4) / len(y)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_cost_is_that_of_the_threshold_and_acting_always_or_never_costs_no_less(seed):
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 30, 80) / 30
    y = (rng.random(80) < rng.random()).astype(int)
    decision = choose_threshold(y, p, COSTS, positive=1, draws=10)
    assert decision.cost == pytest.approx(cost_at(y, p, decision.threshold))
    assert min(y.sum(), 80 - y.sum()) < 10 or decision.cost <= min(cost_at(y, p, t) for t in (0, 1.1)) + 1e-12
    order = rng.permutation(80)
    assert choose_threshold(y[order], p[order], COSTS, positive=1, draws=0).threshold == decision.threshold
    assert decision.threshold in (0.0, np.nextafter(1, 2), *p)


@pytest.mark.parametrize(
    ("prevalence", "n", "ratio", "kind"),
    [(0.0003, 20_000, 1000, "exact"), (0.003, 3000, 200, "a rank"), (0.03, 3000, 30, "too timid"), (0.2, 500, 5, "wide"),
     (0.2, 500, 5, "a forest"), (0.5, 500, 1, "too extreme"), (0.5, 500, 5, "balanced weights")],
)  # fmt: skip
def test_on_new_rows_it_loses_less_of_the_saving_than_the_cheapest_score_of_the_given_rows(prevalence, n, ratio, kind):
    world = World(prevalence, ratio, kind)
    lost = lose(use_nbkit, world, n, runs=12)
    assert lost < 0.35
    assert lost <= lose(use_cheapest, world, n, runs=12) + 0.01


def test_with_many_cases_the_measured_cost_decides_whatever_the_scores_mean():
    world = World(0.2, 5, "cube root")
    assert lose(use_nbkit, world, 20_000, runs=4) < 0.02 < lose(use_formula, world, 20_000, runs=1)


def test_the_curve_counts_as_scikit_learn_does():
    y, p = calibrated(300)
    curve = choose_threshold(y, p, COSTS, draws=10).curve
    for row in curve.iloc[::40].itertuples():
        assert [row.tn, row.fp, row.fn, row.tp] == confusion_matrix(
            y, p >= row.threshold, labels=[0, 1]
        ).ravel().tolist()
    assert curve["selection_rate"].iloc[[0, -1]].tolist() == [1, 0]


def test_with_exact_probabilities_the_formula_lies_in_the_interval():
    y, p = calibrated(20_000)
    decision = choose_threshold(y, p, {"false_positive": 1, "false_negative": 4})
    assert decision.theoretical == pytest.approx(0.2)
    assert decision.low <= 0.2 <= decision.high
    assert decision.cost_low < decision.cost < decision.cost_high
    assert len(decision.curve) < 210


def test_rare_positives_get_fine_thresholds():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 800, 20_000)
    decision = choose_threshold((rng.random(20_000) < p).astype(int), p, {"false_positive": 1, "false_negative": 500})
    assert 0 < decision.threshold < 0.02


@pytest.mark.parametrize(("y", "p"), [([], []), ([1], [0.3]), ([0, 0], [0.5, 0.5]), ([1, 1], [0.0, 1.0])])
def test_little_data_still_gives_a_threshold(y, p):
    decision = choose_threshold(y, p, {"false_positive": 1, "false_negative": 1}, positive=1)
    assert np.isfinite(decision.threshold)
    assert len(decision.curve)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({"false_postive": 1}, "did you mean 'false_positive'"),
        ({"false_positive": "1"}, "must be a number"),
        ({"false_positive": float("nan")}, "must be a number"),
    ],
)
def test_costs_are_read_strictly(costs, words):
    with pytest.raises(BadCriterion, match=words):
        choose_threshold([0, 1], [0.1, 0.9], costs)


def test_money_adds_up():
    y, p = calibrated()
    table = tabulate_errors(y, p, COSTS, threshold=0.3, currency="USD")
    assert table["n"].sum() == len(y)
    assert table["cost"].sum() / len(y) == pytest.approx(cost_at(y, p, 0.3))
    assert price_rows(y, p, COSTS, threshold=0.3).mean() == pytest.approx(cost_at(y, p, 0.3))
    row = score_cost(y, p, COSTS, threshold=0.3).loc["cost_per_row"]
    assert row["value"] == pytest.approx(cost_at(y, p, 0.3))
    assert row["low"] < row["value"] < row["high"]


def test_classes_are_counted_and_priced():
    p = pd.DataFrame(np.eye(3)[[0, 1, 1, 2]], columns=["a", "b", "c"])
    y = pd.Series(["a", "a", "b", "c"])
    table = tabulate_errors(y, p, costs={"a": {"b": 7}})
    assert table.query("actual == 'a' and predicted == 'b'")[["n", "cost"]].values.tolist() == [[1, 7.0]]
    assert price_rows(y, p, {"a": {"b": 7}}).tolist() == [0, 7, 0, 0]
    with pytest.raises(BadCriterion, match="names class 'x'"):
        tabulate_errors(y, p, costs={"x": {"b": 7}})
    with pytest.raises(BadCriterion, match="true class"):
        tabulate_errors(y, p, costs={"a": 7})


def test_numbers_are_priced_per_unit():
    assert price_rows([10.0, 10.0], [12.0, 9.0], {"over": 1, "under": 5}, task="regression").tolist() == [2, 5]
    table = tabulate_errors([1.5, 2.5], [1.0, 3.0], {"over": 1, "under": 2}, task="regression").set_index("outcome")
    assert table[["n", "cost"]].to_dict("index") == {
        "too low": {"n": 1, "cost": 1.0},
        "too high": {"n": 1, "cost": 0.5},
    }


def test_rows_told_twenty_times_do_not_make_a_threshold_surer():
    rng = np.random.default_rng(3)
    p = rng.random(200)
    y = (rng.random(200) < p).astype(int)
    once = choose_threshold(y, p, COSTS)
    told, again = np.tile(y, 20), np.tile(p, 20)
    groups = pd.Series(np.tile(np.arange(200), 20))
    alike = choose_threshold(told, again, COSTS, groups=groups)
    naive = choose_threshold(told, again, COSTS)
    assert alike.threshold == once.threshold
    assert alike.cost == pytest.approx(once.cost)
    assert alike.cost_high - alike.cost_low == pytest.approx(once.cost_high - once.cost_low, rel=0.15)
    assert naive.cost_high - naive.cost_low < 0.4 * (once.cost_high - once.cost_low)


def test_groups_are_as_many_as_rows():
    with pytest.raises(NbkitError, match="blocks"):
        choose_threshold([0, 1], [0.1, 0.9], COSTS, groups=pd.Series([1]))


def test_acting_on_everyone_may_be_cheaper():
    rng = np.random.default_rng(1)
    y, p, rule = (rng.random(3000) < 0.5).astype(int), rng.random(3000), rng.random(3000)
    table = compare_costs(
        y, p, {"today's rule": rule}, {"false_positive": 1, "false_negative": 4}, threshold=0.4, draws=300
    )
    assert table.index.tolist() == ["never acting", "always acting", "today's rule"]
    assert table["cost_per_row"].tolist() == pytest.approx(
        [4 * y.mean(), 1 - y.mean(), np.mean((rule >= 0.4) * (1 - y) + 4 * (rule < 0.4) * y)]
    )
    assert table["model"].nunique() == 1
    assert table["difference"].tolist() == pytest.approx((table["model"] - table["cost_per_row"]).tolist())
    assert table["verdict"].tolist() == ["better", "worse", "inconclusive"]
    off = price_rows(y, p, {"false_positive": 1, "false_negative": 4}, threshold=0.4) - (1 - y)
    error = off.std() / np.sqrt(3000)  # of a mean of paired differences
    low, high = table.loc["always acting", ["low", "high"]]
    assert (low, high) == (
        pytest.approx(off.mean() - 1.96 * error, rel=0.1),
        pytest.approx(off.mean() + 1.96 * error, rel=0.1),
    )


def test_the_model_against_itself_costs_the_same():
    y, p = calibrated(200)
    row = compare_costs(y, p, {"twin": p}, COSTS, threshold=0.2, draws=50).loc["twin"]
    assert row[["difference", "low", "high", "verdict"]].tolist() == [0, 0, 0, "inconclusive"]


def test_rows_told_twenty_times_do_not_make_a_comparison_surer():
    y, p = calibrated(200)
    once = compare_costs(y, p, {}, COSTS, threshold=0.2)
    groups = pd.Series(np.tile(np.arange(200), 20))
    alike = compare_costs(np.tile(y, 20), np.tile(p, 20), {}, COSTS, threshold=0.2, groups=groups)
    naive = compare_costs(np.tile(y, 20), np.tile(p, 20), {}, COSTS, threshold=0.2)
    width = [(table["high"] - table["low"])["never acting"] for table in (once, alike, naive)]
    assert width[1] == pytest.approx(width[0], rel=0.15)
    assert width[2] < 0.4 * width[0]
    with pytest.raises(NbkitError, match="blocks"):
        compare_costs(y, p, {}, COSTS, groups=groups)


def test_alternatives_of_other_tasks():
    y, p = [10.0, 10.0], [12.0, 9.0]
    table = compare_costs(y, p, {"rule": [11.0, 11.0]}, {"over": 1, "under": 5}, task="regression", draws=20)
    assert table.loc["rule", ["cost_per_row", "model", "difference", "n"]].tolist() == [1.0, 3.5, 2.5, 2]
    assert (compare_costs(y, p, {"rule": y}, {}, task="regression", draws=20)["model"] == 0).all()
    classes = pd.DataFrame(np.eye(3)[[0, 1, 1, 2]], columns=["a", "b", "c"])
    dummy = pd.DataFrame(np.eye(3)[[0, 0, 0, 0]], columns=["a", "b", "c"])
    truth = pd.Series(["a", "a", "b", "c"])
    assert compare_costs(truth, classes, {"dummy": dummy}, {"a": {"b": 7}}).loc["dummy", "difference"] == (7 - 2) / 4


def test_without_costs_both_errors_cost_one():
    y, p = calibrated(300)
    wrong = np.mean((p >= 0.3) != y)
    assert score_cost(y, p, {}, threshold=0.3)["value"].iloc[0] == pytest.approx(wrong)
    assert compare_costs(y, p, {}, {}, threshold=0.3)["model"].iloc[0] == pytest.approx(wrong)
    assert choose_threshold(y, p, {}).theoretical == 0.5


def test_an_alternative_decides_at_its_own_threshold():
    y, p, rule = [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [0.01, 0.02, 0.03, 0.04]
    price = {"false_positive": 1, "false_negative": 1}
    at_the_models = compare_costs(y, p, {"rule": rule}, price).loc["rule", "cost_per_row"]
    at_its_own = compare_costs(y, p, {"rule": rule}, price, thresholds={"rule": 0.025}).loc["rule", "cost_per_row"]
    assert (at_the_models, at_its_own) == (0.5, 0.0)


def test_two_models_may_be_compared_each_at_its_own_threshold():
    y, rule, p = [0, 0, 1, 1] * 5, [0.01, 0.02, 0.03, 0.04] * 5, [0.1, 0.2, 0.8, 0.9] * 5
    assert compare(y, rule, p, "accuracy").loc["accuracy", "reference"] == 0.5
    assert compare(y, rule, p, "accuracy", threshold_reference=0.025).loc["accuracy", "reference"] == 1.0
