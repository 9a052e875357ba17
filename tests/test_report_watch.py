"""What the front page asks people to watch."""

import numpy as np
import pandas as pd
import pytest

from nbkit.contract import ColumnRule, Contract
from nbkit.problem import Problem
from nbkit.report.overview import read_overview
from nbkit.report.pages import render_index
from nbkit.report.watch import CHANCE, OUTSIDE, read_watch
from tests.test_report_overview import PASSED, write_run


def test_what_training_never_saw_is_to_be_watched_from_one_row_in_twenty(project):
    outside = pd.DataFrame(
        {
            "column": ["temp", "dewp"],
            "lowest": [1.0, 2.0],
            "highest": [64.4, 59.0],
            "below": [0.0, 0.04],
            "above": [0.27, 0.01],
            "chance": 0.0,
        }
    )
    by_chance = outside.assign(column="ash", chance=0.04)
    folder = write_run(project, **{"07_evaluate": {"outside": pd.concat([outside, by_chance])}})
    assert read_watch(folder)["sentence"].tolist() == [
        "In 27 % of the test rows temp is above the highest in training, 64.4: the model has learned from no such row."
    ]


@pytest.mark.parametrize(("train", "test"), [(63, 52), (1000, 400)])
def test_narrow_ends_of_few_training_rows_are_rarely_told(train, test):
    """What 07 calls `chance`, of a column that is drawn alike: told of one column in 500 at most."""
    rng, told = np.random.default_rng(0), 0
    for _ in range(2000):
        learned, asked = rng.normal(size=train), rng.normal(size=test)
        beyond = max((asked > learned.max()).sum(), (asked < learned.min()).sum())
        told += (test / (train + test)) ** beyond < CHANCE and beyond / test >= OUTSIDE
    assert told <= 4


@pytest.mark.parametrize("out", [0, 2, 3])
def test_probabilities_that_are_off_are_to_be_watched_if_more_bins_are_than_chance_would_have(project, out):
    bins = pd.DataFrame({"predicted": np.linspace(0.1, 0.9, 10), "observed": np.linspace(0.1, 0.9, 10)})
    bins.loc[: out - 1, "observed"] -= 0.05
    bins = bins.assign(low=bins["observed"] - 0.02, high=bins["observed"] + 0.02, n=500)
    values = {"01_frame": {"problem": Problem("y", "binary")}, "07_evaluate": {"calibration": bins}}
    told = read_watch(write_run(project, **values))["sentence"].tolist()
    words = "In 3 of 10 bins the stated probability is off, such as 10 % where 5 % came and 28 % where 23 % came."
    assert told == [words] * (out == 3)


def test_costs_that_nobody_stated_are_not_to_be_watched(project):
    row = {"alternative": "never acting", "cost_per_row": 0.29, "model": 0.24, "low": -0.13, "high": 0.03}
    other = pd.DataFrame([row | {"verdict": "inconclusive", "note": ""}])
    for stated, told in (({}, 0), ({"false_positive": 1.0}, 1)):
        values = {"01_frame": {"costs": stated}, "07_evaluate": {"alternatives": other}}
        assert len(read_watch(write_run(project, **values))) == told


def test_what_would_help_a_group_is_told(project):
    remedies = pd.DataFrame({"column": ["g"], "sentence": ["a threshold for each g brings the ratio to 1.08"]})
    told = read_watch(write_run(project, **{"07_evaluate": {"remedies": remedies}}))
    assert told.values.tolist() == [["Remedy", "A threshold for each g brings the ratio to 1.08.", "07_evaluate"]]


def test_at_most_three_weak_spots_are_told_slices_then_those_of_the_error_tree_then_pairs(project):
    tree = pd.DataFrame(
        {"rule": ["x above 3", "x above 9"], "n": 500, "lift": 1.58, "low": 1.2, "high": 1.96, "verdict": "worse"}
    )
    worst = pd.DataFrame({"column": "c", "slice": list("abcd"), "n": 200, "gap": 4.2, "gap_low": 3.1, "gap_high": 5.4})
    contract = Contract((ColumnRule("delay", unit="min"),))
    pairs = worst.assign(column="c and d", slice=[f"{each} and 5 to 9" for each in "abcd"])
    values = {
        "07_evaluate": {"error_tree": tree.head(1), "slices": worst.head(1).assign(verdict="worse"), "worst": pairs}
    }
    values |= {"03_validate": {"contract": contract}}
    problem = {"01_frame": {"problem": Problem("delay", "regression")}}
    folder = write_run(project, stages={"07_evaluate": PASSED}, **values, **problem)
    told = read_watch(folder)["sentence"].tolist()
    assert told == [
        "C a: predictions are off by 4.2 min (3.1 to 5.4) more than on the whole, on 200 rows.",
        "Errors are 1.58 (1.20 to 1.96) times as large as on the whole where x above 3, on 500 rows.",
        "C a, d 5 to 9: predictions are off by 4.2 min (3.1 to 5.4) more than on the whole, on 200 rows.",
    ]


def test_a_column_has_one_name_that_of_the_contract_and_a_topic_one_heading(project):
    rows = (
        ColumnRule("temp", description="temperature; at noon"),
        ColumnRule("origin", description="airport of departure"),
    )
    pair = {"column": "origin", "verdict": "inconclusive"}
    groups = pd.DataFrame([pair | {"sentence": f"origin JFK: a row is flagged {n} times as often"} for n in (2, 3)])
    outside = {"column": ["temp"], "lowest": 1.0, "highest": 64.4, "below": 0.0, "above": 0.27, "chance": 0.0}
    values = {
        "03_validate": {
            "contract": Contract(rows),
            "violations": pd.DataFrame({"column": ["temp"], "severity": "warning", "message": "temp: 3 are above 120."}),
        },
        "07_evaluate": {
            "group_verdicts": groups,
            "remedies": pd.DataFrame({"column": ["origin"], "sentence": ["a threshold for each origin helps"]}),
            "slices": pd.DataFrame({"column": "temp", "slice": ["8"], "n": 9, "gap": 0.1, "gap_low": 0, "gap_high": 1, "verdict": "worse"}),
            "outside": pd.DataFrame(outside),
        },
    }  # fmt: skip
    folder = write_run(project, stages=dict.fromkeys(values, PASSED), **values)
    found = read_watch(folder)
    assert found["topic"].tolist() == ["Groups by airport of departure"] * 2 + [
        "Remedy",
        "Weak spot",
        "Not learned",
        "Data",
    ]
    assert found["sentence"].tolist()[:3] == [
        "Airport of departure JFK: a row is flagged 2 times as often.",
        "Airport of departure JFK: a row is flagged 3 times as often.",
        "A threshold for each airport of departure helps.",
    ]
    assert found["sentence"].tolist()[3].startswith("Temperature 8: predictions are off by ")
    assert "of the test rows temperature is above" in found["sentence"].tolist()[4]
    assert found["sentence"].tolist()[5] == "Temperature: 3 are above 120 (warning)."
    assert read_watch(folder, groups["sentence"].tolist())["topic"].tolist()[0] == "Remedy"
    page = render_index(read_overview(folder))
    assert page.count("Groups by airport of departure</a>") == 1
    assert page.count("<td>Airport of departure JFK") == 2
