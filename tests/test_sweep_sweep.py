"""A sweep from plan to table without a kernel: what runs once, what a failed point leaves, what resume does."""

import json
import shutil

import pandas as pd
import pytest

from nbkit.errors import BadParameter, RunInUse, UnknownParameter, UnknownRun
from nbkit.pipeline import list_runs
from nbkit.pipeline.manifest import hold_run
from nbkit.project import read_manifest
from nbkit.sweep import execute_sweep, list_points, plan_sweep, read_axis, read_sweep
from nbkit.sweep.sweep import make_task
from nbkit.sweep.work import has_passed
from tests.conftest import make_notebook
from tests.sweep_helpers import IMPORTS, SECOND, WORK, fake, run_inline, toy

__all__ = ["fake", "toy"]


def plan(toy, *grid, name="s", **options):
    return plan_sweep(toy.parents[1], [toy], list_points([read_axis(text) for text in grid]), name=name, **options)


def test_what_points_share_runs_once(toy, fake):
    found = execute_sweep(plan(toy, "02.k=1,5,6"), run_inline)
    assert fake == [("s-shared", "01_first"), *[(f"s-00{n}", "02_second") for n in (1, 2, 3)]]
    assert (found["status"], found["exit"], found["best"], found["basis"]) == ("passed", 0, "s-002", "overlap")
    assert [row["02.k"] for row in found["rows"]] == [5, 6, 1]
    assert [row["verdict"] for row in found["rows"]] == ["best", "cannot tell", "worse"]
    assert found["rows"][0]["seconds"] == 1.0
    assert "s-002 is best of 3 points: mae 2 (0.5 to 3.5). 1 of the 2 others cannot be told apart" in found["claim"]
    assert found["why"] == "there is no 05_features, whose 'valid' would hold them"
    table = pd.read_csv(toy.parents[1] / "runs" / "s" / "sweep.csv")
    assert table["value"].tolist() == [2.0, 3.0, 6.0]


def test_a_point_is_an_ordinary_run(toy, fake):
    execute_sweep(plan(toy, "02.k=1,5"), run_inline)
    rows = {row["run"]: row for row in list_runs(toy.parents[1])}
    assert sorted(rows) == ["s-001", "s-002", "s-shared"]
    assert {row["status"] for row in rows.values()} == {"passed"}
    assert read_manifest(toy.parents[1] / "runs" / "s-002")["parameters"]["02_second"]["k"] == 5


def test_what_some_points_share_runs_once_as_well(toy, fake):
    found = execute_sweep(plan(toy, "01.x=1,2", "02.k=5,6"), run_inline)
    assert fake == [
        ("s-001", "01_first"), ("s-001", "02_second"), ("s-002", "02_second"),
        ("s-003", "01_first"), ("s-003", "02_second"), ("s-004", "02_second"),
    ]  # fmt: skip
    assert found["exit"] == 0
    assert not (toy.parents[1] / "runs" / "s-shared").exists()


def test_a_failed_point_stops_no_other_and_resume_runs_it_alone(toy, fake):
    events = []
    found = execute_sweep(plan(toy, "02.k=3,5,6"), run_inline, lambda event, facts: events.append(event))
    assert (found["status"], found["exit"]) == ("failed", 1)
    assert [row["status"] for row in found["rows"]] == ["passed", "passed", "failed"]
    assert found["rows"][-1]["headline"] == "three is one too many"
    assert events.count("point_end") == 3
    del fake[:]
    again = execute_sweep(read_sweep(toy.parents[1], "s"), run_inline, resume=True)
    assert fake == [("s-001", "02_second")]
    assert again["rows"] == found["rows"]


def test_interrupted_points_are_told_and_the_rest_is_resumed(toy, fake):
    found = execute_sweep(plan(toy, "02.k=1,4,5"), interrupt_at_four)
    assert (found["status"], found["exit"]) == ("interrupted", 130)
    assert {row["run"]: row["status"] for row in found["rows"]} == {
        "s-001": "passed", "s-002": "interrupted", "s-003": "pending"
    }  # fmt: skip
    again = execute_sweep(read_sweep(toy.parents[1], "s"), run_inline, resume=True)
    assert {row["run"]: row["status"] for row in again["rows"]}["s-003"] == "passed"


def interrupt_at_four(tasks, on_step):
    for task, answer in zip(tasks, run_inline(tasks, on_step), strict=True):
        yield answer
        if any("=4" in text for text in task["settings"]):
            raise KeyboardInterrupt


def test_what_all_share_must_pass(toy, fake, monkeypatch):
    found = execute_sweep(plan(toy, "02.k=1,5"), lambda tasks, on_step: broken(tasks))
    assert found["exit"] == 1
    assert {row["status"] for row in found["rows"]} == {"pending"}
    assert found["claim"] == "No point could begin, since what all points share did not pass: the disk is full"


