import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import make_notebook
from kernel_helpers import make_temporary, wait_until

from nbkit.cli import main
from nbkit.cli.warm import warm
from nbkit.kernels import folders

ROOT = Path(__file__).parents[1]
INSTALLED = bool(entry_points(group="jupyter_client.kernel_provisioners", name="nbkit"))


@pytest.fixture
def temporary(project, monkeypatch):
    folder = make_temporary()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    make_notebook(project / "notebooks" / "01_first.ipynb", "import numpy")
    yield folder
    CliRunner().invoke(warm, ["--stop"])
    assert wait_until(lambda: not any(folder.glob("nbkit-*")))
    folder.rmdir()


def call(*words):
    found = CliRunner().invoke(main, ["warm", *words])
    assert found.exit_code == 0, found.output
    return found.output


def test_nothing_is_up_and_nothing_is_left_by_asking(temporary):
    assert "no fork server is up" in call("--status")
    assert "0 fork servers" in call("--stop")
    assert not folders.find_home().exists()


def test_where_kernels_cannot_be_forked_it_says_so(temporary, monkeypatch):
    monkeypatch.setenv("NBKIT_WARM", "0")
    found = CliRunner().invoke(main, ["warm"])
    assert found.exit_code == 2
    assert "they start the ordinary way" in found.output


@pytest.mark.slow
def test_a_server_stays_is_found_again_and_is_told_to_end(temporary):
    first, second = call("--idle", "2"), call("--idle", "2")
    assert "ends after 2 min" in first
    assert first.split()[2] == second.split()[2] == call("--status").split()[2]
    assert "1 fork server told to end" in call("--stop")
    assert "no fork server is up" in call("--status")


@pytest.mark.slow
def test_a_server_ends_by_itself_when_nobody_needed_it_for_its_time(temporary):
    call("--idle", "0.02")
    assert wait_until(lambda: not folders.find_home().exists())


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="needs nbkit installed with its entry points")
def test_plain_papermill_gets_forked_kernels_by_the_name_of_the_kernel(temporary, project):
    kernels = project / "jupyter" / "kernels" / "nbkit"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text((ROOT / "kernelspec" / "kernel.json").read_text())
    make_notebook(project / "plain.ipynb", "import sys\nprint('numpy' in sys.modules)\nimport numpy")
    command = [sys.executable, "-m", "papermill", "-k", "nbkit", "--no-progress-bar", "plain.ipynb", "out.ipynb"]
    settings = {**os.environ, "JUPYTER_PATH": str(project / "jupyter")}
    subprocess.run(command, cwd=project, env=settings, check=True, capture_output=True)
    assert json.loads((project / "out.ipynb").read_text())["cells"][-1]["outputs"][0]["text"] == ["True\n"]
