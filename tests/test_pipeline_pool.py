"""Stages side by side: they really are, they give what a sequence gives, and however they end nothing is left over."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from nbkit.pipeline import execute_plan, find_run, plan_resume, plan_run
from nbkit.record import read_record
from nbkit.scraps import digest_scraps, read_scraps
from tests.conftest import make_notebook
from tests.test_pipeline_runner import wait_for

RUN = (
    "import nbkit, time, pathlib\nrun = nbkit.Run(run_dir)\nhere = pathlib.Path('../marks')\nhere.mkdir(exist_ok=True)"
)
MEET = "(here / '{mine}').touch()\nuntil = time.monotonic() + 60\nwhile not (here / '{other}').exists():\n    assert time.monotonic() < until, 'nobody came'\n    time.sleep(0.05)"
FIT = "import numpy as np\nfrom sklearn.ensemble import HistGradientBoostingRegressor\nX = np.random.default_rng(0).normal(size=(2000, 5))\nmodel = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(X, X[:, 0] * X[:, 1])"

pytestmark = pytest.mark.slow


@pytest.fixture
def diamond(project):
    """01 hands over to 02 and 03, which fit a model each and meet while they run; 04 takes from both."""
    lay(project, "01_top", "run.save('x', 2)")
    lay(
        project,
        "02_left",
        "x = run.load('01_top', 'x')",
        MEET.format(mine="left", other="right"),
        FIT,
        "run.save('model', model)",
    )
    lay(
        project,
        "03_right",
        "x = run.load('01_top', 'x')",
        MEET.format(mine="right", other="left"),
        FIT,
        "run.save('model', model)\nrun.save('y', x)",
    )
    lay(
        project,
        "04_join",
        "a, b = run.load('02_left', 'model'), run.load('03_right', 'y')",
        "run.save('headline', f'{b} met.')",
    )
    (project / "params" / "toy.yaml").write_text("")
    return project


def lay(project, name, *cells):
    make_notebook(project / "notebooks" / f"{name}.ipynb", RUN, *cells)


def plan(project, *settings):
    return plan_run(project, [project / "params" / "toy.yaml"], settings, reuse="never")


def start(project, *words):
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml", "--jobs", "2", *words]
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def start_sleepers(project):
    """Start a run and return its process when two stages are in the middle of a long sleep."""
    for name, mark in (("02_left", "left"), ("03_right", "right")):
        lay(
            project,
            name,
            "x = run.load('01_top', 'x')",
            f"(here / '{mark}').touch()",
            "time.sleep(90)",
            "run.save('y', 1)\nrun.save('model', 1)",
        )
    runner = start(project)
    for mark in ("left", "right"):
        wait_for(project / "marks" / mark)
    return runner


def left_over(project):
    """Return the processes that this test has started, kernels and their server among them."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("PYTEST_CURRENT_TEST") == os.environ["PYTEST_CURRENT_TEST"]
            if process.pid != os.getpid() and (ours or str(project) in process.cwd()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def statuses(folder):
    return [entry.status for entry in read_record(folder).stages]


def test_what_needs_nothing_of_each_other_runs_at_once_and_gives_the_same(diamond):
    folder, record = execute_plan(plan(diamond), jobs=2)
    assert record.status == "passed", record.stages
    assert record.stages[3].headline == "2 met."
    assert psutil.wait_procs(left_over(diamond), timeout=10)[1] == []
    again, record = execute_plan(plan(diamond))  # in sequence: the marks are there
    assert record.status == "passed"
    for stage in ("01_top", "02_left", "03_right", "04_join"):
        first, second = (digest_scraps(read_scraps(each / f"{stage}.ipynb")) for each in (folder, again))
        assert first == second
    assert [entry.threads for entry in read_record(folder).stages] == [
        plan(diamond).resolved.limits["01_top"]["threads"]
    ] * 4


def test_a_stage_that_fails_lets_the_other_end_and_begins_no_more(diamond):
    lay(
        diamond,
        "02_left",
        MEET.format(mine="left", other="right"),
        "x = run.load('01_top', 'x')",
        "1 / 0",
        "run.save('model', x)",
    )
    folder, record = execute_plan(plan(diamond), jobs=2)
    assert statuses(folder) == ["passed", "failed", "passed", "pending"]
    assert (record.status, record.exit) == ("failed", 1)
    lay(diamond, "02_left", "x = run.load('01_top', 'x')", "run.save('model', x)")
    assert execute_plan(plan_resume(diamond), jobs=2)[1].status == "passed"


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_reaches_all_at_work(diamond, which, code):
    runner = start_sleepers(diamond)
    runner.send_signal(which)
    assert runner.wait(40) == code
    folder = find_run(diamond)
    assert statuses(folder) == ["passed", "interrupted", "interrupted", "pending"]
    assert read_record(folder).exit == code
    assert psutil.wait_procs(left_over(diamond), timeout=10)[1] == []


def test_when_the_runner_is_killed_nobody_works_on(diamond):
    runner = start_sleepers(diamond)
    runner.kill()
    runner.wait()
    assert psutil.wait_procs(left_over(diamond), timeout=40)[1] == []
