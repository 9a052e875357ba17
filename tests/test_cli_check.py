import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nbkit.cli import main
from tests.conftest import make_notebook
from tests.test_house import HEAVY, ROOT


@pytest.fixture
def laid(project):
    make_notebook(project / "notebooks" / "01_a.ipynb", "run.save('x', 1)")
    make_notebook(project / "notebooks" / "02_b.ipynb", "run.load('01_a', 'x')")
    (project / "params" / "toy.yaml").write_text("shared: {retries: 1}")
    return project


def call(*words):
    done = CliRunner().invoke(main, list(words))
    return done.exit_code, done.output


def test_a_line_a_stage_and_a_verdict(laid):
    code, said = call("check", "params/toy.yaml")
    assert code == 0
    assert [line.rstrip() for line in said.splitlines()] == [
        "01_a           loads nothing; saves 1",
        "02_b           loads 1 from 01_a; saves 0",
        "",
        "What a stage has to hand over for others to work:",
        "stage  hands over  to",
        "01_a   x           02",
        "0 errors, 0 hints; a run with params/toy.yaml could start",
    ]


def test_what_cannot_work_exits_with_2_and_says_where(laid):
    make_notebook(laid / "notebooks" / "03_c.ipynb", "other = run", "run.load('01_a', 'xx')")
    code, said = call("check", "--set", "01_a.speed=1")
    assert code == 2
    assert "✕ error: 03_c, code cell 3, loads 'xx' from 01_a, which saves no such value; did you mean 'x'?" in said
    assert "■ hint: 03_c, code cell 2, hands its run on" in said
    assert "✕ error: params do not fit: --set 01_a.speed" in said
    assert said.splitlines()[-1] == "2 errors, 1 hint"
    code, said = call("check", "--json")
    assert code == 2
    assert [each["level"] for each in json.loads(said)["problems"]] == ["hint", "error"]
    assert call("run", "params/toy.yaml")[0] == 2


@pytest.mark.parametrize("words", [["check"], ["check", "--json"]])
def test_reading_notebooks_loads_nothing_heavy(words):
    code = f"import sys; from nbkit.cli import main; main({words}, standalone_mode=False)"
    listing = f"try:\n    {code}\nexcept SystemExit: pass\nprint('\\n' + ' '.join(sys.modules))"
    said = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert {name.split(".")[0] for name in said.splitlines()[-1].split()}.isdisjoint(HEAVY)
