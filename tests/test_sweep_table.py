"""The table of a sweep whose points handed over models: compared on the same rows, and told when that cannot be."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbkit.model import evaluate
from nbkit.pipeline.manifest import write_manifest
from nbkit.sweep import Sweep, judge_points, tabulate_points
from nbkit.sweep.table import find_best, read_score
from tests.conftest import glue


def draw_rows(seed, n=400):
    chance = np.random.default_rng(seed)
    table = pd.DataFrame(chance.normal(size=(n, 2)), columns=["a", "noise"])
    return table.assign(late=(table["a"] + chance.normal(size=n) > 0).astype(int))


def lay_point(root, name, columns, *, valid=None, metric="roc_auc", **left_out):
    """Write the run of one point: a model that sees some columns, and its scores on the validation rows."""
    folder = root / "runs" / name
    train, valid = draw_rows(0), draw_rows(1) if valid is None else valid
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(
        train[["a", "noise"]].assign(**dict.fromkeys(set(train.columns) - {"late", *columns}, 0.0)), train["late"]
    )
    scores = evaluate(model, valid[["a", "noise"]], valid["late"], ["roc_auc", "brier"], task="binary", draws=50)
    board = scores.reset_index().assign(candidate="linear")
    other = board.assign(candidate="dummy", value=0.99)
    found = {"scores": pd.concat([other, board]), "best": "linear", "metric": metric, "model": model}
    glue(folder / "05_features.ipynb", valid=valid)
    glue(folder / "06_train.ipynb", **{key: value for key, value in found.items() if key not in left_out})
    stages = [{"stage": "05_features", "status": "passed", "seconds": 9.0, "borrowed": "s-shared"}]
    stages.append({"stage": "06_train", "status": "passed", "seconds": 3.5, "headline": "Good."})
    given = {"target": "late", "task": "binary", "positive": 1, "block": "row"}
    write_manifest(folder, {"status": "passed", "stages": stages, "parameters": {"06_train": given}})


def make_sweep(root, count, metric=""):
    points = tuple({"06_train.k": number} for number in range(count))
    own = tuple((f"06_train.k={number}",) for number in range(count))
    return Sweep(root, "p", "s", (), (), points, own, "06_train", "06_train", "05_features", "06_train", metric)


@pytest.fixture
def points(project):
    lay_point(project, "s-001", ["noise"])
    lay_point(project, "s-002", ["a", "noise"])
    lay_point(project, "s-003", ["a"])
    return project


def test_points_are_compared_on_the_same_rows(points):
    sweep = make_sweep(points, 4)
    table = tabulate_points(sweep, {})
    assert table["status"].tolist() == ["passed"] * 3 + ["pending"]
    assert table["seconds"].tolist() == [3.5, 3.5, 3.5, 0.0]
    assert table["value"].max() < 0.99  # of the candidate that goes on
    verdict = judge_points(sweep, table)
    assert (verdict.basis, verdict.why) == ("paired", "")
    assert verdict.best in ("s-002", "s-003")
    assert len(verdict.alike) == 1
    assert verdict.table["verdict"].tolist() == ["best", "cannot tell", "worse", ""]
    assert verdict.table["share"].sum() == pytest.approx(1)
    assert verdict.table["run"].tolist()[2:] == ["s-001", "s-004"]
    assert "1 of the 2 others cannot be told apart from it, by a bootstrap on the same rows" in verdict.claim
    assert f"is flattered by about {verdict.optimism:.2g}." in verdict.claim
    assert verdict.optimism >= 0


def test_another_metric_of_the_scores_can_sort(points):
    table = tabulate_points(make_sweep(points, 3, "brier"), {})
    assert set(table["metric"]) == {"brier"}
    verdict = judge_points(make_sweep(points, 3, "brier"), table)
    assert verdict.basis == "paired"
    assert verdict.table["value"].is_monotonic_increasing


def test_points_on_other_rows_are_held_by_their_intervals(points):
    lay_point(points, "s-003", ["a"], valid=draw_rows(2))
    verdict = judge_points(make_sweep(points, 3), tabulate_points(make_sweep(points, 3), {}))
    assert (verdict.basis, verdict.why, verdict.optimism) == (
        "overlap",
        "the points were scored on different rows",
        None,
    )
    assert "rows that did not pick it will say how much" in verdict.claim


def test_a_point_without_a_model_is_held_by_its_interval(points):
    lay_point(points, "s-003", ["a"], model=None)
    verdict = judge_points(make_sweep(points, 3), tabulate_points(make_sweep(points, 3), {}))
    assert verdict.basis == "overlap"
    assert "hands over no 'model'" in verdict.why


def test_quick_loads_no_model(points):
    verdict = judge_points(make_sweep(points, 3), tabulate_points(make_sweep(points, 3), {}), quick=True)
    assert (verdict.basis, verdict.why) == ("overlap", "the sweep was stopped")


def test_one_point_is_best_without_comparison(points):
    verdict = judge_points(make_sweep(points, 1), tabulate_points(make_sweep(points, 1), {}))
    assert verdict.claim.startswith("s-001 is best of 1 point: roc_auc 0.")
    assert verdict.alike == ()


def test_damaged_scores_fail_their_point_alone(points):
    for path in (points / "runs" / "s-002" / "artifacts").rglob("*.parquet"):
        path.write_bytes(b"")
    table = tabulate_points(make_sweep(points, 3), {})
    assert table["status"].tolist() == ["passed", "failed", "passed"]
    assert "was changed after it was saved" in table["headline"][1]


def test_what_a_worker_said_is_what_counts(points):
    answer = {"name": "s-001", "exit": 1, "error": "its process was killed, 2 times"}
    table = tabulate_points(make_sweep(points, 1), {"s-001": answer})
    assert (table["status"][0], table["headline"][0]) == ("failed", "its process was killed, 2 times")


def test_the_score_of_the_candidate_that_goes_on_is_read(points):
    row = read_score(points / "runs" / "s-001", "06_train")
    assert (row["metric"], row["better"], row["n"]) == ("roc_auc", "higher", 400)
    with pytest.raises(KeyError, match="it has roc_auc, brier"):
        read_score(points / "runs" / "s-001", "06_train", "mae")


@pytest.mark.parametrize(("better", "best"), [("higher", 3.0), ("lower", -4.0), ("zero", 1.0)])
def test_the_best_so_far_follows_the_metric(better, best):
    rows = [{"value": value, "better": better} for value in (3.0, -4.0, 1.0, float("nan"), None)]
    assert find_best([*rows, {}])["value"] == best
    assert find_best([]) == {}
