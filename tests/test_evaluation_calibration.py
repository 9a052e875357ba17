"""Calibration: one error everywhere, without what chance makes of it, and with an interval that holds."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import calibration_table, compare, score_predictions
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve

from benchmarks.truth.calibration import KINDS, count_coverage
from nbkit.evaluation import judge, read_criteria


def draw(n=5000, seed=0, slope=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 5, n)
    return (rng.random(n) < expit(slope * logit(p) + shift)).astype(int), p


def score(y, p, **options):
    return score_predictions(y, p, "ece", task="binary", positive=1, **options).loc["ece"]


def test_bins_are_those_of_scikit_learn():
    y, p = draw()
    observed, predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
    table = calibration_table(y, p)
    np.testing.assert_allclose(table["observed"], observed, atol=2e-3)
    np.testing.assert_allclose(table["predicted"], predicted, atol=2e-3)
    assert table["n"].sum() == len(y)
    assert (table["low"] <= table["observed"]).all()
    assert (table["observed"] <= table["high"]).all()


def test_equal_predictions_stay_together():
    table = calibration_table([0, 1, 1, 0, 1], [0.2, 0.2, 0.2, 0.2, 0.9])
    assert table["n"].tolist() == [4, 1]
    assert len(calibration_table([0, 1], [0.5, 0.5])) == 1
    assert len(calibration_table([], [], task="binary")) == 0


def test_a_constant_score_at_the_base_rate_has_no_error_and_the_order_of_rows_does_not_matter():
    y = np.r_[np.ones(30, int), np.zeros(70, int)]
    assert score(y, np.full(100, 0.3))["value"] == 0
    p = np.round(draw(1000)[1], 1)
    y = (np.random.default_rng(0).random(1000) < p * 0.7).astype(int)
    order = np.lexsort((p, y))
    assert score(y[order], p[order], draws=0)["value"] == pytest.approx(score(y, p, draws=0)["value"], abs=1e-12)


@pytest.mark.parametrize("n", [100, 1000, 20_000])
def test_a_perfect_model_has_almost_no_error_whatever_the_number_of_rows(n):
    values = [score(*draw(n, seed), draws=0)["value"] for seed in range(40)]
    assert np.mean(values) < 0.4 * np.sqrt(2 / np.pi * 10 / n) * 0.45
    assert np.mean(np.array(values) == 0) > 0.25


def test_a_large_error_is_measured_as_large_as_it_is():
    y, p = draw(20_000, shift=1.0)
    q = expit(logit(p) + 1.0)
    assert score(y, p)["value"] == pytest.approx(np.mean(np.abs(q - p)), rel=0.05)


def test_a_perfect_model_of_a_hundred_rows_is_not_failed():
    criteria = read_criteria({"ece": "<= 0.05"}, "binary")
    verdicts = [
        judge(criteria, score_predictions(*draw(100, seed), "ece", positive=1)).at[0, "verdict"] for seed in range(40)
    ]
    assert verdicts.count("fail") <= 3
    assert judge(criteria, score_predictions(*draw(20_000), "ece", positive=1)).at[0, "verdict"] == "pass"
    assert judge(criteria, score_predictions(*draw(2000, shift=1.0), "ece", positive=1)).at[0, "verdict"] == "fail"


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_of_the_error_holds_it(kind):
    held = count_coverage(kind, 400, runs=60)
    assert held >= 0.85  # of 60, for 95 %


def test_rows_that_are_alike_widen_the_interval_and_take_off_more():
    y, p = draw(400)
    groups = pd.Series(np.tile(np.arange(400), 5))
    once, naive = score(y, p), score(np.tile(y, 5), np.tile(p, 5))
    alike = score(np.tile(y, 5), np.tile(p, 5), groups=groups)
    assert alike["high"] == pytest.approx(once["high"], rel=0.35)
    assert naive["low"] > 0  # five times the same rows look like proof
    assert alike["low"] == 0
    few = score(np.tile(y, 5), np.tile(p, 5), groups=groups % 4)
    assert np.isnan(few["low"])
    assert "4 blocks, 5 needed" in few["note"]


def test_two_models_are_compared_by_the_same_error():
    y, p = draw(3000)
    row = compare(y, expit(2 * logit(p)), p, "ece", task="binary", positive=1).loc["ece"]
    assert row["value"] == score(y, p)["value"]
    assert row["verdict"] == "better"


def test_intervals_of_the_table_go_by_blocks():
    rng = np.random.default_rng(0)
    day = np.arange(3000) % 30
    p = rng.uniform(0.2, 0.4, 3000)
    y = (rng.random(3000) < expit(logit(p) + rng.normal(0, 1, 30)[day])).astype(int)
    alone, alike = calibration_table(y, p), calibration_table(y, p, groups=pd.Series(day))
    assert alike["observed"].tolist() == alone["observed"].tolist()
    assert ((alike["high"] - alike["low"]) / (alone["high"] - alone["low"])).mean() > 1.4
    numbers = rng.normal(size=30)[day] + rng.normal(0, 0.1, 3000)
    alone, alike = (calibration_table(numbers, p, task="regression", groups=g) for g in (None, pd.Series(day)))
    assert ((alike["high"] - alike["low"]) / (alone["high"] - alone["low"])).min() > 2


def test_classes_and_numbers_have_tables_too():
    rng = np.random.default_rng(0)
    p = pd.DataFrame(rng.dirichlet(np.ones(3), 500), columns=["a", "b", "c"])
    table = calibration_table(rng.choice(["a", "b", "c"], 500), p)
    assert table.groupby("class")["n"].sum().tolist() == [500] * 3
    y = rng.normal(0, 1, 500)
    table = calibration_table(y, y * 0.5, task="regression")
    assert (table["low"] <= table["observed"]).all()
