"""Two runs compared for people: paired scores on the same rows, verdicts, causes, figures; or why not."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbkit.model import compare, predict, score
from nbkit.pipeline import compare_models
from nbkit.plots import draw_bars
from nbkit.problem import Problem
from tests.page_checks import check_page
from tests.test_cli_run import nbkit
from tests.test_report_overview import GATES, PASSED, VERDICTS, write_run
from tests.test_report_pages import EVIL, add_outputs

PROBLEM = Problem("y", positive=1)


def draw_rows(seed, n=400):
    chance = np.random.default_rng(seed)
    a, b = chance.normal(size=n), chance.normal(size=n)
    return pd.DataFrame({"a": a, "b": b, "y": (a + b + chance.normal(size=n) > 0).astype(int)})


def judged(project, name, columns, *, test=0, words="fine", problem=PROBLEM, **more):
    """Write a run whose model reads these columns, judged on rows drawn with the seed `test`."""
    rows = draw_rows(test)
    train = draw_rows(99)
    keep = [column if column in columns else "constant" for column in ("a", "b")]
    blind = train.assign(**{column: 0.0 for column, kept in zip(("a", "b"), keep, strict=True) if kept == "constant"})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(blind[["a", "b"]], train["y"])
    scores = score(predict(model, rows, PROBLEM, threshold=0.4), ["roc_auc", "brier"], draws=50)
    picture = draw_bars(pd.DataFrame({"a": ["x"], "b": [float(len(columns))]}), "a", "b", words)
    values = {
        "01_frame": {"problem": problem, "costs": {}, "objective": words},
        "02_ingest": {"test": rows, "version": f"v{test}"},
        "06_train": {"model": model},
        "07_evaluate": {"scores": scores, "threshold": 0.4, "verdicts": VERDICTS, "decision_picture": picture},
        "09_register": {"gates": GATES},
    }
    values = {stage: {**given, **more.get(stage, {})} for stage, given in values.items()}
    return write_run(project, name, stages=dict.fromkeys(values, PASSED), **values)


def test_models_are_compared_on_the_same_rows_as_by_hand(project):
    one, two = judged(project, "one", ["a"]), judged(project, "two", ["a", "b"])
    rows, said = compare_models(one, two)
    assert said == "Both models were scored on the same 400 test rows; the differences are paired."
    told = {row["metric"]: row for row in rows}
    assert [row["verdict"] for row in rows] == ["better", "better"]
    before, after = (predict(read_model(folder), draw_rows(0), PROBLEM, threshold=0.4) for folder in (one, two))
    by_hand = compare(after, before, ["roc_auc", "brier"])
    for metric, row in told.items():
        assert row["difference"] == by_hand.loc[metric, "difference"]
        assert (row["low"], row["high"]) == tuple(by_hand.loc[metric, ["low", "high"]])
        assert row["difference"] == pytest.approx(row["after"]["value"] - row["before"]["value"])
    assert [row["verdict"] for row in compare_models(two, one)[0]] == ["worse", "worse"]


def read_model(folder):
    from nbkit.scraps import read_value

    return read_value(folder, "06_train", "model")


def test_equal_runs_are_the_same_and_nothing_is_paired(project):
    one, two = judged(project, "one", ["a"]), judged(project, "two", ["a"])
    assert compare_models(one, two) == ([], "The model, the test rows and the scores are the same.")


def test_scores_of_equal_predictions_are_the_same_and_not_inconclusive(project):
    one = judged(project, "one", ["a"])
    two = judged(project, "two", ["a"], **{"07_evaluate": {"scores": score(predict(read_model(one), draw_rows(0), PROBLEM), ["roc_auc", "accuracy"], draws=20), "threshold": 0.6}})  # fmt: skip
    scores = score(predict(read_model(one), draw_rows(0), PROBLEM, threshold=0.4), ["roc_auc", "accuracy"], draws=50)
    same = judged(project, "same", ["a"], **{"07_evaluate": {"scores": scores}})
    again = judged(project, "again", ["a"], **{"07_evaluate": {"scores": scores.assign(note="again")}})
    assert [row["verdict"] for row in compare_models(same, again)[0]] == ["the same", "the same"]
    page = write_page("same", "again")
    assert "The second run is the same in ROC AUC, accuracy." in page.text
    assert page.text.count("= the same") == 2
    ranking, deciding = (row["verdict"] for row in compare_models(same, two)[0])  # by another threshold
    assert ranking == "the same" != deciding


def test_values_are_told_in_the_terminal_as_people_write_them(project):
    long = "The same beginning of a long text, which both runs have in common until near to its end, "
    values = {
        "limits": (1.0, np.float64(2.5)),
        "costs": {"false_positive": 3.0},
        "text": f"{long}here it is old.",
    }
    for name in ("one", "two"):
        judged(project, name, ["a"], **{"07_evaluate": values})
        values = {"limits": (1.0, float("nan")), "costs": {}, "note": "new", "text": f"{long}here it is new."}
    out = nbkit("compare", "one", "two").stdout
    rows = {line.split()[1]: " ".join(line.split()[2:]) for line in out.splitlines() if line.startswith("value")}
    assert "$" not in out
    assert rows["07_evaluate.limits"] == "1.0, 2.5 1.0, nan"
    assert rows["07_evaluate.costs"] == "false_positive 3.0 none"
    assert rows["07_evaluate.note"] == "– new"
    assert rows["07_evaluate.text"].startswith("…")
    assert "here it is old." in rows["07_evaluate.text"]


def test_two_models_that_are_equally_good_are_rarely_called_different(project):
    """Two models that read one equally strong column each: 1 of 20 comparisons may err, in 60 no more than 8 do (p < 0.01)."""
    wrong, train = 0, draw_rows(99, 4000)
    fitted = [make_pipeline(StandardScaler(), LogisticRegression()).fit(train[[c]].set_axis(["x"], axis=1), train["y"]) for c in ("a", "b")]  # fmt: skip
    for seed in range(60):
        rows = draw_rows(seed + 1000, 300)
        said = [predict(model, rows[[c, "y"]].set_axis(["x", "y"], axis=1), PROBLEM) for model, c in zip(fitted, "ab", strict=True)]  # fmt: skip
        wrong += compare(*said, "roc_auc", draws=200).loc["roc_auc", "verdict"] != "inconclusive"
    assert wrong <= 8


def test_different_rows_are_said_and_get_no_verdict(project):
    rows, said = compare_models(judged(project, "one", ["a"]), judged(project, "two", ["a", "b"], test=1))
    assert "different rows" in said
    assert [row.get("verdict") for row in rows] == [None, None]
    page = write_page("one", "two")
    assert page.text.count("not compared") == 2
    assert "Data" in page.text
    assert "v0" in page.text


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"07_evaluate": {"scores": 3}}, "The scores cannot be compared"),
        ({"01_frame": {"problem": Problem("z", positive=1)}}, "(y, binary, 1; z, binary, 1), so their scores are not"),
        ({"06_train": {"model": 3}}, "The scores cannot be compared"),
    ],
)
def test_what_cannot_be_compared_is_said_and_the_rest_is_told(project, more, told):
    judged(project, "one", ["a"])
    two = judged(project, "two", ["a", "b"], **more)
    assert told in compare_models(project / "runs" / "one", two)[1]
    assert told in nbkit("compare", "one", "two").stdout
    assert told in write_page("one", "two").text


def test_a_run_without_07_is_said(project):
    judged(project, "one", ["a"])
    write_run(project, "two", status="failed", stages={"01_frame": PASSED}, **{"01_frame": {"objective": "x"}})
    assert "07_evaluate has not run in two." in nbkit("compare", "one", "two").stdout
    assert "07_evaluate has not run in two." in write_page("one", "two").text


def write_page(*words):
    done = nbkit("compare", *words, "--html", "-o", "page.html")
    assert (done.exit_code, done.stdout) == (0, "page.html\n")
    return check_page(Path("page.html").read_text(encoding="utf-8"))


def test_the_text_leads_with_the_scores(project):
    judged(project, "one", ["a"])
    judged(project, "two", ["a", "b"])
    lines = nbkit("compare", "one", "two").stdout.splitlines()
    assert lines[0] == "Both models were scored on the same 400 test rows; the differences are paired."
    assert lines[2].startswith("ROC AUC ")
    assert lines[2].rstrip().endswith("better")
    found = json.loads(nbkit("compare", "one", "two", "--json").stdout)
    assert [(row["what"], row["where"], row["verdict"]) for row in found[:2]] == [("difference", name, "better") for name in ("roc_auc", "brier")]  # fmt: skip
    assert nbkit("compare", "one", "two", "-o", "x.html").exit_code == 2


def test_the_page_has_verdicts_scores_causes_and_figures_side_by_side(project):
    one, two = judged(project, "one", ["a"], words=EVIL), judged(project, "two", ["a", "b"])
    add_outputs(one, "06_train", source=f"x = 1\ny = 2\nz = {EVIL!r}")
    add_outputs(two, "06_train", source="x = 1\ny = 3")
    record = json.loads((two / "run.json").read_text()) | {"parameters": {"06_train": {"trials": EVIL}}}
    record["surroundings"]["versions"]["nbkit"] = "0.2"
    (two / "run.json").write_text(json.dumps(record))
    page = write_page("one", "two")
    assert "The second run is better in ROC AUC, Brier score." in page.text
    assert page.text.count("✓ better") == 2
    assert page.text.count("✓ Approve") == 2
    assert "06_train.trials–" + EVIL in page.text
    assert "nbkit0.10.2" in page.text
    assert "-y = 2" in page.text
    assert "+y = 3" in page.text
    assert len(page.all("svg")) == 2
    assert "07_evaluate: decision" in page.text


def test_no_metric_is_named_twice_where_verdicts_differ(project):
    rows, _ = compare_models(judged(project, "one", ["a"]), judged(project, "two", ["b"]))
    assert [row["verdict"] for row in rows] == ["inconclusive", "inconclusive"]
    assert "The second run shows no clear difference in ROC AUC, Brier score." in write_page("one", "two").text
