"""A cohort built by hand: measured as the metrics are, and kept as a slice."""

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from nbkit.contract import ColumnRule, Contract
from nbkit.data.personal import WITHHELD
from nbkit.desk import ErrorExplorer
from nbkit.model import Predictions, score
from nbkit.problem import Problem
from nbkit.wording import format_estimate

PROBLEM = Problem("late", positive=1, metric="brier")


@pytest.fixture
def told():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"hour": rng.integers(5, 23, 3000), "origin": rng.choice(["EWR", "JFK"], 3000), "late": 0})
    chance = np.full(3000, 0.3) + 0.01 * rng.random(3000)
    rows["late"] = (rng.random(3000) < np.where(rows["hour"] >= 18, 0.7, 0.2)).astype(int)
    return Predictions.align(rows["late"], chance, PROBLEM, threshold=0.3, rows=rows)


def lines(face):
    return [line.children for line in face.widget.children[:3]]


def shown(face):
    return face.widget.children[3].value


def test_the_metrics_are_those_of_the_rows_and_of_the_rest(told):
    face = ErrorExplorer(told, None, PROBLEM, conditions=[{"column": "hour", "op": ">=", "value": 18}])
    said, table = face.measure()
    inside = (told.rows["hour"] >= 18).to_numpy()
    for which, name in ((inside, "these rows"), (~inside, "the rest")):
        own = score(told.take(np.flatnonzero(which)), "brier", draws=50).iloc[0]
        assert table[name].iloc[0] == format_estimate(own["value"], own["low"], own["high"])
    assert f"{inside.sum():,} rows of 3,000" in said
    assert "off there beyond the whole and beyond chance" in said


def test_a_single_value_of_a_personal_column_is_not_said(told):
    contract = Contract((ColumnRule("origin", personal=True), ColumnRule("hour")))
    conditions = [{"column": "origin", "op": "==", "value": "EWR"}, {"column": "hour", "op": ">=", "value": 18}]
    page = ErrorExplorer(told, None, PROBLEM, conditions=conditions, contract=contract).html()
    assert f"origin == {WITHHELD} and hour &gt;= 18: " in page
    assert "EWR" not in page
    missing = [{"column": "origin", "op": "known"}]
    assert (
        "origin known: 3,000 rows" in ErrorExplorer(told, None, PROBLEM, conditions=missing, contract=contract).html()
    )


def test_conditions_are_chosen_one_by_one(told):
    face = ErrorExplorer(told, None, PROBLEM)
    assert "these are all rows" in face.html()
    first, second, _ = lines(face)
    first[0].value = "hour"
    assert face.conditions == []
    first[1].value, first[2].value = "in", "5, 6"
    assert face.conditions == [{"column": "hour", "op": "in", "value": [5, 6]}]
    second[0].value = "origin"
    assert set(second[2].options) == {"EWR", "JFK"}
    second[2].value = "EWR"
    assert "hour in [5, 6] and origin == EWR" in shown(face)
    second[0].value = "orign"
    assert "did you mean &#x27;origin&#x27;" in shown(face)
    second[0].value, second[2].value = "origin", "XXX"
    assert "0 rows of 3,000; there is nothing to compare" in shown(face)


def test_a_cohort_is_kept_as_a_slice_that_07_measures(told, tmp_path):
    path = tmp_path / "late.yaml"
    path.write_text("07_evaluate:\n  min_rows: 50  # few\n")
    face = ErrorExplorer(told, None, PROBLEM, conditions=[{"column": "hour", "op": ">=", "value": 18}], files=[path])
    name, asker = face.widget.children[4:]
    use, said, choice = asker.children
    use.click()
    assert "a slice needs a name" in said.value
    name.value = "late evening"
    use.click()
    choice.children[0].click()
    assert "# few" in path.read_text()
    kept = YAML(typ="safe").load(path.read_text())["07_evaluate"]["cohorts"]
    assert kept == {"late evening": [{"column": "hour", "op": ">=", "value": 18}]}


def test_it_works_for_a_regression_and_for_rows_given_apart():
    rng = np.random.default_rng(0)
    rows, problem = pd.DataFrame({"x": rng.normal(size=300)}), Problem("y", "regression")
    told = Predictions.align(pd.Series(rows["x"] * 2), rows["x"].to_numpy(), problem)
    face = ErrorExplorer(told, rows, problem, conditions=[{"column": "x", "op": ">", "value": 0}])
    assert "MAE" in face.html()
    assert len(face.offer("x")) == 11


def test_columns_that_may_not_be_shown_are_not_offered(told):
    face = ErrorExplorer(told, None, PROBLEM, columns=["hour", "late"])
    assert lines(face)[0][0].options == ("hour",)
