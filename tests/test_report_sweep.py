"""The page of a sweep: what it says for one best point, for many alike, for none, and that it stands alone."""

import json

import pytest

from nbkit.report.sweep import render_sweep, write_command, write_sweep_report
from nbkit.sweep import execute_sweep
from tests.page_checks import check_page
from tests.sweep_helpers import execute, fake, plan, toy

__all__ = ["fake", "toy"]


def swept(project, *grid):
    execute(plan(project, *grid, settings=("02.nap=0",)))
    return project / "runs" / "s"


def test_the_page_tells_every_point_and_the_command_that_goes_on(project, toy, fake):
    folder = swept(project, "02.k=5,6,1,3")
    page = folder.parent / "s-001" / "report"
    page.mkdir()
    (page / "index.html").touch()
    html = render_sweep(folder)
    assert "<h1>Sweep of toy: 4 settings compared</h1>" in html
    assert html.count("✓ passed") == 3
    assert "<li>Point 4: three is one too many</li>" in html
    assert '<a href="../../s-001/report/index.html">s-001</a>' in html
    assert "s-002/report" not in html
    assert html.index("1: 02.k = 5") < html.index("2: 02.k = 6") < html.index("3: 02.k = 1")
    assert "were not compared on the same rows" in html
    assert "nbkit run params/toy.yaml --set 02.nap=0 --set 02.k=5" in html


@pytest.mark.parametrize(
    ("alike", "optimism", "status", "words"),
    [
        (["s-002"], 0.1, "passed", "■ 2 of 2 points cannot be told apart"),
        ([], 0.1, "passed", "✓ s-001 has the best score"),
        ([], None, "passed", "■ s-001 has the best score"),
        ([], 0.1, "interrupted", "■ Not every point has ended"),
    ],
)
def test_the_headline_is_as_sure_as_the_comparison(project, toy, fake, alike, optimism, status, words):
    folder = swept(project, "02.k=5,6")
    found = json.loads((folder / "sweep.json").read_text())
    found |= {"alike": alike, "optimism": optimism, "status": status}
    (folder / "sweep.json").write_text(json.dumps(found))
    assert words in render_sweep(folder)


def test_no_point_at_all(project, toy, fake):
    html = render_sweep(swept(project, "02.k=3", "02.nap=1,2"))
    assert "✕ No point has a score" in html
    assert "<svg" not in html


def test_a_sweep_that_was_killed_has_a_page(project, toy, fake):
    class Killed:
        def submit(self, sweep, number):
            raise SystemError

    with pytest.raises(SystemError):
        execute_sweep(plan(project, "02.k=5,6"), Killed())
    html = render_sweep(project / "runs" / "s")
    assert "■ Not every point has ended" in html
    assert "the same command goes on with it" in html


@pytest.mark.parametrize("grid", [("02.k=5,6,3",), ("02.k=3",), ("02.k=5", "02.spec={a: <b>},{a: '</script>'}")])
def test_the_page_stands_alone(project, toy, fake, grid):
    check_page(write_sweep_report(swept(project, *grid)).read_text())


def test_the_command_repeats_the_point(project, toy, fake):
    folder = swept(project, "02.k=6,5", "02.spec={b: it is}")
    again = """nbkit run params/toy.yaml --set 02.nap=0 --set 02.k=5 --set '02.spec={"b": "it is"}'"""
    assert write_command(folder) == again
