"""nbkit sweep without a kernel: what is printed, what is refused, what the exit code says."""

import json

import pytest
from click.testing import CliRunner

import nbkit.cli.sweep
import nbkit.sweep.executors
from nbkit.cli import main
from nbkit.project import read_manifest
from tests.sweep_helpers import fake, run_inline, toy

__all__ = ["fake", "toy"]


def nbkit_says(*words):
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert "Traceback" not in done.output
    return done


@pytest.fixture
def inline(fake, monkeypatch):
    monkeypatch.setattr(nbkit.sweep.executors, "run_local", lambda tasks, on_step, workers: run_inline(tasks, on_step))
    return fake


def test_a_line_a_point_then_the_table_and_the_claim(toy, inline):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6,3", "--name", "s")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[0] == "toy → runs/s: 3 points"
    assert lines[1].split() == ["✓", "shared", "2.0", "s", "s-shared,", "up", "to", "01_first"]
    assert "k=5: mae 2" in lines[2]
    assert "k=6: mae 3 (best so far 2)" in lines[3]
    assert "k=3: three is one too many" in lines[4]
    assert "s-001 is best of 3 points" in done.output
    assert "nbkit sweep --resume s" in done.output
    assert (
        "nbkit run params/toy.yaml --set shared.threads=1 --set 02_second.k=5    # every stage, as in s-001"
        in done.output
    )
    assert "report: runs/s/report/index.html" in done.output
    assert "<h1>3 points of toy</h1>" in (toy.parents[1] / "runs/s/report/index.html").read_text()


@pytest.mark.parametrize("words", [("sweep", "--resume", "s"), ("resume", "s")])
def test_resume_runs_what_has_not_passed(toy, inline, words):
    nbkit_says("sweep", toy, "--grid", "02.k=5,6,3", "--name", "s")
    del inline[:]
    done = nbkit_says(*words)
    assert done.exit_code == 1
    assert inline == [("s-003", "02_second")]
    assert "2 points passed before" in done.output


def test_random_points_can_be_drawn_again(toy, inline):
    words = (
        "sweep",
        toy,
        "--grid",
        "02.k=0..9",
        "--grid",
        "02.nap=log(0.01..1.0)",
        "--random",
        4,
        "--dry-run",
        "--json",
    )
    first, second, other = nbkit_says(*words), nbkit_says(*words), nbkit_says(*words, "--seed", 1)
    assert json.loads(first.output) == json.loads(second.output) != json.loads(other.output)
    assert len(json.loads(first.output)) == 4
    assert inline == []


def test_a_dry_run_lists_the_points(toy, inline):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--dry-run")
    assert done.output.startswith("2 points: up to 01_first once for all, then 02_second for each\n")
    assert not (toy.parents[1] / "runs").exists()


def test_a_sweep_without_a_name_is_called_by_its_time(toy, inline):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6")
    (folder,) = (path.parent for path in (toy.parents[1] / "runs").glob("toy-sweep-*/sweep.json"))
    assert f"report: runs/{folder.name}/report/index.html" in done.output
    assert f"--set 02_second.k=5    # every stage, as in {folder.name}-001" in done.output


def test_a_sweep_goes_on_when_nobody_listens(toy, inline, monkeypatch):
    monkeypatch.setattr(nbkit.cli.sweep.SweepProgress, "_on_points_start", closed)
    assert nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s").exit_code == 0
    assert (toy.parents[1] / "runs" / "s" / "report" / "index.html").is_file()


def closed(*_, **__):
    raise BrokenPipeError


def test_json_goes_alone_to_stdout(toy, inline):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s", "--json")
    found = json.loads(done.stdout)
    assert (found["sweep"], found["status"], found["best"], found["alike"]) == ("s", "passed", "s-001", ["s-002"])
    assert "s-001 is best" in done.stderr


def test_the_threads_of_a_point_are_part_of_its_run(toy, inline):
    notebook = toy.parents[1] / "notebooks" / "02_second.ipynb"
    notebook.write_text(notebook.read_text().replace("spec: dict", "threads: int = 2  # of OpenMP\\nspec: dict"))
    nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s", "--threads", 3)
    assert read_manifest(toy.parents[1] / "runs" / "s-001")["parameters"]["02_second"]["threads"] == 3
    nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "t", "--cluster", "")
    assert read_manifest(toy.parents[1] / "runs" / "t-001")["parameters"]["02_second"]["threads"] >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what varies"),
        (("params/toy.yaml",), "say what varies"),
        (("params/toy.yaml", "--resume", "s"), "give no PARAMS"),
        (("--resume", "s"), "no sweep is called 's'"),
        (("params/toy.yaml", "--grid", "02.k=1..9"), "say with --random N"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--workers", "-1"), "--workers -1"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--threads", "-1"), "--threads -1"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--random", "-1"), "--random -1"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--cluster", "here"), "write local, tcp://"),
        (("params/gone.yaml", "--grid", "02.k=1,2"), "there is no params file"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--metric", "mae", "--grid", "02.k=3,4"), "given twice"),
    ],
)
def test_what_cannot_work_exits_with_2_and_one_line(toy, inline, words, said):
    done = nbkit_says("sweep", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (toy.parents[1] / "runs").exists()


def test_the_report_can_be_written_again(toy, inline):
    nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s")
    page = toy.parents[1] / "runs" / "s" / "report" / "index.html"
    before = page.read_text()
    page.unlink()
    assert nbkit_says("report", "s").output.strip().endswith("runs/s/report/index.html")
    assert page.read_text() == before
