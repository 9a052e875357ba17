"""Metrics agree with scikit-learn, intervals cover, and degenerate data give notes instead of crashes."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import align, compare, score_predictions
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from benchmarks.truth.intervals import count_coverage, list_cases
from nbkit.errors import BadCriterion, BadModel, BadProblem
from nbkit.model import METRICS, known_metrics, make_baselines, predict, score
from nbkit.model import compare as compare_predictions
from nbkit.model.costs import price_rows
from nbkit.problem import Problem

RNG = np.random.default_rng(1)


def binary(n=400, levels=40, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.integers(0, levels + 1, n) / levels  # with ties
    return (rng.random(n) < 0.2 + 0.6 * p).astype(int), p


BINARY = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "accuracy": lambda y, p: sk.accuracy_score(y, p >= 0.5),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p >= 0.5),
    "precision": lambda y, p: sk.precision_score(y, p >= 0.5),
    "recall": lambda y, p: sk.recall_score(y, p >= 0.5),
    "f1": lambda y, p: sk.f1_score(y, p >= 0.5),
    "bias": lambda y, p: p.mean() - y.mean(),
}
NUMBERS = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "median_ae": sk.median_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
    "bias": lambda y, p: np.mean(p - y),
}
CLASSES = {
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr"),
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(axis=1)),
    "macro_f1": lambda y, p: sk.f1_score(y, p.argmax(axis=1), average="macro"),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_metrics_are_those_of_scikit_learn(name):
    y, p = binary()
    assert score_predictions(y, p, name, draws=0)["value"].iloc[0] == pytest.approx(BINARY[name](y, p), abs=1e-12)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("n", [20, 21])
def test_regression_metrics_are_those_of_scikit_learn(name, n):
    y = RNG.normal(10, 3, n)
    p = y + RNG.normal(0, 1, n)
    assert score_predictions(y, p, name, draws=0)["value"].iloc[0] == pytest.approx(NUMBERS[name](y, p), abs=1e-12)


@pytest.mark.parametrize("name", CLASSES)
def test_class_metrics_are_those_of_scikit_learn(name):
    p = RNG.dirichlet(np.ones(4), 300)
    y = np.array([RNG.choice(4, p=row) for row in p])
    table = pd.DataFrame(p, columns=list("abcd"))
    seen = score_predictions(pd.Series(y).map(dict(enumerate("abcd"))), table, name, draws=0)["value"].iloc[0]
    assert seen == pytest.approx(CLASSES[name](y, p), abs=1e-12)


def test_every_metric_is_tested_against_another_implementation():
    assert set(known_metrics("binary")) - set(BINARY) == {"ece"}  # in test_model_calibration
    assert set(known_metrics("regression")) == set(NUMBERS)
    assert set(known_metrics("multiclass")) == set(CLASSES)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["roc_auc", "average_precision", "f1", "brier", "log_loss"]))
def test_weights_mean_repeated_rows(seed, name):
    y, p = binary(60, 8, seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(y))
    weighted = METRICS[name].function(align(y, p))(weights[None].astype(float))[0]
    repeated = METRICS[name].function(align(y.repeat(weights), p.repeat(weights)))(np.ones((1, weights.sum())))[0]
    assert weighted == pytest.approx(repeated, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_ranking_metrics_ignore_how_scores_are_spread(seed):
    y, p = binary(80, 10, seed)
    one, other = (score_predictions(y, q, ["roc_auc", "average_precision"], draws=0, task="binary") for q in (p, p**3))
    pd.testing.assert_frame_equal(one, other)


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        y = rng.normal(0, 1, 200)
        row = score_predictions(y, y + rng.normal(0.5, 1, 200), "bias", draws=200, seed=seed).iloc[0]
        covered.append(row["low"] <= 0.5 <= row["high"])
    assert 0.88 <= np.mean(covered) <= 0.99


def test_interval_of_the_mean_is_that_of_the_textbook():
    y, p = binary(2000)
    row = score_predictions(y, p, "brier", draws=1000).iloc[0]
    half = 1.96 * ((p - y) ** 2).std() / np.sqrt(len(y))
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.08)


def test_rows_that_are_alike_widen_the_interval():
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(30), 20)
    y = rng.normal(0, 1, 30)[day] + rng.normal(0, 0.1, 600)
    alone, together = (score_predictions(y, y * 0, "bias", groups=g).iloc[0] for g in (None, pd.Series(day)))
    assert together["high"] - together["low"] > 3 * (alone["high"] - alone["low"])


def test_same_seed_same_bytes():
    y, p = binary()
    pd.testing.assert_frame_equal(score_predictions(y, p, seed=3), score_predictions(y, p, seed=3))
    assert not score_predictions(y, p, seed=3).equals(score_predictions(y, p, seed=4))


def test_paired_comparison_is_sharper_than_two_intervals():
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    y = (rng.random(1000) < p).astype(int)
    worse = np.clip(p + rng.normal(0, 0.15, 1000), 0, 1)
    row = compare(y, worse, p, "brier").loc["brier"]
    assert row["difference"] == pytest.approx(row["value"] - row["reference"])
    assert row["verdict"] == "better"
    single = score_predictions(y, p, "brier").loc["brier"]
    assert row["high"] - row["low"] < single["high"] - single["low"]
    assert compare(y, p, p, "roc_auc")["verdict"].iloc[0] == "inconclusive"


def test_bias_is_compared_by_its_size():
    rng = np.random.default_rng(0)
    y = rng.normal(0, 1, 500)
    low, near = y - 0.8 + rng.normal(0, 0.5, 500), y + 0.1 + rng.normal(0, 0.5, 500)
    row = compare(y, low, near, "bias", task="regression").loc["bias"]
    assert row["difference"] == pytest.approx(abs(row["value"]) - abs(row["reference"]))
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["verdict"] == "better"
    assert compare(y, near, low, "bias", task="regression")["verdict"].iloc[0] == "worse"
    opposite = compare(y, low, 2 * y - low, "bias", task="regression").loc["bias"]
    assert opposite["difference"] == pytest.approx(0)
    assert opposite["verdict"] == "inconclusive"  # as far off on the other side
    # paired bootstrap against the same one done by hand
    draws = rng.integers(0, 500, (2000, 500))
    hand = np.abs((near - y)[draws].mean(axis=1)) - np.abs((low - y)[draws].mean(axis=1))
    assert row[["low", "high"]].tolist() == pytest.approx(np.quantile(hand, [0.025, 0.975]), abs=0.02)


@pytest.mark.parametrize("y", [[1, 1, 1], [0, 0, 0]])
def test_one_class_is_a_note_not_a_crash(y):
    table = score_predictions(y, [0.2, 0.9, 0.4], task="binary", positive=1, draws=20)
    assert np.isnan(table.at["roc_auc", "value"])
    assert table.at["roc_auc", "note"] == "the truth has one class only"
    assert np.isfinite(table.at["brier", "value"])


def test_without_a_positive_class_it_is_one():
    assert score_predictions([0, 0], [0.2, 0.4], "bias", draws=0)["value"].iloc[0] == pytest.approx(0.3)
    assert score_predictions([False], [0.2], "bias", draws=0)["value"].iloc[0] == pytest.approx(0.2)


def test_no_rows_and_one_row():
    assert score_predictions([], [], task="binary")["value"].isna().all()
    assert score_predictions([], np.empty((0, 3)), task="multiclass")["value"].isna().all()
    one = score_predictions([2.0], [3.0], task="regression")
    assert one.at["mae", "value"] == 1
    assert np.isnan(one.at["mae", "low"])
    assert np.isnan(one.at["r2", "value"])


def test_rows_without_truth_are_left_out_and_said():
    table = score_predictions(pd.Series([0, 1, pd.NA, 1], dtype="Int64"), [0.1, 0.8, 0.5, 0.7], "roc_auc", draws=0)
    assert table.loc["roc_auc", ["value", "n", "note"]].tolist() == [1.0, 3, "1 row without truth left out"]


@pytest.mark.parametrize(
    ("y", "positive"),
    [
        (["no", "yes", "yes"], "yes"),
        (pd.Series(["no", "yes", "yes"], dtype="category"), "yes"),
        ([False, True, True], True),
        (pd.Series([False, True, True], dtype="boolean"), None),
        ([1, 2, 2], 2),
        ([1, 2, 2], "2"),
        (pd.Series([0.0, 1.0, 1.0]), 1),
        (pd.Series(["no", "yes", "yes"], dtype=object), "yes"),
    ],
)
def test_any_dtype_of_truth(y, positive):
    table = score_predictions(y, [0.1, 0.8, 0.9], "roc_auc", task="binary", positive=positive, draws=0)
    assert table["value"].iloc[0] == 1


def test_class_names_may_be_read_as_text():
    p = pd.DataFrame({"0": [0.9, 0.2], "1": [0.1, 0.8]})
    assert score_predictions([0, 1], p, "accuracy", draws=0)["value"].iloc[0] == 1
    assert score_predictions([0, 7], p.set_axis([0, 1], axis=1), "accuracy", draws=0)["value"].iloc[0] == 0.5


@pytest.mark.parametrize(
    ("y", "p", "options", "words"),
    [
        ([0, 1], [0.5], {}, "2 true values but 1 predictions"),
        ([0, 1], [0.5, np.nan], {}, "not a finite number in 1 rows, first in row 1"),
        ([0.5, 1], [0.5, np.inf], {}, "not a finite number"),
        ([0, 1], [0.5, 1.5], {"task": "binary"}, r"in \[0, 1\]"),
        (["a", "b"], [0.5, 0.5], {"task": "binary"}, "which class is the positive one"),
        (["no", "yes"], [0.5, 0.5], {"positive": "yess"}, "did you mean 'yes'"),
        (["a", "b", "c"], [0.5, 0.5, 0.5], {"positive": "a"}, "multiclass"),
        (["a", "b"], [0.5, 0.5], {"task": "regression"}, "needs numbers"),
        ([0, 1], [[0.5, 0.5], [0.1, 0.9]], {"task": "binary"}, "one number a row"),
        ([0, 1], [0.5, 0.5], {"groups": ["a"]}, "2 true values but 1 blocks"),
        ([0, 1], [0.5, 0.5], {"task": "binry"}, "'binary'"),
        ([0, 1], [0.5, 0.5], {"task": "multiclass"}, "table of probabilities"),
    ],
)
def test_what_cannot_be_scored_is_explained(y, p, options, words):
    with pytest.raises(BadModel, match=words):
        score_predictions(y, p, **options)


def test_truth_in_another_order_is_refused():
    y, p = pd.Series([0, 1], index=[0, 1]), pd.Series([0.9, 0.1], index=[1, 0])
    with pytest.raises(BadModel, match="another order"):
        score_predictions(y, p)


def test_unknown_metrics_name_the_nearest():
    with pytest.raises(BadCriterion, match="did you mean 'roc_auc'"):
        score_predictions([0, 1], [0.1, 0.2], ["rocauc"])
    with pytest.raises(BadCriterion, match="scores regression, not binary"):
        score_predictions([0, 1], [0.1, 0.2], ["mae"])


def test_a_model_is_asked_about_rows_with_their_target():
    from sklearn.dummy import DummyClassifier

    rows = pd.DataFrame({"a": range(6), "late": [0, 1] * 3, "day": [1, 1, 2, 2, 3, 3]})
    problem = Problem("late", group="day")
    said = predict(DummyClassifier().fit(rows[["a"]], rows["late"]), rows[["a", "late"]], problem)
    assert said.score.tolist() == [0.5] * 6
    assert said.blocks is None  # the group is not among the columns
    with pytest.raises(BadProblem, match="no target 'late'"):
        predict(DummyClassifier().fit(rows[["a"]], rows["late"]), rows[["a"]], problem)


def test_costs_are_one_more_row():
    y, p = binary()
    price = {"false_positive": 1, "false_negative": 3}
    said, rule = align(y, p, threshold=0.3), align(y, 1 - p)
    scores, pair = score(said, "brier", costs=price), compare_predictions(said, rule, "brier", costs=price)
    assert scores.index.tolist() == pair.index.tolist() == ["brier", "cost_per_row"]
    assert scores.loc["cost_per_row", "value"] == pair.loc["cost_per_row", "value"] == price_rows(said, price).mean()
    assert pair.loc["cost_per_row", "verdict"] == "better"


def test_thirty_thousand_rows_take_seconds():
    import time

    y, p = binary(30_000, 10_000)
    start = time.process_time()
    score_predictions(y, p)
    assert time.process_time() - start < 15


@pytest.mark.parametrize("place", [0, 2, 5, 9])  # few rows, few cases, few blocks; all of them in the benchmark
def test_intervals_hold_the_truth_from_five_cases_and_ten_blocks_on(place):
    words, draw, names, how, n, blocks = list_cases(np.random.default_rng(place))[place]
    names = [name for name in names if name in ("roc_auc", "log_loss", "precision", "recall", "f1", "mae", "r2")]
    found = count_coverage(draw, names, how, n, blocks, runs=40, size=100_000)
    assert (found["held"].dropna() >= 0.82).all(), (words, found)  # of 40, for 95 %
    assert found["held"].mean() >= 0.88


def test_a_share_of_no_hits_has_an_interval_that_is_no_point():
    y, p = np.r_[np.ones(8, int), np.zeros(792, int)], np.r_[np.zeros(8), np.full(4, 0.9), np.zeros(788)]
    scores = score_predictions(y, p, ["precision", "recall", "f1"])
    assert (scores["value"] == 0).all()
    assert scores["high"]["precision"] == pytest.approx(0.49, abs=0.01)  # Wilson, 0 of 4
    assert scores["high"]["recall"] == pytest.approx(0.324, abs=0.01)  # Wilson, 0 of 8
    perfect = score_predictions(y, y * 0.9, ["roc_auc", "balanced_accuracy", "precision"])
    assert (perfect["value"] == 1).all()
    assert (perfect["low"] < 0.95).all()


def test_a_constant_model_ranks_at_exactly_one_half_and_others_are_not_taken_for_one():
    rows = pd.DataFrame({"x": np.arange(300.0), "y": np.arange(300) % 3 == 0})
    problem = Problem("y", positive=True)
    dummy = make_baselines(problem)["dummy"].fit(rows[["x"]], rows["y"])
    scores = score(predict(dummy, rows, problem), ["roc_auc", "balanced_accuracy", "brier"])
    assert scores.loc[["roc_auc", "balanced_accuracy"], ["value", "low", "high"]].eq(0.5).all(axis=None)
    assert scores.at["brier", "low"] < scores.at["brier", "value"] < scores.at["brier", "high"]
    by_chance = score_predictions(rows["y"], np.full(300, 0.3), ["roc_auc"])  # of a model that may say more elsewhere
    assert by_chance.at["roc_auc", "low"] < 0.5 < by_chance.at["roc_auc", "high"]
    classes = Problem("y", "multiclass")
    dummy = make_baselines(classes)["dummy"].fit(rows[["x"]], rows["x"] % 3)
    ranked = score(predict(dummy, rows.assign(y=rows["x"] % 3), classes), "roc_auc").loc["roc_auc"]
    assert ranked[["value", "low", "high"]].eq(0.5).all()


def test_too_few_cases_or_blocks_are_an_honest_note_with_the_number_needed():
    y = np.r_[1, 1, np.zeros(98, int)]
    scores = score_predictions(y, np.linspace(1, 0, 100), ["roc_auc", "log_loss", "recall"])
    assert scores[["low", "high"]].loc[["roc_auc", "log_loss"]].isna().all(axis=None)
    assert scores.at["roc_auc", "note"] == "too few to say how sure: 2 rows of the rarest class, 5 needed"
    assert np.isfinite(scores.at["recall", "low"])
    y, p = binary(200)
    few = score_predictions(y, p, "brier", groups=pd.Series(np.arange(200) % 4)).loc["brier"]
    assert np.isnan(few["low"])
    assert few["note"] == "too few to say how sure: 4 blocks, 5 needed"
    rough = score_predictions(y, p, "brier", groups=pd.Series(np.arange(200) % 10)).loc["brier"]
    assert np.isfinite(rough["low"])
    assert rough["note"] == "only 10 blocks: the interval is rough"
    row = compare([1, 0, 0, 0], [0.5] * 4, [0.4] * 4, "brier", task="binary", positive=1).loc["brier"]
    assert (row["verdict"], row["note"]) == (
        "inconclusive",
        "too few to say how sure: 1 row of the rarest class, 5 needed",
    )
