"""nbkit new, run and monitor, with nothing but the installed wheel, in an empty folder."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from table_helpers import write_customers, write_houses

from nbkit.scraps import read_value

HOME = Path(__file__).parents[1]
QUICK = (
    "06_train.candidates=[linear]",
    "06_train.trials=0",
    "06_train.curve=[0.5, 1.0]",
    "07_evaluate.draws=100",
    "08_explain.repeats=1",
    "10_deploy.requests=20",
)
SETTINGS = [word for setting in QUICK for word in ("--set", setting)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A virtual environment that has nbkit from its wheel, and sees the packages of this one."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, HOME]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    wheel = next(folder.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True, capture_output=True)
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return python


def call(python, folder, *words):
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [python.with_name("nbkit"), *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_an_empty_folder_with_nothing_but_the_wheel(installed, tmp_path):
    write_customers(tmp_path / "d.csv", 600)
    code, said = call(installed, tmp_path, "new", "churn", "--data", "d.csv", "--target", "churned")
    assert code == 0, said
    first = tmp_path / "notebooks" / "01_frame.ipynb"  # it is the project's own now
    notebook = json.loads(first.read_text())
    last = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    last["source"] = ['import sys\nrun.save("places", [sys.executable, nbkit.__file__])\n', *last["source"]]
    first.write_text(json.dumps(notebook))
    code, said = call(installed, tmp_path, "run", "params/churn.yaml", "--name", "one", *SETTINGS)
    assert code == 0, said
    interpreter, package = read_value(tmp_path / "runs" / "one", "01_frame", "places")
    assert Path(interpreter) == installed
    assert Path(package).is_relative_to(installed.parents[1])
    manifest = json.loads((tmp_path / "runs" / "one" / "run.json").read_text())
    assert [stage["status"] for stage in manifest["stages"]] == ["passed"] * 10
    assert (tmp_path / "runs" / "one" / "report" / "index.html").is_file()
    own = subprocess.run([installed, "-m", "pytest", "-q", "tests"], cwd=tmp_path, capture_output=True, text=True)
    assert "4 passed" in own.stdout, own.stdout
    code, said = call(installed, tmp_path, "monitor", "params/churn.yaml", "--list")
    assert (code, len(said.split()) >= 2) == (0, True), said
    code, said = call(installed, tmp_path, "monitor", "params/churn.yaml", "--window", said.split()[0])
    assert code in (0, 3), said
    assert "churn@1 on" in said


@pytest.mark.slow
def test_a_spreadsheet_of_numbers(installed, tmp_path):
    write_houses(tmp_path / "d.csv")
    code, said = call(installed, tmp_path, "new", "p", "--data", "d.csv", "--target", "Preis")
    assert code == 0, said
    code, said = call(installed, tmp_path, "run", "params/p.yaml", "--until", "06_train", *SETTINGS)
    assert code == 0, said
    assert "Linear is the only candidate" in said
