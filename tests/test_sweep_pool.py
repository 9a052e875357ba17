"""Sweeps in real processes: a failing point, a killed worker, Ctrl-C, and kill -9 of the sweep itself."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from nbkit.pipeline.runs import is_held
from nbkit.record import read_record
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


def test_what_points_share_is_computed_once_and_the_same_command_goes_on(project, toy):
    words = ["params/toy.yaml", "--grid", "02.k=1,3,5", "--name", "s", "--workers", "2"]
    code, said = sweep(project, *words)
    assert code == 1
    assert read_statuses(project) == {1: "passed", 2: "failed", 3: "passed"}
    assert "s-003 is best of 3 points: mae 2" in said
    assert "three is one too many" in said
    assert (project / "runs" / "s" / "report" / "index.html").is_file()
    assert (project / "runs" / "s-001" / "report" / "index.html").is_file()
    first = [read_record(project / "runs" / f"s-00{number}").stages[0] for number in (1, 2, 3)]
    assert len([entry for entry in first if not entry.borrowed]) == 1

    code, said = sweep(project, *words)
    assert code == 1
    assert {number: row["run"] for number, row in read_rows(project).items()} == {1: "s-001", 2: "s-002.2", 3: "s-003"}

    (project / "params" / "toy.yaml").write_text("shared: {x: 3}\n")  # nothing of what passed holds
    assert sweep(project, *words)[0] == 1
    assert {row["run"] for row in read_rows(project).values()} == {"s-001.2", "s-002.3", "s-003.2"}


def test_a_killed_worker_fails_its_point_alone(project, toy):
    words = ["--grid", "02.k=5,6", "--set", "02.nap=4", "--name", "s", "--workers", "2"]
    process = start(project, "params/toy.yaml", *words)
    wait_until(lambda: is_at_work(project, "s-001"), process)
    (worker,) = find_workers(project, "s-001")
    worker.kill()
    code, said = finish(process)
    assert code == 1, said
    assert read_statuses(project) == {1: "failed", 2: "passed"}
    assert "its process was killed (SIGKILL)" in said


@pytest.mark.parametrize(("signal_", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_the_points_and_writes_the_table(project, toy, signal_, exit_code):
    words = ["params/toy.yaml", "--grid", "02.k=1,5,6", "--set", "02.nap=3", "--name", "s", "--workers", "1"]
    process = start(project, *words)
    wait_until(lambda: is_at_work(project, "s-002"), process)
    os.killpg(process.pid, signal_)
    code, said = finish(process)
    assert code == exit_code, said
    assert read_statuses(project) == {1: "passed", 2: "interrupted", 3: "pending"}
    assert "the same command runs what has not passed" in said
    assert not find_workers(project, "s-002")
    code, said = sweep(project, *words)
    assert code == 0, said
    assert read_rows(project)[1]["run"] == "s-001"


def test_a_sweep_that_was_killed_goes_on_with_what_its_points_still_do(project, toy):
    words = ["params/toy.yaml", "--grid", "02.k=1,5,6", "--set", "02.nap=5", "--name", "s", "--workers", "2"]
    process = start(project, *words)
    wait_until(lambda: is_at_work(project, "s-001") and is_at_work(project, "s-002"), process)
    process.kill()
    process.communicate(timeout=60)
    code, said = sweep(project, *words)  # at once: it takes over what ends meanwhile
    assert code == 0, said
    assert set(read_statuses(project).values()) == {"passed"}
    assert not is_held(project / "runs" / "s-001")
    own = [entry.borrowed for entry in read_record(project / "runs" / "s-001.2").stages]
    assert "s-001" in own


def test_json_goes_alone_to_stdout_and_no_process_is_left(project, toy):
    before = set(psutil.pids())
    process = subprocess.run(
        [sys.executable, "-m", "nbkit", "sweep", "params/toy.yaml", "--grid", "02.k=5", "--json"],
        cwd=project, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(process.stdout)["best"].endswith("-001")
    assert "k=5: mae 2" in process.stderr
    time.sleep(1)  # processes that are being ended
    assert find_workers(project, "-001") == []
    own = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    alive = psutil.wait_procs(own, timeout=5)[1]
    kernels = [each.cmdline() for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    assert kernels == []
