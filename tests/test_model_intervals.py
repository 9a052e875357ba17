"""Intervals: Wilson's against an independent implementation, the bootstrap's shape and seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nbkit.model.intervals import bootstrap, draw_weights, mark_blocks, percentile_interval, wilson_interval


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


def test_rows_that_are_alike_are_marked():
    frame = pd.DataFrame({"at": pd.date_range("2013-01-06", periods=4, freq="12h"), "who": ["a", "b", "a", "b"]})
    assert mark_blocks(frame, time="at").nunique() == 2
    assert mark_blocks(frame, time="at", every="week").nunique() == 2  # a Sunday and a Monday
    assert mark_blocks(frame, time="at", every="hour").nunique() == 4
    assert mark_blocks(frame, time="at", group="who").tolist() == ["a", "b", "a", "b"]


@pytest.mark.parametrize("how", [{}, {"time": "at", "every": "row"}, {"time": "gone"}, {"group": "gone"}])
def test_without_a_mark_rows_count_one_by_one(how):
    assert mark_blocks(pd.DataFrame({"at": pd.to_datetime(["2013-01-06"])}), **how) is None
