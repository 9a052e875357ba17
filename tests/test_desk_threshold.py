"""The threshold and the costs moved by hand."""

import time

import numpy as np
import pandas as pd
import pytest

from nbkit.desk import Threshold
from nbkit.evaluation import choose_threshold, compare_costs
from nbkit.evaluation.groups import rates_by_group
from nbkit.model import Predictions, score
from nbkit.problem import Problem
from nbkit.wording import format_share

COSTS = {"false_positive": 25.0, "false_negative": 60.0}
PROBLEM = Problem("late", positive=1, seed=3)


def make(n=3000, *, blocks=30, task="binary"):
    rng = np.random.default_rng(0)
    chance = rng.beta(2, 5, n)
    truth = (rng.random(n) < chance).astype(int)
    rows = pd.DataFrame({"origin": rng.choice(["EWR", "JFK", "LGA"], n), "late": truth})
    problem = PROBLEM if task == "binary" else Problem("late", "regression")
    alike = np.arange(n) // (n // blocks) if blocks else None
    noisy = np.clip(chance + rng.normal(0, 0.2, n), 0, 1)
    return tuple(
        Predictions.align(truth, p, problem, threshold=t, blocks=alike, rows=rows)
        for p, t in ((chance, 0.3), (noisy, 0.4))
    )


def find(face, kind, text):
    return next(each for each in walk(face.widget) if type(each).__name__ == kind and text in each.description)


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.77])
def test_the_money_is_that_of_compare_costs(threshold):
    model, rule = make()
    said = Threshold(model, rule, COSTS).weigh(threshold, COSTS)
    table = compare_costs(model.at(threshold), {"rule": rule}, COSTS, draws=200).loc["rule"]
    for name in ("difference", "low", "high"):
        assert said[name] == pytest.approx(table[name], abs=1e-12)


def test_independent_rows_need_no_draws_and_agree_with_them():
    model, rule = make(blocks=0)
    said = Threshold(model, rule, COSTS).weigh(0.3, COSTS)
    table = compare_costs(model.at(0.3), {"rule": rule}, COSTS, draws=2000).loc["rule"]
    assert said["difference"] == pytest.approx(table["difference"], abs=1e-12)
    assert said["high"] - said["low"] == pytest.approx(table["high"] - table["low"], rel=0.08)


def test_the_rates_are_those_of_the_metrics_and_of_the_groups():
    model, rule = make()
    face = Threshold(model, rule, COSTS, protected=["origin"])
    own, whole = face.list_rates(0.25, "origin"), face.list_rates(0.25).iloc[0]
    metrics = score(model.at(0.25), ["recall", "precision"], draws=20)[["value", "low", "high"]]
    assert [whole["cases found"], whole["warnings right"]] == [format_share(*row) for row in metrics.to_numpy()]
    rates = rates_by_group(model.at(0.25), "origin").set_index(["rate", "group"])[["value", "low", "high"]]
    names = {"selection_rate": "acted on", "true_positive_rate": "cases found", "precision": "warnings right"}
    for rate, words in names.items():
        assert own[words].to_dict() == {
            group: format_share(*row) for group, row in zip(own.index, rates.loc[rate].to_numpy(), strict=True)
        }


def test_moving_the_slider_changes_what_is_said():
    model, rule = make()
    face = Threshold(model, rule, COSTS, protected=["origin"], currency="USD")
    slider, shown = (
        find(face, "FloatSlider", "Act from"),
        next(each for each in walk(face.widget) if type(each).__name__ == "HTML"),
    )
    before = shown.value
    slider.value = 0.6
    assert shown.value != before
    assert "From 0.6 on: costs" in shown.value
    assert "JFK" in shown.value
    assert "From 0.6 on" in face.html()
    assert "0.6 (set)" in face.html()
    find(face, "FloatText", "false negative").value = 0
    find(face, "Button", "costs least").click()
    assert slider.value == 1


