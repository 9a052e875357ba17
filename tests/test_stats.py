"""Intervals: Wilson's against an independent implementation, the bootstrap's shape and seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nbkit.stats import bootstrap, draw_weights, percentile_interval, wilson_interval


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_scipy(case):
    count, n = case
    low, high = wilson_interval(count, n)
    expected = binomtest(count, n).proportion_ci(0.95, method="wilson")
    assert (low, high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


def test_wilson_at_another_level_is_that_of_scipy():
    expected = binomtest(7, 40).proportion_ci(0.99, method="wilson")
    assert [float(end) for end in wilson_interval(7, 40, 0.99)] == pytest.approx([expected.low, expected.high])


def test_wilson_of_nothing_is_unknown():
    low, high = wilson_interval([0, 3], [0, 3])
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert high[1] == 1


def test_every_draw_has_as_many_rows():
    weights = np.concatenate(list(draw_weights(50, 30, seed=1)))
    assert weights.shape == (30, 50)
    assert (weights.sum(axis=1) == 50).all()


def test_groups_are_drawn_whole():
    weights = np.concatenate(
        list(draw_weights(6, 20, seed=1, groups=np.array(["a", "a", None, None, "b", "b"], object)))
    )
    assert (weights[:, 0::2] == weights[:, 1::2]).all()


def test_no_rows_no_draws():
    assert bootstrap({"a": lambda w: w.sum(axis=1)}, 0)["a"].size == 0
    assert np.isnan(percentile_interval(np.array([1.0, np.nan, np.nan]))).all()
