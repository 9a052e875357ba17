"""A kernel that starts ahead of its stage: it is there in time, it is the one that would start now, and it goes unused."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from nbkit.kernels import use_server
from nbkit.pipeline import engine, execute_plan, plan_run
from nbkit.pipeline.kernel import StageKernel
from nbkit.pipeline.task import Task
from nbkit.record import StageRecord, read_record
from nbkit.scraps import read_value
from nbkit.stages import read_stages
from tests.conftest import make_notebook

RUN = "import nbkit, os, psutil, sys, time\nrun = nbkit.Run(run_dir)"

pytestmark = pytest.mark.slow


@pytest.fixture
def params(project):
    """Two stages, of which the first takes a while in its last cell and the second says when its kernel began."""
    lay(project, "01_first", "time.sleep(3)\nrun.save('ended', time.time())")
    lay(project, "02_second", "run.save('began', psutil.Process().create_time())\nrun.save('pid', os.getpid())")
    path = project / "params" / "toy.yaml"
    path.write_text("")
    return path


def lay(project, name, *cells):
    make_notebook(project / "notebooks" / f"{name}.ipynb", RUN, *cells)


def left_over():
    """Return what this process has started and what has not ended in a while."""
    return psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)[1]


@pytest.mark.parametrize("warm", ["1", "0"])
def test_the_next_kernel_starts_while_a_stage_is_at_work(project, params, monkeypatch, warm):
    monkeypatch.setenv("NBKIT_WARM", warm)
    folder, record = execute_plan(plan_run(project, [params]))
    assert record.status == "passed"
    assert read_value(folder, "02_second", "began") < read_value(folder, "01_first", "ended")
    assert left_over() == []


@pytest.mark.parametrize("end", ["1 / 0", "os.kill(os.getpid(), 9)"])
def test_one_that_nobody_needs_goes(project, params, end):
    lay(project, "01_first", f"time.sleep(1)\n{end}")
    folder, record = execute_plan(plan_run(project, [params]))
    assert [entry.status for entry in record.stages] == ["failed", "pending"]
    assert left_over() == []
    assert not list(folder.glob(".*.notes.json"))


def test_one_that_ended_too_early_is_replaced(project, params):
    kill = (
        "time.sleep(2)\n"
        "others = [each for each in psutil.Process(os.getppid()).children() if each.pid != os.getpid()]\n"
        "run.save('killed', [[each.pid, each.kill()] for each in others])"
    )
    lay(project, "01_first", kill)
    folder, record = execute_plan(plan_run(project, [params]))
    assert record.status == "passed", record.stages
    killed = [pid for pid, _ in read_value(folder, "01_first", "killed")]
    assert len(killed) == 1
    assert read_value(folder, "02_second", "pid") not in killed


def test_one_that_imported_what_has_changed_meanwhile_is_replaced(project, params, tmp_path, monkeypatch):
    home = tmp_path / "site-packages"
    home.mkdir()
    (home / "mistune.py").write_text("value = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(home))
    lay(
        project,
        "01_first",
        f"import mistune\ntime.sleep(2)\nopen({str(home / 'mistune.py')!r}, 'w').write('value = 22\\n')",
        "run.save('value', mistune.value)",
    )
    lay(project, "02_second", "import mistune", "run.save('value', mistune.value)")
    folder, record = execute_plan(plan_run(project, [params]))
    assert record.status == "passed", record.stages
    assert [read_value(folder, stage, "value") for stage in ("01_first", "02_second")] == [1, 22]
    assert read_record(folder).exit == 0


def test_what_is_written_past_python_is_in_the_log_and_not_in_what_nbkit_prints(project, params):
    lay(project, "01_first", "os.write(1, b'HI')\nos.system('echo HO')\nrun.save('ended', 1)")
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml", "--json"]
    told = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["status"] == "passed"


@pytest.mark.parametrize("warm", ["1", "0"])
def test_a_process_that_a_cell_forked_ends_with_its_stage(project, params, monkeypatch, warm):
    monkeypatch.setenv("NBKIT_WARM", warm)
    fork = (
        "pid = os.fork()\nif pid == 0:\n    os.setsid()\n    time.sleep(300)\n    os._exit(0)\nrun.save('ended', pid)"
    )
    lay(project, "01_first", fork)
    folder, record = execute_plan(plan_run(project, [params]))
    assert record.status == "passed", record.stages
    pid = read_value(folder, "01_first", "ended")
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_one_that_started_before_something_was_installed_is_replaced(project, params, tmp_path, monkeypatch):
    home = tmp_path / "site-packages"
    home.mkdir()
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setenv("PYTHONPATH", str(home))
    mark = "psutil.Popen([sys.executable, '-c', '']).create_time()"  # by the clock that kernels' beginnings are told by
    install = f"os.mkdir({str(home / 'fresh-1.0.dist-info')!r})\nrun.save('ended', {mark})"
    lay(project, "01_first", "time.sleep(2)", install)
    folder, record = execute_plan(plan_run(project, [params]))
    assert record.status == "passed", record.stages
    assert read_value(folder, "02_second", "began") > read_value(folder, "01_first", "ended") - 0.1


@pytest.fixture
def short_folder():
    """A folder for temporary files of this test alone, whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("warm", ["1", "0"])
def test_a_stage_that_is_stopped_while_its_kernel_starts_leaves_nothing_of_it(
    project, params, short_folder, monkeypatch, warm
):
    monkeypatch.setenv("NBKIT_WARM", warm)
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    stage = read_stages(project / "notebooks")["01_first"]
    limits = {"cell_timeout": 0, "stage_timeout": 0, "memory_gb": 0, "threads": 1}
    record = StageRecord("01_first", "running")
    task = Task(record, stage.path, project / "01_first.ipynb", project / "01_first.log", {}, limits)
    kernel = StageKernel(task)
    begin = kernel._begin

    async def begin_and_stop():
        task.stop = "interrupted"
        await begin()

    monkeypatch.setattr(kernel, "_begin", begin_and_stop)
    with use_server([stage.path]):
        ended = engine.execute_stage(task, kernel)
        kernel.close()
    assert (ended.status, ended.kind, ended.headline) == ("interrupted", "interrupted", "")
    assert list(short_folder.iterdir()) == []
    assert left_over() == []