def test_a_move_takes_a_fifth_of_a_second_at_most():
    model, rule = make(28_128)
    face = Threshold(model, rule, COSTS, protected=["origin"])
    slider, took = find(face, "FloatSlider", "Act from"), []
    for value in np.linspace(0.2, 0.6, 15):
        start = time.perf_counter()
        slider.value = value
        took.append(time.perf_counter() - start)
    assert min(took) < 0.2


def test_what_was_moved_goes_into_the_params_and_nothing_else(tmp_path):
    path = tmp_path / "late.yaml"
    path.write_text("01_frame:\n  costs: {false_positive: 25, false_negative: 60}  # USD\n")
    model, rule = make()
    face = Threshold(model, rule, COSTS, files=[path])
    use, said, choice = face.widget.children[-1].children
    use.click()
    assert "nothing was moved" in said.value
    find(face, "FloatSlider", "Act from").value = 0.3004  # the nearest step, as a browser sends it
    assert face.threshold == 0.3
    find(face, "FloatSlider", "Act from").value = 0.5
    assert face.plan().lines == "+\n+07_evaluate:\n+  threshold: 0.5"
    find(face, "FloatSlider", "Act from").value = 0.3
    find(face, "FloatText", "false negative").value = 90
    use.click()
    choice.children[0].click()
    assert path.read_text() == "01_frame:\n  costs: {false_positive: 25, false_negative: 90.0}  # USD\n"


@pytest.mark.parametrize("given", ["costs: {}", "seed: 1"])
def test_a_cost_that_was_not_moved_goes_along_where_the_params_do_not_name_it(tmp_path, given):
    path = tmp_path / "late.yaml"
    path.write_text(f"01_frame:\n  {given}\n")
    face = Threshold(*make(), {}, files=[path])
    find(face, "FloatText", "false positive").value = 3
    written = face.plan().after
    assert "costs: {false_positive: 3.0, false_negative: 1.0}" in written


def test_of_several_files_the_last_that_gives_a_value_is_changed(tmp_path):
    base, over = tmp_path / "late.yaml", tmp_path / "over.yaml"
    base.write_text("01_frame:\n  costs: {false_positive: 9, false_negative: 60}\n")
    over.write_text("07_evaluate:\n  threshold: 0.2\n")
    face = Threshold(*make(), COSTS, files=[base, over])
    find(face, "FloatSlider", "Act from").value = 0.5
    find(face, "FloatText", "false negative").value = 90
    assert face.plan().path == over
    assert face.plan().after == (
        "07_evaluate:\n  threshold: 0.5\n\n01_frame:\n  costs: {false_positive: 25.0, false_negative: 90.0}\n"
    )


def test_a_regression_has_nothing_to_set():
    model, rule = make(task="regression")
    face = Threshold(model, rule, {"over": 1})
    assert "nothing to set" in face.html()
    assert "nothing to set" in face.widget.value


def test_few_blocks_say_so_in_place_of_an_interval():
    model, rule = make(blocks=3)
    assert "interval unknown" in Threshold(model, rule, COSTS).say(0.3)
    assert "too few to say how sure: 3 blocks" in Threshold(model, rule, COSTS).say(0.3)


def test_many_rows_are_sampled_and_it_says_so(monkeypatch):
    monkeypatch.setattr(
        "nbkit.desk.threshold.thin", lambda o: (o.take(np.arange(500)), "Shown is a sample of 500 of 3,000 rows.")
    )
    assert "sample of 500 of 3,000 rows" in Threshold(*make(), COSTS).html()


def test_a_threshold_that_is_given_is_taken_and_priced():
    model, _ = make()
    free = choose_threshold(model, COSTS, draws=50)
    given = choose_threshold(model, COSTS, draws=50, given=0.6)
    assert given.threshold == 0.6
    assert given.cost == pytest.approx(float(np.where(model.at(0.6).label, 25 * ~model.truth, 60 * model.truth).mean()))
    assert given.cost > free.cost
    assert choose_threshold(model, COSTS, draws=0, given=1.5).words == "never act"
