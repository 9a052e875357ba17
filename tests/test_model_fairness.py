"""Fairness: rates counted by hand, intervals of the literature."""

import numpy as np
import pandas as pd
import pytest

from nbkit.model import compare_groups, rates_by_group


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
    from nbkit.model import wilson_interval

    rates["value"] = rates["count"] / rates["n"]
    rates["low"], rates["high"] = wilson_interval(rates["count"], rates["n"])
    row = compare_groups(rates).iloc[0]
    # Newcombe 1998, table II (a): 56/70 - 48/80, method 10
    assert row[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(
        [0.2, 0.0524, 0.3339], abs=5e-5
    )
    spread = np.sqrt(1 / 48 - 1 / 80 + 1 / 56 - 1 / 70)
    assert row["ratio_high"] == pytest.approx(0.75 * np.exp(1.959964 * spread))
    assert (row["lowest"], row["highest"], row["groups"]) == ("a", "b", 2)


def test_one_group_has_nothing_to_compare():
    row = compare_groups(rates_by_group([0, 1], [0.2, 0.8], pd.Series(["a", "a"]))).iloc[0]
    assert np.isnan(row["difference"])
    assert len(rates_by_group([], [], pd.Series([], dtype=object))) == 0
