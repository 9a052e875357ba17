import pytest

from nbkit.errors import BadNotebook
from nbkit.pipeline.notebooks import check_graph, read_stages
from tests.conftest import make_notebook


def read(project, **cells):
    for name, source in cells.items():
        make_notebook(project / "notebooks" / f"{name.lstrip('n')}.ipynb", *source)
    return read_stages(project / "notebooks")


def test_loads_and_saves_are_read_from_the_cells(project):
    stages = read(
        project,
        n01_a=["run.save('x', 1)", "run.save('y', 2)\nrun.save('x', 3)"],
        n02_b=["%matplotlib inline\nx, y = run.load('01_a', 'x'), run.load('01_a', 'y')"],
    )
    assert stages["01_a"].saves == ("x", "y")
    assert stages["02_b"].loads == (("01_a", "x"), ("01_a", "y"))
    assert stages["02_b"].question == "A question?"
    check_graph(stages)


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ("run.load('01_a', 'z')", "02_b loads 'z' from 01_a, which saves x"),
        ("run.load('01_c', 'x')", "02_b loads from 01_c, and there is no such notebook"),
        ("run.load('02_b', 'x')", "which comes after it"),
    ],
)
def test_a_load_that_nobody_saves_is_refused(project, load, words):
    stages = read(project, n01_a=["run.save('x', 1)"], n02_b=[load])
    with pytest.raises(BadNotebook, match=words):
        check_graph(stages)


def test_names_made_when_it_runs_are_let_through(project):
    stages = read(project, n01_a=["run.save(f'window_{n}', 1)"], n02_b=["run.load('01_a', 'window_1')"])
    check_graph(stages)


def test_other_notebooks_are_no_stages(project):
    make_notebook(project / "notebooks" / "scratch.ipynb")
    assert list(read(project, n01_a=["1"])) == ["01_a"]


@pytest.mark.parametrize("content", ["", "{}", '{"cells": []}', "\ud83d".encode("utf-8", "surrogatepass")])
def test_what_is_no_stage_is_refused(project, content):
    path = project / "notebooks" / "01_a.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadNotebook, match="01_a"):
        read_stages(project / "notebooks")


def test_no_notebooks_say_how_to_get_some(project):
    with pytest.raises(BadNotebook, match="nbkit new"):
        read_stages(project / "notebooks")


def test_a_cell_that_does_not_parse_is_named(project):
    with pytest.raises(BadNotebook, match="does not parse"):
        read(project, n01_a=["def ("])
