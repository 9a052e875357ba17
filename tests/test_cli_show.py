"""nbkit params and report."""

import json
import os
import subprocess
import sys

import pytest

from nbkit.project import find_notebooks
from nbkit.stages.notebooks import read_stages
from tests.conftest import make_notebook
from tests.test_cli_run import fake, nbkit, toy  # noqa: F401 - fixtures


def test_params_shows_type_default_meaning_and_what_is_allowed(toy):  # noqa: F811
    done = nbkit("params", "01_first")
    assert done.exit_code == 0
    assert "01_first\n" in done.stdout
    assert "  x: int = 1\n      a number [at least 0 and at most 9]\n" in done.stdout
    assert "cell_timeout" in done.stdout
    assert "02_second" not in done.stdout


@pytest.mark.parametrize("name", ["01_first", "01", "first"])
def test_a_stage_is_named_by_number_or_word_too(toy, name):  # noqa: F811
    found = json.loads(nbkit("params", name, "--json").stdout)
    assert found == {
        "01_first": [
            {"name": "run_dir", "type": "str", "default": ".", "meaning": "folder", "allowed": ""},
            {"name": "x", "type": "int", "default": 1, "meaning": "a number", "allowed": "at least 0 and at most 9"},
        ]
    }


def test_all_parameters_of_the_eleven_notebooks_are_shown(project):
    stages = read_stages(find_notebooks(project))
    text = nbkit("params").stdout
    found = json.loads(nbkit("params", "--json").stdout)
    assert list(found) == list(stages)
    for name, stage in stages.items():
        assert f"{name}\n" in text
        assert [row["name"] for row in found[name]] == list(stage.parameters)
        for each in stage.parameters.values():
            assert f"  {each.name}: {each.annotation} = {each.default!r}\n      {each.meaning}" in text


def test_an_unknown_stage_is_refused_with_the_known_ones(toy):  # noqa: F811
    done = nbkit("params", "03_third")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no stage is called '03_third'" in done.stderr


@pytest.mark.parametrize("cell", ["x = compute()", "x: int = 1 + y", "x: int ="])
def test_a_broken_parameters_cell_is_told(toy, cell):  # noqa: F811
    make_notebook(toy / "notebooks" / "01_first.ipynb", parameters=cell)
    for command in (["params"], ["run", "params/toy.yaml"]):
        done = nbkit(*command)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "01_first" in done.stderr


def test_a_notebook_that_is_none_or_has_no_parameters_cell_is_told(toy):  # noqa: F811
    path = toy / "notebooks" / "01_first.ipynb"
    path.write_text(path.read_text().replace('"parameters"', '"other"'))
    done = nbkit("run", "params/toy.yaml")
    assert done.exit_code == 2
    assert "01_first.ipynb has 0 cells tagged `parameters`" in done.stderr
    path.write_text("{")
    done = nbkit("params")
    assert done.exit_code == 2
    assert "01_first.ipynb is not a notebook" in done.stderr


def test_the_report_is_written_again(toy, fake):  # noqa: F811
    nbkit("run", "params/toy.yaml", "--name", "one")
    nbkit("run", "params/toy.yaml", "--name", "two")
    page = toy / "runs" / "one" / "report" / "index.html"
    page.unlink()
    done = nbkit("report", "one")
    assert (done.exit_code, done.stdout) == (0, f"{page}\n")
    assert page.is_file()
    assert nbkit("report").stdout == f"{toy / 'runs' / 'two' / 'report' / 'index.html'}\n"
    assert nbkit("report", "runs/one").stdout == f"{page}\n"


def test_a_report_of_no_run_is_refused(toy, fake):  # noqa: F811
    done = nbkit("report")
    assert done.exit_code == 2
    assert "`nbkit run PARAMS` makes one" in done.stderr
    nbkit("run", "params/toy.yaml", "--name", "one")
    done = nbkit("report", "onee")
    assert done.exit_code == 2
    assert "did you mean 'one'?" in done.stderr


def test_a_parameter_is_shown_once():
    assert nbkit("params", "06_train").stdout.count("  threads: int") == 1
    assert nbkit("params", "07_evaluate").stdout.count("  threads: int") == 1


def test_a_terminal_or_a_log_without_arrows_ends_no_command():
    code = (
        "import click; from nbkit.cli import Commands; say = click.Command('say', callback=lambda: click.echo('a → b'))"
    )
    command = [sys.executable, "-c", f"{code}; Commands(commands=[say])(['say'])"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, check=True)
    assert done.stdout == b"a ? b\n"
