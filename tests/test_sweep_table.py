"""The table of a sweep whose points handed over models: compared on the same rows, and told when that cannot be."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbkit import model as models
from nbkit.problem import Problem
from nbkit.record import RunRecord, StageRecord, write_record
from nbkit.sweep import Sweep
from nbkit.sweep.table import judge_points, read_point, read_score
from tests.conftest import glue

PROBLEM = Problem("late", positive=1, block="row")


def draw_rows(seed, n=400):
    chance = np.random.default_rng(seed)
    table = pd.DataFrame(chance.normal(size=(n, 2)), columns=["a", "noise"])
    return table.assign(late=(table["a"] + chance.normal(size=n) > 0).astype(int))


def lay_point(root, name, columns, *, valid=None, **left_out):
    """Write the run of one point: a model that sees some columns, and its scores on the validation rows."""
    folder = root / "runs" / name
    train, valid = draw_rows(0), draw_rows(1) if valid is None else valid
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(
        train[["a", "noise"]].assign(**dict.fromkeys(set(train.columns) - {"late", *columns}, 0.0)), train["late"]
    )
    scores = models.score(models.predict(model, valid, PROBLEM), ["roc_auc", "brier"], draws=50)
    board = scores.reset_index().assign(candidate="linear")
    other = board.assign(candidate="dummy", value=0.99)
    found = {"scores": pd.concat([other, board]), "best": "linear", "model": model}
    glue(folder / "01_frame.ipynb", problem=PROBLEM)
    glue(folder / "05_features.ipynb", valid=valid)
    glue(folder / "06_train.ipynb", **{key: value for key, value in found.items() if key not in left_out})
    stages = [StageRecord("05_features", "passed", seconds=9.0, borrowed="other")]
    stages.append(StageRecord("06_train", "passed", seconds=3.5, headline="Good."))
    write_record(folder, RunRecord(status="passed", stages=stages))


def make_sweep(root, count, metric=""):
    points = tuple({"06_train.k": number} for number in range(count))
    return Sweep(root, (), points, name="s", judge="06_train", metric=metric)


def judge(root, count, metric="", **options):
    sweep = make_sweep(root, count, metric)
    return judge_points(sweep, [read_point(sweep, number + 1) for number in range(count)], **options)


@pytest.fixture
def points(project):
    lay_point(project, "s-001", ["noise"])
    lay_point(project, "s-002", ["a", "noise"])
    lay_point(project, "s-003", ["a"])
    return project


def test_points_are_compared_on_the_same_rows(points):
    found = judge(points, 4)
    rows = found["rows"]
    assert [row["status"] for row in rows] == ["passed"] * 3 + ["pending"]
    assert [row["seconds"] for row in rows] == [3.5, 3.5, 3.5, 0.0]
    assert rows[0]["value"] < 0.99  # of the candidate that goes on
    assert [row.get("verdict") for row in rows] == ["best", "inconclusive", "worse", None]
    assert sum(row.get("share", 0) for row in rows) == pytest.approx(1)
    assert [row["point"] for row in rows][2:] == [1, 4]
    assert (found["best"], found["alike"]) == (rows[0]["run"], [rows[1]["run"]])
    assert "1 of the 2 others cannot be told apart from it, by a bootstrap on the same rows" in found["claim"]
    assert f"is flattered by about {found['optimism']:.2g}." in found["claim"]
    assert found["optimism"] >= 0


def test_points_that_are_all_alike_are_told_so(points):
    for name in ("s-001", "s-002"):
        lay_point(points, name, ["a"])
    assert "No other can be told apart from it" in judge(points, 3)["claim"]


def test_another_metric_of_the_scores_can_sort(points):
    rows = judge(points, 3, "brier")["rows"]
    assert {row["metric"] for row in rows} == {"brier"}
    assert [row["value"] for row in rows] == sorted(row["value"] for row in rows)
    assert rows[0]["verdict"] == "best"


def test_points_on_other_rows_are_sorted_and_not_compared(points):
    lay_point(points, "s-003", ["a"], valid=draw_rows(2))
    found = judge(points, 3)
    assert found["optimism"] is None
    assert "verdict" not in found["rows"][0]
    assert "were not compared on the same rows (the points were scored on different rows)" in found["claim"]


def test_a_point_without_a_model_is_sorted_and_not_compared(points):
    lay_point(points, "s-003", ["a"], model=None)
    assert "hands over no 'model'" in judge(points, 3)["claim"]


def test_quick_loads_no_model(points):
    assert "(the sweep was stopped)" in judge(points, 3, quick=True)["claim"]


def test_one_point_is_best_without_comparison(points):
    found = judge(points, 1)
    assert found["claim"].startswith("s-001 is best of 1 point: roc_auc 0.")
    assert found["claim"].endswith(").")
    assert found["alike"] == []


def test_damaged_scores_fail_their_point_alone(points):
    for path in (points / "runs" / "s-002" / "artifacts").rglob("*.parquet"):
        path.write_bytes(b"")
    sweep = make_sweep(points, 3)
    rows = [read_point(sweep, number) for number in (1, 2, 3)]
    assert [row["status"] for row in rows] == ["passed", "failed", "passed"]
    assert "was changed after it was saved" in rows[1]["headline"]


def test_what_a_worker_said_is_what_counts(points):
    row = read_point(make_sweep(points, 2), 1, ("s-001", "its process was killed (SIGKILL)"))
    assert (row["status"], row["headline"]) == ("failed", "its process was killed (SIGKILL)")
    assert read_point(make_sweep(points, 2), 1, ("s-003", ""))["run"] == "s-003"


def test_the_latest_attempt_of_a_point_counts(points):
    for name in ("s-001.2", "s-001.10", "s-0011"):
        lay_point(points, name, ["a"])
    assert read_point(make_sweep(points, 1), 1)["run"] == "s-001.10"


def test_the_score_of_the_candidate_that_goes_on_is_read(points):
    row = read_score(points / "runs" / "s-001", "06_train")
    assert (row["metric"], row["better"], row["n"]) == ("roc_auc", "higher", 400)
    with pytest.raises(KeyError, match="it has roc_auc, brier"):
        read_score(points / "runs" / "s-001", "06_train", "mae")


@pytest.mark.parametrize(("better", "best"), [("higher", 3.0), ("lower", -4.0), ("zero", 1.0)])
def test_the_best_follows_the_metric(project, better, best):
    rows = [
        {"run": str(value), "value": value, "better": better, "metric": "m", "low": None} for value in (3.0, -4.0, 1.0)
    ]
    sweep = make_sweep(project, 3)
    assert judge_points(sweep, [*rows, {"run": ""}], quick=True)["best"] == str(best)