def broken(tasks):
    yield {"name": tasks[0]["name"], "exit": 1, "error": "the disk is full"}


def test_a_half_made_run_is_never_believed(toy, fake):
    sweep = plan(toy, "02.k=5,6")
    execute_sweep(sweep, run_inline)
    runs = toy.parents[1] / "runs"
    manifest = json.loads((runs / "s-001" / "run.json").read_text())
    manifest["status"] = manifest["stages"][1]["status"] = "running"  # killed in the middle
    (runs / "s-001" / "run.json").write_text(json.dumps(manifest))
    shutil.rmtree(runs / "s-002")
    (runs / "s-002").mkdir()  # killed before its manifest
    assert not any(has_passed(make_task(read_sweep(toy.parents[1], "s"), number)) for number in (1, 2))
    del fake[:]
    assert execute_sweep(read_sweep(toy.parents[1], "s"), run_inline, resume=True)["exit"] == 0
    assert fake == [("s-001", "02_second"), ("s-002", "02_second")]


@pytest.mark.parametrize("damage", ["{", "[]", '{"status": "passed"}'])
def test_a_damaged_manifest_begins_the_point_anew(toy, fake, damage):
    execute_sweep(plan(toy, "02.k=5,6"), run_inline)
    (toy.parents[1] / "runs" / "s-001" / "run.json").write_text(damage)
    del fake[:]
    assert execute_sweep(read_sweep(toy.parents[1], "s"), run_inline, resume=True)["exit"] == 0
    assert fake == [("s-001", "02_second")]


@pytest.mark.parametrize("gone", ["02_second.ipynb", "artifacts"])
def test_a_point_whose_files_are_gone_is_made_again(toy, fake, gone):
    execute_sweep(plan(toy, "02.k=5,6"), run_inline)
    place = toy.parents[1] / "runs" / "s-001" / gone
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    del fake[:]
    assert execute_sweep(read_sweep(toy.parents[1], "s"), run_inline, resume=True)["exit"] == 0
    assert fake == [("s-001", "02_second")]


def test_points_made_by_other_code_are_made_again(toy, fake):
    execute_sweep(plan(toy, "02.k=5,6"), run_inline)
    notebook = toy.parents[1] / "notebooks" / "02_second.ipynb"
    notebook.write_text(notebook.read_text().replace("three is", "3 is"))
    del fake[:]
    execute_sweep(read_sweep(toy.parents[1], "s"), run_inline, resume=True)
    assert fake == [("s-001", "02_second"), ("s-002", "02_second")]


def test_points_made_of_other_params_are_made_again(toy, fake):
    execute_sweep(plan(toy, "02.k=5,6"), run_inline)
    toy.write_text("shared: {x: 3}\n")
    del fake[:]
    execute_sweep(read_sweep(toy.parents[1], "s"), run_inline, resume=True)
    assert [run for run, _ in fake] == ["s-shared", "s-001", "s-002"]


def test_two_sweeps_of_one_name_do_not_meet(toy, fake):
    execute_sweep(plan(toy, "02.k=5,6"), run_inline)
    with pytest.raises(RunInUse, match="take another --name"):
        execute_sweep(plan(toy, "02.k=1,2"), run_inline)
    (toy.parents[1] / "runs" / "t-001").mkdir()
    with pytest.raises(RunInUse, match="a run is called t-001 already"):
        execute_sweep(plan(toy, "02.k=1,2", name="t"), run_inline)
    assert not (toy.parents[1] / "runs" / "t").exists()
    names = {execute_sweep(plan(toy, "02.k=5,6", name=""), run_inline)["sweep"] for _ in range(2)}
    assert len(names) == 2


def test_a_sweep_that_is_being_worked_on_is_left_alone(toy, fake):
    execute_sweep(plan(toy, "02.k=5,6"), run_inline)
    sweep = read_sweep(toy.parents[1], "s")
    with hold_run(sweep.folder), pytest.raises(RunInUse, match="another process"):
        execute_sweep(sweep, run_inline, resume=True)


def test_a_worker_that_does_not_see_the_project_says_so(toy, fake):
    sweep = plan(toy, "02.k=5,6")

    def elsewhere(tasks, on_step):
        yield from run_inline([{**task, "token": "another folder"} for task in tasks], on_step)

    found = execute_sweep(sweep, elsewhere)
    assert "does not see" in found["claim"]
    assert "all machines share" in found["claim"]

    def other(tasks, on_step):
        yield from run_inline([{**task, "code": {**task["code"], "numpy": "1.0"}} for task in tasks], on_step)

    again = execute_sweep(read_sweep(toy.parents[1], "s"), other, resume=True)
    assert "not 1.0: its points could not be compared" in again["claim"]


