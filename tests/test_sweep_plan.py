"""What a sweep would do: the settings of its points, and what is refused before anything runs."""

import pytest

from nbkit.errors import BadParameter, UnknownParameter, UnknownRun
from nbkit.sweep import find_sweep, read_sweep
from tests.conftest import make_notebook
from tests.sweep_helpers import FIRST, IMPORTS, execute, fake, plan, toy

__all__ = ["fake", "toy"]


def test_points_end_where_scores_are_and_carry_their_settings(project, toy):
    planned = plan(project, "02.k=1,5", "second.spec={a: 1},{a: 2}", settings=("02.nap=1",))
    assert (planned.project, planned.judge, planned.last) == ("toy", "02_second", "02_second")
    assert planned.own[1] == ("02.k=1", 'second.spec={"a": 2}')
    assert planned.settings == ("02.nap=1",)
    assert plan(project, "02.k=1,5", last="03").last == "03_third"


@pytest.mark.parametrize(
    ("grid", "asked", "error", "words"),
    [
        (["02.k=1,12"], {}, BadParameter, "k = 12 is not allowed"),
        (["02.q=1,2"], {}, UnknownParameter, "no key of 02_second is called 'q'"),
        (["02.k.a=1,2"], {}, BadParameter, "a cannot be set alone"),
        (["02.nap=1,1.0"], {}, BadParameter, "do not differ"),
        (["02.k=1,2"], {"last": "01"}, BadParameter, "ends before 02_second"),
        (["02.k=1,2"], {"name": "../s"}, BadParameter, "not a run name"),
        (["02.k=1,2"], {"name": "s" * 197}, BadParameter, "at most 200 bytes"),
        (["02.k=1,2"], {"last": "09"}, Exception, "no stage is called '09'"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_runs(project, toy, grid, asked, error, words):
    with pytest.raises(error, match=words):
        plan(project, *grid, **asked)
    assert not (project / "runs").exists()


def test_modules_of_the_project_are_imported_first_as_a_criterion_may_name_their_metric(project, toy):
    toy.write_text(f"shared: {{use: [no_such_checks]}}\n{toy.read_text()}")
    with pytest.raises(BadParameter, match="no_such_checks"):
        plan(project, "02.k=1,2")


def test_points_do_not_register(project, toy):
    make_notebook(project / "notebooks" / "09_register.ipynb", "1", nbkit={"effects": "always"})
    with pytest.raises(BadParameter, match="points do not come to 09_register"):
        plan(project, "02.k=1,2", last="09")


def test_points_may_come_to_a_stage_that_only_reads_outside(project, toy):
    reads = {"effects": "nbkit.registry.standing:describe_production", "only_reads": True}
    make_notebook(project / "notebooks" / "08_explain.ipynb", "1", nbkit=reads)
    assert plan(project, "02.k=1,2", last="08").last == "08_explain"


def test_a_sweep_needs_a_stage_that_scores(project, toy):
    (project / "notebooks" / "02_second.ipynb").unlink()
    (project / "notebooks" / "03_third.ipynb").unlink()
    with pytest.raises(BadParameter, match="no notebook hands over 'scores'"):
        plan(project, "01.x=1,2")


def test_points_that_choose_by_different_metrics_need_one_to_be_compared_by(project, toy):
    cell = 'run_dir: str = "."  # folder\nx: int = 1  # a number\ntask: str = "regression"  # kind\nmetric: str = "mae"  # what chooses'
    make_notebook(project / "notebooks" / "01_frame.ipynb", IMPORTS, FIRST, parameters=cell)
    with pytest.raises(BadParameter, match=r"choose by mae, rmse: say with --metric by which"):
        plan(project, "01.metric=mae,rmse")
    assert len(plan(project, "01.metric=mae,rmse", metric="mae").points) == 2


def test_a_sweep_that_is_none_or_damaged_says_so(project, toy, fake):
    execute(plan(project, "02.k=5,6"))
    assert find_sweep(project, "s") == project / "runs" / "s"
    assert find_sweep(project, "ss") is None
    with pytest.raises(UnknownRun, match="did you mean 's'"):
        read_sweep(project / "runs" / "ss")
    (project / "runs" / "s" / "sweep.json").write_text('{"points": 1}')
    with pytest.raises(UnknownRun, match="is damaged"):
        read_sweep(project / "runs" / "s")
