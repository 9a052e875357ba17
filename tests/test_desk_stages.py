"""Stages at the desk in real kernels: what is stale is run, and the desk is held against a fresh kernel."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import make_notebook

from nbkit.cli import main
from nbkit.desk.stages import _differ, find_stage, list_desk, refresh, verify
from nbkit.errors import UnknownStage
from nbkit.run import Run
from nbkit.scraps import read_value

HEAD = "import nbkit\nrun = nbkit.Run(run_dir, globals())"
TABLE = "import pandas as pd\ntable = pd.DataFrame({'a': [x, 2.5]})"


@pytest.fixture
def desk(project):
    folder = project / "notebooks"
    given = 'run_dir: str = "."  # folder\nx: int = 1  # number'
    make_notebook(folder / "01_a.ipynb", HEAD, TABLE, "run.save(table=table, x=x)", parameters=given)
    make_notebook(folder / "02_b.ipynb", HEAD, 'x = run.load("01_a", "x")', "z = x + 1", "run.save(z=z)")
    make_notebook(folder / "03_c.ipynb", HEAD, "run.save(y=5)")
    return project


def edit(project, stage, old, new):
    path = project / "notebooks" / f"{stage}.ipynb"
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"]).replace(old, new)
    path.write_text(json.dumps(content))


@pytest.mark.slow
def test_only_what_is_stale_is_run_and_where_it_lies(desk):
    assert [record.stage for record in refresh(desk, "02_b")] == ["01_a", "02_b"]
    assert list(refresh(desk, "02_b")) == []
    assert [row["stale"] for row in list_desk(desk)] == ["", "", "it has not run"]
    folder = desk / "notebooks"
    content = json.loads((folder / "02_b.ipynb").read_text())
    assert "papermill" not in content["metadata"]  # it is still a source, and no executed copy
    assert all("papermill" not in cell["metadata"] for cell in content["cells"])
    assert read_value(folder, "02_b", "z") == 2
    edit(desk, "01_a", "x: int = 1", "x: int = 4")
    assert [record.why for record in refresh(desk, "02_b")] == [
        "code cell 1 was changed and has not run since",
        "01_a hands over another x now",
    ]
    assert read_value(folder, "02_b", "z") == 5
    edit(desk, "02_b", "z = x + 1", "z = 1 + x")
    assert [record.stage for record in refresh(desk, "02_b")] == ["02_b"]


@pytest.mark.slow
def test_a_cell_that_fails_ends_it_and_is_named(desk):
    edit(desk, "02_b", "z = x + 1", "z = x / 0")
    said = CliRunner().invoke(main, ["refresh", "02"])
    assert said.exit_code == 1
    assert "code cell 4: ZeroDivisionError" in said.output
    assert "open notebooks/02_b.ipynb, mend that cell" in said.output


@pytest.mark.slow
def test_the_desk_is_held_against_a_fresh_kernel(desk):
    list(refresh(desk, "02_b"))
    before = sorted(path.name for path in desk.iterdir())
    assert verify(desk, "01_a") == verify(desk, "02_b") == []
    assert sorted(path.name for path in desk.iterdir()) == before
    path = desk / "notebooks" / "02_b.ipynb"
    content = path.read_text()
    path.write_text(content.replace('"data": 2,', '"data": 3,'))
    assert path.read_text() != content
    assert {"what": "value", "where": "z", "message": "3 at the desk, 2 in a fresh kernel"} in verify(desk, "02_b")
    path.write_text(content)
    edit(desk, "02_b", "z = x + 1", "z = x + forgotten")
    found = verify(desk, "02_b")
    assert found[0]["message"] == "code cell 4 needs forgotten, which no cell above it makes"
    assert found[-1]["what"] == "error"
    assert "NameError" in found[-1]["message"]
    assert CliRunner().invoke(main, ["verify", "02"]).exit_code == 3


@pytest.mark.slow
def test_numbers_may_differ_by_rounding_and_tables_are_compared(desk):
    list(refresh(desk, "01_a"))
    edit(desk, "01_a", "2.5", "2.5 + 1e-12")
    assert [row["what"] for row in verify(desk, "01_a")] == ["hidden state"]
    edit(desk, "01_a", "2.5 + 1e-12", "2.6")
    assert [row["what"] for row in verify(desk, "01_a")] == ["hidden state", "table"]


@pytest.mark.parametrize(
    ("columns", "rows", "told"),
    [
        ("ac", 2, "only at the desk: b; only in a fresh kernel: c"),
        ("ab", 3, "2 rows at the desk, 3 rows in a fresh kernel"),
        ("a", 1, "only at the desk: b; 2 rows at the desk, 1 row in a fresh kernel"),
        ("abcdefghi", 2, "only in a fresh kernel: c, d, e, f, g and 2 more"),
    ],
)
def test_a_table_of_other_columns_or_rows_is_told_with_what_is_other(columns, rows, told):
    desk, batch = (pd.DataFrame({name: range(many) for name in names}) for names, many in (("ab", 2), (columns, rows)))
    assert [row["message"] for row in _differ("table", desk, batch)] == [told]
    assert [row["what"] for row in _differ("series", desk["a"], desk["a"].head(1))] == ["table"]


def test_a_stage_that_has_not_run_cannot_be_compared(desk):
    with pytest.raises(UnknownStage, match="02_b has not run at the desk"):
        verify(desk, "02_b")
    assert "nothing to compare" in CliRunner().invoke(main, ["verify"]).output


def test_a_stage_is_found_by_any_part_of_its_name(desk):
    assert [find_stage(desk, name) for name in ("02", "b", "02_b")] == ["02_b"] * 3
    with pytest.raises(UnknownStage, match="did you mean '02_b'"):
        find_stage(desk, "02_bb")


def test_what_is_stale_is_listed(desk):
    said = CliRunner().invoke(main, ["refresh"])
    assert said.exit_code == 0
    assert said.output.count("it has not run") == 3


def test_a_page_of_the_desk_is_not_listed_refreshed_or_verified(desk):
    make_notebook(desk / "notebooks" / "00_desk.ipynb", "1", nbkit={"cadence": "desk"})
    assert [row["stage"] for row in list_desk(desk)] == ["01_a", "02_b", "03_c"]
    for command in ("refresh", "verify"):
        said = CliRunner().invoke(main, [command, "desk"])
        assert (said.exit_code, said.stderr) == (
            2, "nbkit: 00_desk is a page of the desk and no stage: Run All in it brings it up to date\n"
        )  # fmt: skip


def test_a_page_that_plain_papermill_executed_leaves_the_desk_a_desk(desk):
    folder = desk / "notebooks"
    make_notebook(folder / "00_desk.ipynb", "1", nbkit={"cadence": "desk"}, papermill={})
    assert Run(folder).at_desk
    make_notebook(folder / "00_desk.ipynb", "1", papermill={})
    assert not Run(folder).at_desk