def test_workers_that_share_no_folder_hand_over_through_a_storage(toy, fake, tmp_path_factory):
    root, other = toy.parents[1], tmp_path_factory.mktemp("other") / "machine"
    shutil.copytree(root, other)

    def elsewhere(tasks, on_step):
        yield from run_inline([{**task, "root": str(other)} for task in tasks], on_step)

    storage = str(tmp_path_factory.mktemp("storage"))
    found = execute_sweep(plan(toy, "02.k=5,6", storage=storage), elsewhere)
    assert (found["status"], found["best"]) == ("passed", "s-001")
    assert fake == [("s-shared", "01_first"), ("s-001", "02_second"), ("s-002", "02_second")]
    assert not (root / "runs" / "s-001").exists()
    assert [row["value"] for row in found["rows"]] == [2.0, 3.0]  # the scores came through the storage
    del fake[:]
    assert execute_sweep(read_sweep(root, "s"), elsewhere, resume=True)["exit"] == 0
    assert fake == []
    notebook = other / "notebooks" / "02_second.ipynb"
    notebook.write_text(notebook.read_text().replace("three is", "3 is"))
    assert (
        "other notebooks, params or modules"
        in execute_sweep(plan(toy, "02.k=7,8", name="t", storage=storage), elsewhere)["claim"]
    )


def test_an_entry_of_a_dict_can_vary(toy, fake):
    sweep = plan(toy, "02.spec.a.b=1,2", "02.spec.c=x,y")
    assert sweep.own[1] == ('02_second.spec={"a": {"b": 1}, "c": "y"}',)


@pytest.mark.parametrize(
    ("grid", "options", "error", "words"),
    [
        (["02.k=1,20"], {}, BadParameter, "k = 20 is not allowed"),
        (["02.q=1,2"], {}, UnknownParameter, "no key of 02_second is called 'q'"),
        (["02.k.a=1,2"], {}, BadParameter, "is no dict"),
        (["02.k=1,2", "second.k=3,4"], {}, BadParameter, "given twice"),
        (["02.nap=1,1.0"], {}, BadParameter, "do not differ"),
        (["02.k=1,2"], {"last": "01"}, BadParameter, "ends before 02_second"),
        (["02.k=1,2"], {"name": "../s"}, BadParameter, "no name for a run"),
        (["02.k=1,2"], {"name": "s" * 195}, BadParameter, "at most 200 bytes"),
        (["02.k=1,2"], {"settings": ["02.k=1"], "last": "09"}, Exception, "no stage is called '09'"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_runs(toy, grid, options, error, words):
    with pytest.raises(error, match=words):
        plan(toy, *grid, **options)
    assert not (toy.parents[1] / "runs").exists()


def test_points_do_not_register(toy):
    from tests.conftest import make_notebook

    make_notebook(toy.parents[1] / "notebooks" / "09_register.ipynb", "1", nbkit={"effects": "always"})
    with pytest.raises(BadParameter, match="do not come to 09_register"):
        plan(toy, "02.k=1,2", last="09")


def test_a_sweep_needs_a_stage_that_scores(toy):
    (toy.parents[1] / "notebooks" / "02_second.ipynb").unlink()
    (toy.parents[1] / "notebooks" / "03_third.ipynb").unlink()
    with pytest.raises(BadParameter, match="no notebook hands over 'scores'"):
        plan(toy, "01.x=1,2")


def test_points_that_choose_by_different_metrics_need_one_to_be_compared_by(toy, fake):
    cell = f'{SECOND}\nmetric: str = "mae"  # what chooses'
    make_notebook(toy.parents[1] / "notebooks" / "02_second.ipynb", IMPORTS, WORK, parameters=cell)
    with pytest.raises(BadParameter, match=r"choose by mae, rmse: say with --metric by which"):
        plan(toy, "02.metric=mae,rmse")
    assert len(plan(toy, "02.metric=mae,rmse", metric="mae").points) == 2


def test_a_metric_that_is_not_there_fails_the_points_in_words(toy, fake):
    found = execute_sweep(plan(toy, "02.k=5,6", metric="rmse"), run_inline)
    assert found["exit"] == 1
    assert "has no score 'rmse'; it has mae" in found["rows"][0]["headline"]
    assert found["claim"] == "No point has a score."


def test_a_damaged_sweep_says_so(toy, fake):
    execute_sweep(plan(toy, "02.k=5,6"), run_inline)
    with pytest.raises(UnknownRun, match="did you mean 's'"):
        read_sweep(toy.parents[1], "ss")
    (toy.parents[1] / "runs" / "s" / "sweep.json").write_text('{"points": 1}')
    with pytest.raises(UnknownRun, match="is damaged"):
        read_sweep(toy.parents[1], "s")
