"""Calibration: right probabilities look right, wrong ones are told apart, and the numbers are the textbook's."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve

from nbkit.model import (
    calibration_line,
    calibration_table,
    ece,
    score_predictions,
    spiegelhalter_z,
    summarize_calibration,
)


def draw(n=5000, seed=0, slope=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 5, n)
    return (rng.random(n) < expit(slope * logit(p) + shift)).astype(int), p


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


def test_error_is_that_of_the_metric_and_of_the_definition():
    y, p = draw(1003)
    order = np.argsort(p, kind="stable")
    parts = [order[k * 1003 // 10 : (k + 1) * 1003 // 10] for k in range(10)]
    by_hand = sum(abs(p[part].mean() - y[part].mean()) * len(part) for part in parts) / len(p)
    assert ece(y, p) == pytest.approx(by_hand)
    assert ece(y, p) == pytest.approx(score_predictions(y, p, "ece", draws=0)["value"].iloc[0])


def test_z_is_standard_normal_under_the_null():
    values = [spiegelhalter_z(*draw(300, seed)) for seed in range(400)]
    assert np.mean(values) == pytest.approx(0, abs=0.15)
    assert np.std(values) == pytest.approx(1, abs=0.12)
    assert np.isnan(spiegelhalter_z([0, 1], [0.0, 1.0]))


@pytest.mark.parametrize(("slope", "shift"), [(1, 0), (0.6, 0.3), (1.7, -0.5)])
def test_line_is_the_maximum_of_the_likelihood(slope, shift):
    y, p = draw(20_000, slope=slope, shift=shift)

    def loss(line):
        q = expit(line[0] * logit(p) + line[1])
        return -np.mean(y * np.log(q) + (1 - y) * np.log(1 - q))

    seen = calibration_line(y, p)
    assert seen == pytest.approx(minimize(loss, [1, 0], method="Nelder-Mead", options={"xatol": 1e-6}).x, abs=1e-3)
    assert seen == pytest.approx((slope, shift), abs=0.12)


def test_a_perfect_model_is_usual_and_a_bad_one_is_not():
    usual = [summarize_calibration(*draw(800, seed), draws=200, seed=seed)["usual"] for seed in range(60)]
    assert pd.concat(usual).groupby(level=0).mean().between(0.85, 1).all()
    y, p = draw(slope=0.5)
    table = summarize_calibration(y, p)
    assert not table.loc[["ece", "ece_excess", "slope"], "usual"].any()
    assert table.at["ece_excess", "value"] < table.at["ece", "value"]


@pytest.mark.parametrize(("y", "p"), [([], []), ([1], [0.4]), ([1, 1, 1], [0.5, 0.6, 0.7]), ([0, 1], [0.0, 1.0])])
def test_little_data_gives_unknown_numbers(y, p):
    table = summarize_calibration(y, p, positive=1, draws=20)
    assert len(table) == 6
    assert calibration_line([1, 1], [0.4, 0.5], positive=1) == pytest.approx((np.nan, np.nan), nan_ok=True)


def test_classes_and_numbers_have_tables_too():
    rng = np.random.default_rng(0)
    p = pd.DataFrame(rng.dirichlet(np.ones(3), 500), columns=["a", "b", "c"])
    table = calibration_table(rng.choice(["a", "b", "c"], 500), p)
    assert table.groupby("class")["n"].sum().tolist() == [500] * 3
    y = rng.normal(0, 1, 500)
    table = calibration_table(y, y * 0.5, task="regression")
    assert (table["low"] <= table["observed"]).all()
