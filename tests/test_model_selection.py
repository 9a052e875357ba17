"""What may be said of the best of many models: against models whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import compare, compare_with_best

from benchmarks.truth.comparisons import count_false


def draw(seed, quality, n=400):
    """Draw truth and the probabilities of models, the higher the quality the nearer to the truth."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, 2, n)
    noise = {name: chance.normal(size=n) for name in quality}
    return truth, {name: 1 / (1 + np.exp(-(power * (truth - 0.5) + noise[name]))) for name, power in quality.items()}


def test_a_clear_winner_is_named_and_the_rest_is_worse():
    truth, said = draw(0, {"good": 4.0, "poor": 1.0, "none": 0.0})
    found = compare_with_best(truth, said, "roc_auc", task="binary")
    assert found.best == "good"
    assert found.table["verdict"].tolist() == ["best", "worse", "worse"]
    assert found.table["difference"].is_monotonic_increasing
    assert found.table.loc["good", "share"] == 1.0
    assert found.table["share"].sum() == pytest.approx(1.0)


def test_the_limits_agree_with_a_comparison_of_two_and_widen_with_more():
    truth, said = draw(1, {"a": 1.5, "b": 1.0})
    pair = compare(truth, said["b"], said["a"], "roc_auc", task="binary").loc["roc_auc"]
    two = compare_with_best(truth, said, "roc_auc", task="binary").table.loc["b"]
    assert two["difference"] == pytest.approx(pair["difference"])
    assert (two["low"], two["high"]) == pytest.approx((pair["low"], pair["high"]), abs=0.012)
    more = {**said, **draw(2, {f"m{n}": 1.0 for n in range(20)})[1]}
    many = compare_with_best(truth, more, "roc_auc", task="binary").table.loc["b"]
    assert many["high"] - many["low"] > 1.2 * (two["high"] - two["low"])


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "bias"])
def test_the_best_of_many_equal_models_is_flattered(metric):
    """Twenty models of the same quality: the best is luck, and the flattery is measured about right."""
    flattery, told, wrong = [], [], 0
    for seed in range(12):
        truth, said = draw(seed, {f"m{n}": 1.0 for n in range(20)})
        found = compare_with_best(truth, said, metric, task="binary", seed=seed, draws=200)
        values = found.table["value"].abs() if metric == "bias" else found.table["value"]
        flattery.append(abs(values.iloc[0] - values.mean()))
        told.append(found.optimism)
        wrong += int((found.table["verdict"] == "worse").any())
    assert 0.4 < np.mean(told) / np.mean(flattery) < 2.0
    assert wrong <= 2


@pytest.mark.parametrize(("count", "blocks"), [(5, 0), (10, 0), (20, 0), (20, 20)])
def test_of_equal_points_one_is_called_worse_in_at_most_one_sweep_of_twenty(count, blocks):
    assert count_false(count, 300, 40, metric="brier", blocks=blocks) <= 4 / 40


def test_with_too_few_cases_nothing_is_said_of_the_others():
    truth, said = draw(0, {"good": 4.0, "none": 0.0}, n=60)
    truth[:] = np.arange(60) < 3
    found = compare_with_best(truth, said, "roc_auc", task="binary")
    assert found.table["verdict"].tolist() == ["best", "inconclusive"]


def test_equal_predictions_cannot_be_told_apart():
    truth, said = draw(3, {"a": 1.0})
    found = compare_with_best(truth, {"a": said["a"], "b": said["a"]}, "brier", task="binary")
    assert found.table["verdict"].tolist() == ["best", "inconclusive"]
    assert found.table.loc["b", ["difference", "low", "high"]].tolist() == [0, 0, 0]
    assert found.optimism == 0


def test_rows_of_one_group_are_drawn_together():
    truth, said = draw(4, {"a": 1.6, "b": 1.2}, n=300)
    groups = pd.Series(np.repeat(np.arange(10), 30))
    alone = compare_with_best(truth, said, "brier", task="binary").table.loc["b"]
    together = compare_with_best(truth, said, "brier", task="binary", groups=groups).table.loc["b"]
    assert alone["low"] != together["low"]


def test_a_metric_that_is_not_defined_tells_nothing():
    found = compare_with_best(
        np.ones(20), {"a": np.full(20, 0.5), "b": np.full(20, 0.6)}, "brier", task="binary", positive=1
    )
    assert found.best == "b"
