"""Sweeps in real processes: a failing point, a killed worker, Ctrl-C, and kill -9 of the sweep itself."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from nbkit.pipeline.manifest import is_held
from nbkit.project import read_manifest
from tests.sweep_helpers import (
    find_workers,
    finish,
    is_at_work,
    lay_toy,
    read_rows,
    read_statuses,
    start,
    sweep,
    wait_until,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(project):
    return lay_toy(project)


def test_a_sweep_with_a_failing_point_and_its_resume(project, toy):
    code, said = sweep(project, "params/toy.yaml", "--grid", "02.k=1,3,5", "--name", "s", "--workers", "2")
    assert code == 1
    assert read_statuses(project) == {1: "passed", 2: "failed", 3: "passed"}
    assert "s-003 is best of 3 points: mae 2" in said
    assert "three is one too many" in said
    assert (project / "runs" / "s" / "report" / "index.html").is_file()
    stages = read_manifest(project / "runs" / "s-003")["stages"]
    assert [entry.get("borrowed") for entry in stages] == ["s-shared", None]

    notebook = project / "notebooks" / "02_second.ipynb"
    notebook.write_text(notebook.read_text().replace("assert k != 3", "assert k != 9"))
    code, said = finish(start(project, "--resume", "s"))
    assert code == 0, said
    assert "1/3" in said  # the notebook changed, so all points run again
    assert set(read_statuses(project).values()) == {"passed"}


def test_a_killed_worker_fails_only_its_point_and_only_if_it_is_killed_again(project, toy):
    process = start(
        project, "params/toy.yaml", "--grid", "02.k=5,6", "--set", "02.nap=4", "--name", "s", "--workers", "2"
    )
    wait_until(lambda: is_at_work(project, "s-001"), process)
    (worker,) = find_workers(project, "s-001")
    worker.kill()
    wait_until(lambda: any(each.pid != worker.pid for each in find_workers(project, "s-001")), process)
    code, said = finish(process)
    assert code == 0, said
    assert set(read_statuses(project).values()) == {"passed"}


@pytest.mark.parametrize(("signal_", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_the_points_and_writes_the_table(project, toy, signal_, exit_code):
    process = start(
        project, "params/toy.yaml", "--grid", "02.k=1,5,6", "--set", "02.nap=3", "--name", "s", "--workers", "1"
    )
    wait_until(lambda: is_at_work(project, "s-002"), process)
    os.killpg(process.pid, signal_)
    code, said = finish(process)
    assert code == exit_code, said
    assert read_statuses(project) == {
        1: "passed", 2: "interrupted", 3: "pending"
    }  # fmt: skip
    assert "nbkit sweep --resume s" in said
    assert not find_workers(project, "s-002")
    code, said = sweep(project, "--resume", "s")
    assert code == 0, said
    assert "1 point passed before" in said


def test_a_sweep_that_was_killed_leaves_nothing_behind_and_goes_on(project, toy):
    process = start(
        project, "params/toy.yaml", "--grid", "02.k=1,5,6", "--set", "02.nap=3", "--name", "s", "--workers", "2"
    )
    wait_until(lambda: is_at_work(project, "s-003"), process)
    process.kill()
    process.communicate(timeout=60)
    code, said = sweep(project, "--resume", "s", "--workers", "2")  # at once: it waits for the runs to be let go
    assert code == 0, said
    assert set(read_statuses(project).values()) == {"passed"}
    assert not find_workers(project, "s-0")
    assert not is_held(project / "runs" / "s-003")


def test_two_sweeps_at_once_do_not_clash(project, toy):
    both = [start(project, "params/toy.yaml", "--grid", "02.k=5,6", "--workers", "1") for _ in range(2)]
    assert [finish(process)[0] for process in both] == [0, 0]
    names = sorted(path.parent.name for path in (project / "runs").glob("*/sweep.json"))
    assert len(names) == 2
    for name in names:
        assert set(read_statuses(project, name).values()) == {"passed"}
        assert {row["value"] for row in read_rows(project, name).values()} == {2.0, 3.0}


def test_json_goes_alone_to_stdout_and_no_process_is_left(project, toy):
    before = set(psutil.pids())
    process = subprocess.run(
        [sys.executable, "-m", "nbkit", "sweep", "params/toy.yaml", "--grid", "02.k=5", "--json"],
        cwd=project, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(process.stdout)["best"].endswith("-001")
    assert "1/1" in process.stderr
    time.sleep(1)  # processes that are being ended
    assert find_workers(project, "-001") == []
    own = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    alive = psutil.wait_procs(own, timeout=5)[1]
    kernels = [each.cmdline() for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    assert kernels == []
