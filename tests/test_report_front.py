"""What the front page says beside the verdict."""

import numpy as np
import pandas as pd
import pytest

from nbkit.record import read_record
from nbkit.report import read_overview
from nbkit.report.front import describe_changes, read_cards, read_costs, read_drivers
from nbkit.report.watch import read_watch
from tests.test_report_overview import PASSED, judged, write_run

SCORES = pd.DataFrame({"metric": ["mae"], "value": [41.6], "low": [37.0], "high": [47.0]}).set_index("metric")


def test_the_large_numbers_are_those_of_07_and_of_the_service_four_at_most(project):
    answer = pd.DataFrame(
        {
            "value": [47475.3, 1.6878, np.nan, 0.6733],
            "unit": ["USD", "USD", "share", "share"],
            "sentence": list("abcd"),
            "low": [24070.0, 0.9, 0.0, 0.58],
            "high": [70880.0, 2.5, 1.0, 0.76],
            "what": ["saved", "saved per row", "found", "right"],
        }
    )
    required = pd.DataFrame(
        {"requirement": ["latency_p95_ms", "throughput_rps", "unknown"], "limit": [250.0, 20.0, 1.0], "measured": [43.4, 118.1, 2.0]}
    )  # fmt: skip
    folder = write_run(
        project,
        stages={"07_evaluate": PASSED},
        **{"07_evaluate": {"answer": answer}, "10_deploy": {"required": required}},
    )
    assert read_cards(folder).values.tolist() == [
        ["47,000 USD", "A."],
        ["67 %", "D."],
        ["43 ms", "response time of 95 % of the requests, several at once (limit 250 ms)"],
        ["118/s", "requests answered each second (20 are needed)"],
    ]


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((-0.5, -0.1), "saves 300 units (100 to 500)"),
        ((-0.5, 0.1), "is not shown to save anything"),
        ((0.1, 0.5), "costs 300 units (100 to 500) more"),
    ],
)
def test_money_is_held_against_the_cheapest_way_if_that_is_not_todays_rule(project, ends, told):
    answer = pd.DataFrame(
        {"what": ["saved in the period"], "value": [700.0], "low": [500.0], "high": [900.0], "unit": ["units"],
         "sentence": ["The model saves 700 units (500 to 900), against today's rule"]}
    )  # fmt: skip
    costs = pd.DataFrame(
        {"cost_per_row": [1.7, 1.3], "model": 1.0, "difference": [-0.7, sum(ends) / 2], "low": [-0.9, ends[0]],
         "high": [-0.5, ends[1]], "n": 1000, "verdict": "better"},
        index=pd.Index(["today's rule", "always acting"], name="alternative"),
    )  # fmt: skip
    made = {"answer": answer, "alternatives": costs}
    said = read_cards(write_run(project, stages={"07_evaluate": PASSED}, **{"07_evaluate": made}))["words"][0]
    assert said == (
        "The model saves 700 units (500 to 900), against today's rule. The cheapest way without a model is always "
        f"acting: against that the model {told}."
    )
    made["alternatives"] = costs.assign(cost_per_row=[1.3, 1.7])
    said = read_cards(write_run(project, stages={"07_evaluate": PASSED}, **{"07_evaluate": made}))["words"][0]
    assert said.endswith("against today's rule.")


def test_a_run_without_evaluation_says_nothing_of_numbers_costs_or_drivers(project):
    folder = write_run(project, stages={"01_frame": PASSED}, **{"01_frame": {"objective": "x"}})
    assert (len(read_cards(folder)), len(read_costs(folder)), len(read_watch(folder)), read_drivers(folder)) == (
        0,
        0,
        0,
        [],
    )
    assert "What it costs" not in read_front(folder)


def read_front(folder):
    from nbkit.report import write_report

    return write_report(folder).read_text()


@pytest.mark.parametrize("model", [np.nan, 0.0])
def test_costs_that_are_not_known_or_nothing_draw_no_bars(project, model):
    costs = pd.DataFrame({"cost_per_row": [model], "model": [model], "verdict": ["inconclusive"], "low": [np.nan], "high": [np.nan]},
                         index=pd.Index(["never acting"], name="alternative"))  # fmt: skip
    judged(project, **{"07_evaluate": {"alternatives": costs}})
    assert len(read_costs(project / "runs" / "toy-1")) == 0


