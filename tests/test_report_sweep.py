"""The page of a sweep: what it says for one best point, for many alike, for none, and that it stands alone."""

import pytest

from nbkit.errors import UnknownRun
from nbkit.report.sweep import read_sweep_page, render_sweep, say_again, write_sweep_report
from nbkit.sweep import execute_sweep, list_points, plan_sweep, read_axis, read_sweep
from nbkit.sweep.plan import write_sweep
from tests.page_checks import check_page
from tests.sweep_helpers import fake, run_inline, toy

__all__ = ["fake", "toy"]


def swept(toy, *grid):
    root = toy.parents[1]
    execute_sweep(plan_sweep(root, [toy], list_points([read_axis(text) for text in grid]), name="s"), run_inline)
    return root / "runs" / "s"


def test_points_that_cannot_be_told_apart_are_the_headline(toy, fake):
    page = read_sweep_page(swept(toy, "02.k=5,6,1,3"))
    assert (page.word, page.tone) == ("2 of 4 points cannot be told apart", "unsure")
    assert page.points["params"].tolist() == ["k = 5", "k = 6", "k = 1", "k = 3"]
    assert page.points["verdict"].tolist() == ["best", "cannot tell", "worse", ""]
    assert page.points["status"].tolist() == ["passed", "passed", "passed", "failed"]
    assert page.scored["label"].tolist() == ["1: 5", "2: 6", "3: 1"]
    assert "test rows are not read" in page.notes[0]
    assert "<li>Point 4: three is one too many</li>" in render_sweep(page)
    assert page.again == "nbkit run params/toy.yaml --set shared.threads=1 --set 02_second.k=5"


def test_one_best_point_is_named(toy, fake):
    page = read_sweep_page(swept(toy, "02.k=5,1"))
    assert (page.word, page.tone) == ("s-001 is best", "good")


def test_no_point_at_all(toy, fake):
    page = read_sweep_page(swept(toy, "02.k=3", "02.nap=1,2"))
    assert (page.word, page.tone, page.again) == ("No point has a score", "bad", "")
    assert "<svg" not in render_sweep(page)


@pytest.mark.parametrize("grid", [("02.k=5,6,3",), ("02.k=3",), ("02.k=5", "02.spec={a: <b>},{a: '</script>'}")])
def test_the_page_stands_alone(toy, fake, grid):
    path = write_sweep_report(swept(toy, *grid))
    check_page(path.read_text())


def test_the_command_repeats_the_point(toy, fake):
    folder = swept(toy, "02.spec={a: 1},{b: it is}")
    sweep = read_sweep(folder.parents[1], "s")
    assert (
        say_again(sweep, "s-002")
        == """nbkit run params/toy.yaml --set shared.threads=1 --set '02_second.spec={"b": "it is"}'"""
    )
    assert say_again(sweep, "other") == ""


def test_a_sweep_without_a_table_says_what_to_do(toy, fake):
    sweep = read_sweep(swept(toy, "02.k=5,6").parents[1], "s")
    write_sweep(sweep, status="running")
    with pytest.raises(UnknownRun, match="nbkit sweep --resume s"):
        read_sweep_page(sweep.folder)
