"""One row moved by hand: the answer is the served pipeline's own."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nbkit.contract import ColumnRule, Contract
from nbkit.desk import WhatIf
from nbkit.errors import BadModel, BadParameter
from nbkit.explanation import explain
from nbkit.model import predict, predict_values
from nbkit.problem import Problem
from tests.model_helpers import BINARY, binary_recipe, load_table, make_binary, make_candidate, make_recipe

PERSONAL = Contract((ColumnRule("temp", personal=True), ColumnRule("carrier")))


@pytest.fixture(scope="module")
def table():
    return make_binary(800)


@pytest.fixture(scope="module")
def model(table):
    params = {"max_iter": 20}
    return make_candidate("boosting", binary_recipe(), params=params).fit(table.drop(columns="late"), table["late"])


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def find(face, text):
    return next(each for each in walk(face.widget) if getattr(each, "description", "") == text)


def test_the_answer_is_that_of_predict_for_a_row_as_it_is_and_as_it_was_moved(model, table):
    face = WhatIf(model, table, BINARY)
    for place in (0, 5, 700):
        face.pick(place)
        assert face.predict()[0] == pytest.approx(predict(model, table, BINARY).score[place], abs=1e-12)
    face.set("hour", 22)
    face.set("carrier", "B6")
    face.set("temp", None)
    moved = table.iloc[[700]].assign(hour=22, carrier="B6", temp=np.nan).drop(columns="late")
    assert face.predict()[0] == pytest.approx(predict_values(model, moved, BINARY).iloc[0], abs=1e-12)


def test_the_contributions_are_those_of_explain_and_add_up(model, table):
    face = WhatIf(model, table, BINARY)
    found = face.explain().set_index("feature")["moved points"]
    whole = explain(model, table, BINARY, limit=len(table), budget_s=100)
    values, _, base = whole.in_points()
    assert found.to_dict() == pytest.approx(values.iloc[0].to_dict(), abs=1e-3)
    assert base.iloc[0] + found.sum() == pytest.approx(100 * face.predict()[0], abs=0.01)


def test_controls_stay_within_what_the_model_has_seen_and_move_the_answer(model, table):
    face = WhatIf(model, table, BINARY, threshold=0.4)
    slider, levels = find(face, "hour"), find(face, "carrier")
    assert (slider.min, slider.max) == (table["hour"].min(), table["hour"].max())
    assert set(levels.options) == {"AA", "B6", "Ünited", "missing"}
    said = face.widget.children[1]
    before = said.value
    slider.value = 22 if slider.value != 22 else 5
    levels.value = "missing"
    assert said.value != before
    assert pd.isna(face.row["carrier"].iloc[0])
    assert f"{face.predict()[0]:.4g}" in said.value
    find(face, "Reset").click()
    assert said.value == before
    assert find(face, "hour").value == table["hour"].iloc[0]


def test_a_browser_that_moves_a_value_to_the_nearest_step_changes_nothing(model, table):
    place = int(np.argmax(table["temp"].notna()))
    face = WhatIf(model, table.iloc[place:], BINARY, train=table)
    slider = find(face, "temp")
    was = face.row["temp"].iloc[0]
    slider.value += 0.3 * slider.step
    assert face.row["temp"].iloc[0] == was
    slider.value += slider.step
    assert face.row["temp"].iloc[0] == slider.value


def test_a_slider_stands_on_the_value_of_the_row_and_counts_where_the_column_does(unexplained):
    table = pd.DataFrame({"hour": [3, 20] * 50, "age": [18.0, 44.0, 79.0, np.nan] * 25, "paid": np.arange(100) * 1.37})
    face = WhatIf(Picky(), table.iloc[41:], BINARY, train=table)
    for name, kind in (("age", "IntSlider"), ("paid", "FloatSlider")):
        slider, value = find(face, name), table[name].iloc[41]
        steps = (value - slider.min) / slider.step
        assert (type(slider).__name__, slider.value) == (kind, value)
        assert steps == pytest.approx(round(steps), abs=1e-6)  # so that a browser need not move it
        assert table[name].min() <= slider.min < table[name].min() + slider.step
        assert slider.max == table[name].max()


def test_an_infinite_value_ends_no_slider(unexplained):
    table = pd.DataFrame({"hour": [3, 20], "paid": [np.inf, 1.0]})
    face = WhatIf(Picky(), table, BINARY)
    slider = find(face, "paid")
    assert (slider.min, slider.max, slider.disabled) == (1, 2, True)
    assert "0.6" in face.widget.children[1].value
    assert face.row["paid"].iloc[0] == np.inf


def test_a_value_can_be_said_to_be_missing(model, table):
    face = WhatIf(model, table, BINARY)
    gap = next(each for each in walk(face.widget) if type(each).__name__ == "Checkbox")
    gap.value = not gap.value
    changed = [name for name in ("hour", "temp") if pd.isna(face.row[name].iloc[0]) != pd.isna(table[name].iloc[0])]
    assert len(changed) == 1


def test_how_unusual_a_row_is(model, table):
    face = WhatIf(model, table, BINARY, train=table)
    face.set("temp", table["temp"].max() + 30)
    face.set("carrier", "ZZ")
    found = face.list_unusual().set_index("feature")["share of train as extreme"]
    assert found.to_dict() == {"temp": "0 %", "carrier": "0 %"}
    face.set("temp", table["temp"].median())
    face.set("carrier", "B6")
    assert not len(face.list_unusual())


def test_single_values_of_personal_columns_are_withheld_from_the_static_twin(model, table):
    face = WhatIf(model, table, BINARY, PERSONAL)
    face.set("temp", 123.4)
    assert "123.4" not in face.html()
    assert "withheld" in face.html()
    assert "123.4" in face.explain()["value"].tolist()


@pytest.mark.parametrize(("value", "words"), [(146123.4, "146,123"), (0.12346, "0.1235"), (-2500.0, "-2,500")])
def test_a_large_number_is_written_as_people_write_it(model, table, monkeypatch, value, words):
    face = WhatIf(model, table, Problem("late", "regression"))
    monkeypatch.setattr(face, "predict", lambda row=None: (value, ""))
    assert face.say() == f"Row 0: late is {words}; the row as it is in the data: {words}."


def test_a_row_is_found_by_its_key(model, table):
    keyed = table.assign(flight=[f"F{n}" for n in range(len(table))])
    face = WhatIf(model, keyed, Problem("late", positive=1, keys=("flight", "carrier")), train=table)
    assert "flight" not in face.rows  # the model has not learned from it
    assert face.find(f"F7, {keyed['carrier'].iloc[7]}") == 7
    key = find(face, "or key")
    key.value = f"F9,{keyed['carrier'].iloc[9]}"
    assert face.place == 9
    key.value = "nobody, AA"
    assert "✕ no row has the key nobody, AA" in face.widget.children[1].value
    with pytest.raises(BadParameter, match="go from 0 to 799"):
        face.pick(800)


@pytest.fixture
def unexplained(monkeypatch):
    def refuse(*_, **__):
        raise BadModel("it is not explained here")

    monkeypatch.setattr("nbkit.desk.whatif.explain", refuse)


class Picky:
    classes_ = (0, 1)

    def predict_proba(self, rows):
        if rows["hour"].max() > 20:
            raise ValueError("no hours beyond 20")
        return np.tile([0.4, 0.6], (len(rows), 1))


def test_what_the_model_refuses_is_said_in_the_widget(table, unexplained):
    early = table[table["hour"] <= 20]
    face = WhatIf(Picky(), early, BINARY)
    said = face.widget.children[1]
    assert "0.6" in said.value
    face.rows = face.rows.assign(hour=22)
    find(face, "Reset").click()
    assert "✕ ValueError: no hours beyond 20" in said.value
    assert "no hours beyond 20" in WhatIf(Picky(), table.assign(hour=22), BINARY).html()


def test_a_version_that_cannot_be_loaded_is_said(table, tmp_path):
    face = WhatIf("late@7", table, BINARY, registry=tmp_path / "registry")
    assert f"✕ there is no registry in {tmp_path / 'registry'} yet" in face.html()
    assert "there is no registry" in face.widget.children[1].value
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize(
    ("name", "problem"), [("diabetes", Problem("target", "regression")), ("wine", Problem("target", "multiclass"))]
)
def test_other_tasks_are_asked_in_the_same_way(name, problem):
    table = load_table(name)
    recipe = make_recipe([each for each in table.columns if each != "target"])
    model = make_candidate("linear", recipe, problem).fit(table.drop(columns="target"), table["target"])
    face = WhatIf(model, table, problem)
    face.set(face.columns[0], float(table[face.columns[0]].max()))
    answers = predict_values(model, face.row, problem)
    assert face.predict()[0] == pytest.approx(float(np.max(answers.to_numpy())), abs=1e-12)
    assert len(face.explain()) == len(table.columns) - 1


def test_of_many_columns_the_strongest_have_a_control_and_the_rest_a_search(unexplained):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(50, 300)), columns=[f"x{n}" for n in range(300)]).assign(hour=1)
    order = SimpleNamespace(importance=pd.DataFrame({"feature": [f"x{n}" for n in range(299, -1, -1)]}))
    face = WhatIf(Picky(), wide, BINARY, explanation=order)
    controls = face.widget.children[2]
    assert [each.children[0].description for each in controls.children] == [f"x{n}" for n in range(299, 269, -1)]
    assert "it is not explained here" in face.widget.children[-1].value
    search = find(face, "Column")
    assert len(search.options) == 270
    search.value = "x7"
    assert len(controls.children) == 31
    assert controls.children[0].children[0].description == "x7"
    assert "x7" not in search.options


def test_an_explanation_that_takes_long_waits_to_be_asked_for(model, table, monkeypatch):
    monkeypatch.setattr("nbkit.desk.whatif.SLOW", -1.0)
    face = WhatIf(model, table, BINARY)
    why, ask = face.widget.children[-1], find(face, "What moved it")
    assert "<table" in why.value
    find(face, "hour").value = 9
    assert "takes" in why.value
    assert "<table" not in why.value
    ask.click()
    assert "<table" in why.value


def test_a_long_table_is_sampled_and_it_says_so(model, table, monkeypatch):
    monkeypatch.setattr("nbkit.desk.whatif.MOST", 100)
    face = WhatIf(model, table, BINARY)
    assert len(face.train) == 100
    assert "of train (a sample of 100 of its 800 rows) in" in face.html()