def test_a_driver_is_a_sentence(project):
    drivers = pd.DataFrame({"feature": ["delay"], "sentence": ["delay above 22 min: +12 points"], "share": [0.2]})
    five, watched = pd.DataFrame({"feature": list("abcde"), "share": 0.2}), []
    for stable in (0.5, 0.8):  # what the sentence says does not decide, whatever its words
        check = pd.DataFrame({"top5_stable": [stable]})
        values = {"drivers": drivers, "firmness": "the order is loose", "importance": five, "check": check}
        folder = write_run(project, stages={"08_explain": PASSED}, **{"08_explain": values})
        watched.append(read_watch(folder).values.tolist())
    assert watched == [[["Explanation", "The order is loose.", "08_explain"]], []]
    assert read_drivers(folder) == ["Delay above 22 min: +12 points."]
    assert "Delay above 22 min: +12 points." in read_front(folder)


def test_what_changed_is_told_against_the_latest_run_before_that_has_scores(project):
    import json

    from nbkit import Problem

    problem = Problem("y", "regression", metric="mae")
    for number, (value, data) in enumerate([(43.0, "a"), (41.6, "b"), (41.6, "b")]):
        values = {
            "01_frame": {"problem": problem},
            "02_ingest": {"version": data},
            "07_evaluate": {"scores": SCORES.assign(value=value)},
        }
        folder = write_run(project, name=f"toy-{number}", stages=dict.fromkeys(values, PASSED), **values)
        record = json.loads((folder / "run.json").read_text())
        record |= {
            "started": f"2026-01-0{number + 1}T00:00:00+00:00",
            "parameters": {"06_train": {"trials": number // 2}},
        }
        (folder / "run.json").write_text(json.dumps(record))
    first, second, third = (project / "runs" / f"toy-{number}" for number in range(3))
    assert describe_changes(first, read_record(first)) == []
    assert describe_changes(second, read_record(second)) == [
        "Mean absolute error (MAE): 43 in toy-0, now 42.",
        "Data: other rows than in toy-0.",
        "Parameters: no change.",
    ]
    assert describe_changes(third, read_record(third))[1:] == [
        "Data: the same rows as in toy-1.",
        "Parameters changed: 06_train.trials (0 → 1).",
    ]
    assert read_overview(third).changes == describe_changes(third, read_record(third))


def test_costs_that_nobody_stated_are_not_shown(project):
    costs = pd.DataFrame({"cost_per_row": [0.34], "model": [0.2], "verdict": ["better"], "low": [-0.2], "high": [-0.1]},
                         index=pd.Index(["a constant prediction"], name="alternative"))  # fmt: skip
    for stated, shown in (({}, 0), ({"over": 1.0}, 2)):
        values = {"01_frame": {"costs": stated}, "07_evaluate": {"alternatives": costs}}
        assert len(read_costs(write_run(project, stages={"07_evaluate": PASSED}, **values))) == shown


def test_a_driver_without_a_direction_is_not_told_and_a_weak_part_is_to_be_watched(project):
    drivers = pd.DataFrame(
        {"feature": ["when"], "sentence": ["When. These rows show no direction"], "share": [0.2], "clear": [False]}
    )
    tree = pd.DataFrame(
        {"rule": ["x above 3"], "n": [500], "lift": [1.58], "low": [1.2], "high": [1.96], "verdict": ["worse"]}
    )
    folder = write_run(
        project,
        stages={"07_evaluate": PASSED},
        **{"08_explain": {"drivers": drivers}, "07_evaluate": {"error_tree": tree}},
    )
    assert read_drivers(folder) == []
    assert read_watch(folder)["sentence"].tolist() == [
        "Wrong decisions are 1.58 (1.20 to 1.96) times as frequent as on the whole where x above 3, on 500 rows."
    ]


def test_a_driver_that_is_not_shown_to_help_says_so(project):
    drivers = pd.DataFrame({"feature": ["a", "b"], "sentence": ["A. High: up", "B. High: down"], "clear": True})
    permuted = pd.DataFrame({"feature": ["a", "b"], "drop": [0.1, 0.1], "low": [0.05, -0.01], "high": [0.15, 0.2]})
    folder = write_run(project, **{"08_explain": {"drivers": drivers, "permuted": permuted}})
    assert read_drivers(folder) == ["A. High: up.", "B. High: down (not shown to help on new rows)."]
