import json

import pytest

from nbkit.errors import BadNotebook
from nbkit.stages.notebooks import read_stages
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


def test_other_notebooks_are_no_stages(project):
    make_notebook(project / "notebooks" / "scratch.ipynb")
    assert list(read(project, n01_a=["1"])) == ["01_a"]


@pytest.mark.parametrize("cell", ["x = '\0'", "(" * 500, "-" * 20_000 + "1", "x = '\ud800'"])
def test_a_cell_that_python_cannot_even_read_is_named(project, cell):
    with pytest.raises(BadNotebook, match="a cell does not parse"):
        read(project, n01_a=[cell])


@pytest.mark.parametrize("content", ["", "{}", '{"cells": []}', "\ud83d".encode("utf-8", "surrogatepass")])
def test_what_is_no_stage_is_refused(project, content):
    path = project / "notebooks" / "01_a.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadNotebook, match="01_a"):
        read_stages(project / "notebooks")


@pytest.mark.parametrize(
    "change",
    [{"metadata": None}, {"metadata": {"nbkit": "x"}}, {"cells": 3}, {"cells": [{"cell_type": "code"}]},
     {"cells": [{"cell_type": "code", "source": [], "metadata": []}]}],
)  # fmt: skip
def test_a_notebook_of_another_shape_is_refused(project, change):
    path = make_notebook(project / "notebooks" / "01_a.ipynb")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadNotebook, match=r"01_a\.ipynb is not a notebook"):
        read_stages(project / "notebooks")


def test_no_notebooks_say_how_to_get_some(project):
    with pytest.raises(BadNotebook, match="nbkit new"):
        read_stages(project / "notebooks")


def test_a_cell_that_does_not_parse_is_named(project):
    with pytest.raises(BadNotebook, match="does not parse"):
        read(project, n01_a=["def ("])
