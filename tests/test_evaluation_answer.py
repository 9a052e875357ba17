"""The answer: four numbers at most, each with its sentence, and no sentence without its interval."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from array_helpers import align
from model_helpers import load_table
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from nbkit.contract import ColumnRule
from nbkit.evaluation import compare_costs, state_answer
from nbkit.evaluation.answer import describe_basis
from nbkit.model import Predictions, predict
from nbkit.problem import Problem

COSTS = {"false_positive": 25, "false_negative": 60}


def draw(good=True, n=4000, days=31, seed=0, first="2013-05-01"):
    """Predictions of a model and of a rule that knows less, on whole days."""
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, n))
    y = rng.random(n) < 1 / (1 + np.exp(1.2 - 1.5 * x))
    when = pd.Timestamp(first) + pd.to_timedelta(np.arange(n) % days, "D")
    problem, rows = Problem("late", positive=True, time="at"), pd.DataFrame({"at": when})
    told = [
        Predictions.align(y, 1 / (1 + np.exp(1.2 - 1.5 * part)), problem, threshold=0.3, rows=rows, blocks=when)
        for part in (x, 0.5 * x + noise)
    ]
    return told if good else told[::-1]


def tell(model, rule, **options):
    table = compare_costs(model, {"today's rule": rule}, COSTS)
    return state_answer(model, rule, table, currency="USD", **options).set_index("what")


def test_what_a_model_saves_is_said_with_its_basis_and_its_period():
    model, rule = draw()
    table = tell(model, rule)
    assert table.index.tolist() == ["saved per row", "saved in the period", "cases found", "warnings right"]
    saved = table.loc["saved in the period"]
    assert saved["value"] == pytest.approx(4000 * table.at["saved per row", "value"])
    assert 0 < saved["low"] < saved["value"] < saved["high"]
    assert re.fullmatch(
        r"The model saves \d+,\d00 USD on the 4,000 rows of the test period, May 2013 \(\d+,\d00 to \d+,\d00\), against "
        r"today's rule at its own best threshold",
        saved["sentence"],
    )
    recall = model.label[model.truth].mean()
    assert table.at["cases found", "value"] == pytest.approx(recall)
    assert table.at["cases found", "sentence"].startswith(f"{100 * recall:.1f} % (")
    assert "the model is better)" in table.at["cases found", "sentence"]


def test_what_costs_more_and_what_cannot_be_told_are_said_so():
    assert "The model costs" in tell(*draw(good=False)).at["saved per row", "sentence"]
    assert "more than today's rule" in tell(*draw(good=False)).at["saved per row", "sentence"]
    same = draw(n=600)[0]
    assert "is not shown to save anything" in tell(same, same).at["saved per row", "sentence"]


def test_without_costs_money_is_left_out():
    model, rule = draw()
    table = state_answer(model, rule, compare_costs(model, {"today's rule": rule}, COSTS).head(0))
    assert table["what"].tolist() == ["cases found", "warnings right"]


def test_numbers_have_no_more_digits_than_their_interval():
    for sentence in tell(*draw())["sentence"]:
        for number in re.findall(r"\d+\.\d+", sentence):
            assert len(number.split(".")[1]) <= 2, sentence


def test_a_regression_and_classes():
    table = load_table("diabetes")
    X, y = table.drop(columns="target"), table["target"]
    problem = Problem("target", "regression")
    model, rule = (predict(each.fit(X, y), table, problem) for each in (Ridge(), DummyRegressor()))
    costs = compare_costs(model, {"today's rule": rule}, {"over": 1, "under": 3})
    told = state_answer(model, rule, costs, currency="points").set_index("what")
    assert told.at["typical error", "value"] == pytest.approx(np.abs(model.score - y).mean())
    assert "today's rule: 65.8; the model is better" in told.at["typical error", "sentence"]
    assert "442 rows of the test split" in told.at["saved in the period", "sentence"]
    y, p = np.arange(90) % 3, np.eye(3)[np.arange(90) % 3] * 0.8 + 0.2 / 3
    right, wrong = align(y, p, task="multiclass"), align(y, p[::-1], task="multiclass")
    said = state_answer(right, wrong, pd.DataFrame()).set_index("what")
    assert said.index.tolist() == ["classes right"]
    assert said.at["classes right", "sentence"].startswith("100")


def test_a_case_is_said_in_the_words_of_the_contract():
    model, rule = draw()
    table = state_answer(
        model, rule, pd.DataFrame(), target=ColumnRule("late", "integer", description="arrived 15 minutes late")
    ).set_index("what")
    assert "of cases (arrived 15 minutes late) are found" in table.at["cases found", "sentence"]
    assert "late)" not in table.at["warnings right", "sentence"]


def test_few_rows_have_no_interval_and_say_so():
    few = align([0, 1, 0], [0.1, 0.8, 0.6])
    table = state_answer(few, few, pd.DataFrame())
    assert len(table) == 2
    assert "nan" not in " ".join(table["sentence"])


@pytest.mark.parametrize(
    ("first", "days", "said"),
    [("2013-05-01", 31, "May 2013"), ("2013-05-02", 10, "2 May 2013 to 11 May 2013"), ("2013-05-01", 30, "1 May 2013 to 30 May 2013")],
)  # fmt: skip
def test_the_basis_names_the_time(first, days, said):
    assert describe_basis(draw(n=400, days=days, first=first)[0]) == f"400 rows of the test period, {said}"


@pytest.mark.parametrize("never", ["warns", "happens"])
def test_a_model_that_never_warns_and_a_split_without_cases_are_said_so(never):
    truth = np.zeros(200, dtype=bool) if never == "happens" else np.arange(200) < 20
    quiet = Predictions.align(truth, np.full(200, 0.1), Problem("late", positive=True), threshold=0.9)
    table = state_answer(quiet, quiet, compare_costs(quiet, {"today's rule": quiet}, COSTS))
    words = " ".join(table["sentence"])
    assert table.set_index("what").at["warnings right", "sentence"] == "No row gets a warning"
    assert "nan" not in words
    assert "-0" not in words
    assert "0.000000" not in words


def test_moments_with_a_time_zone_have_a_period_without_a_warning():
    model, _ = draw()
    rows = model.rows.assign(at=model.rows["at"].dt.tz_localize("Europe/Berlin"))
    assert describe_basis(replace(model, rows=rows)) == "4,000 rows of the test period, May 2013"


def test_a_regression_is_off_in_the_unit_of_its_target():
    rng = np.random.default_rng(0)
    y = rng.normal(50, 10, 400)
    said = [align(y, y + rng.normal(0, size, 400), task="regression") for size in (3, 9)]
    row = state_answer(*said, pd.DataFrame(), target=ColumnRule("delay", "number", unit="min")).iloc[0]
    assert row["unit"] == "min"
    assert re.match(r"Predictions are off by 2\.\d+ min \(2\.\d+ to 2\.\d+\) on average", row["sentence"])
    assert " on average" in state_answer(*said, pd.DataFrame()).at[0, "sentence"]
