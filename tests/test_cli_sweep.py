"""nbkit sweep without a kernel: what is printed, what is refused, what the exit code says."""

import json

import pytest
from click.testing import CliRunner

from nbkit.cli import main
from tests.sweep_helpers import fake, toy

__all__ = ["fake", "toy"]


def nbkit_says(*words):
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert "Traceback" not in done.output
    return done


def test_a_line_a_point_then_the_table_and_the_claim(project, toy, fake):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6,3", "--name", "s", "--workers", 1, "--threads", 7)
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[0] == "toy: 3 points up to 02_second"
    assert [line.split(maxsplit=4)[-1] for line in lines[1:4]] == [
        "k=5: mae 2",
        "k=6: mae 3",
        "k=3: three is one too many",
    ]
    assert lines[5].split() == ["1", "5", "2.0", "0.5", "3.5", "passed", "1.0", "s-001"]
    assert "s-001 is best of 3 points" in done.output
    assert "the same command runs what has not passed" in done.output
    again = "nbkit run params/toy.yaml --set shared.threads=7 --set 02.k=5    # every stage, as in s-001"
    assert again in done.output
    assert "report: runs/s/report/index.html" in done.output
    assert "<h1>Sweep of toy: 3 settings compared</h1>" in (project / "runs/s/report/index.html").read_text()


def test_the_same_command_goes_on(project, toy, fake):
    for begun in (["s-001", "s-002"], []):
        assert nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s").exit_code == 0
        assert sorted(fake) == begun
        del fake[:]


def test_random_points_can_be_drawn_again(project, toy, fake):
    words = [
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
    ]
    first, second, other = nbkit_says(*words), nbkit_says(*words), nbkit_says(*words, "--seed", 1)
    assert json.loads(first.output) == json.loads(second.output) != json.loads(other.output)
    assert len(json.loads(first.output)) == 4
    assert fake == []


def test_a_dry_run_lists_the_points(project, toy, fake):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--dry-run")
    assert [line.split() for line in done.output.splitlines()] == [["point", "02.k"], ["1", "5"], ["2", "6"]]
    assert not (project / "runs").exists()


def test_a_sweep_without_a_name_is_called_by_its_time(project, toy, fake):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6")
    (folder,) = (path.parent for path in (project / "runs").glob("toy-sweep-*/sweep.json"))
    assert f"report: runs/{folder.name}/report/index.html" in done.output
    assert f"# every stage, as in {folder.name}-001" in done.output


def test_a_sweep_goes_on_when_nobody_listens(project, toy, fake, monkeypatch):
    monkeypatch.setattr("click.secho", closed)
    monkeypatch.setattr("nbkit.cli.sweep.print_table", closed)
    assert nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s").exit_code == 0
    assert (project / "runs" / "s" / "report" / "index.html").is_file()


def closed(*_, **__):
    raise BrokenPipeError


def test_json_goes_alone_to_stdout(project, toy, fake):
    done = nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s", "--json")
    found = json.loads(done.stdout)
    assert (found["sweep"], found["status"], found["best"]) == ("s", "passed", "s-001")
    assert "s-001 is best" in done.stderr


def test_the_threads_of_a_point_are_part_of_its_run(project, toy, fake):
    nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s", "--threads", 3)
    assert json.loads((project / "runs/s/sweep.json").read_text())["settings"] == ["shared.threads=3"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("params/toy.yaml",), "say what varies"),
        (("params/toy.yaml", "--grid", "02.k=1..9"), "say with --random N"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--random", "-1"), "--random -1"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--cluster", "here"), "write local or tcp://"),
        (("params/gone.yaml", "--grid", "02.k=1,2"), "there is no params file"),
        (("params/toy.yaml", "--grid", "02.k=1,2", "--metric", "mae", "--grid", "02.k=3,4"), "given twice"),
    ],
)
def test_what_cannot_work_exits_with_2_and_one_line(project, toy, fake, words, said):
    done = nbkit_says("sweep", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (project / "runs").exists()


@pytest.mark.parametrize("option", ["--workers", "--threads"])
def test_fewer_than_one_is_refused(project, toy, fake, option):
    done = nbkit_says("sweep", toy, "--grid", "02.k=1,2", option, "-1")
    assert done.exit_code == 2
    assert option in done.stderr


def test_the_report_can_be_written_again(project, toy, fake):
    nbkit_says("sweep", toy, "--grid", "02.k=5,6", "--name", "s")
    page = project / "runs" / "s" / "report" / "index.html"
    before = page.read_text()
    page.unlink()
    assert nbkit_says("report", "s").output.strip().endswith("runs/s/report/index.html")
    assert page.read_text() == before
