"""Interruptions: the first asks to stop, the second breaks in."""

import os
import signal
import threading
import time

import pytest

from nbkit.pipeline import engine, execute_plan, plan_run, runner
from nbkit.pipeline.signals import hear_signals
from nbkit.record import read_record
from tests.conftest import glue, make_notebook
from tests.pipeline_helpers import Ended

USUAL = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


@pytest.fixture(autouse=True)
def signals():
    """Let signals act as usual, also where a shell in the background or nohup has them ignored."""
    before = {which: signal.signal(which, handler) for which, handler in USUAL.items()}
    yield
    for which, handler in before.items():
        signal.signal(which, handler)


@pytest.mark.parametrize(
    ("which", "kind"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "terminated")],
)
def test_the_first_is_heard_and_the_second_breaks_in(which, kind):
    heard = []
    with pytest.raises(KeyboardInterrupt), hear_signals(heard.append):  # noqa: PT012
        signal.raise_signal(which)
        assert heard == [kind]
        signal.raise_signal(which)
    assert heard == [kind]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_and_another_handler_stay():
    def handle(number, frame):
        pass

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hear_signals(pytest.fail):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGINT)
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def test_in_another_thread_nothing_is_heard():
    done = []

    def hold():
        with hear_signals(pytest.fail):
            done.append(1)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert done == [1]


def test_a_run_that_is_interrupted_before_it_begins_leaves_no_folder(project, monkeypatch):
    make_notebook(project / "notebooks" / "01_first.ipynb", "1")
    (project / "params" / "toy.yaml").write_text("")
    plan = plan_run(project, [project / "params" / "toy.yaml"])

    def interrupt(*given):
        raise KeyboardInterrupt

    monkeypatch.setenv("NBKIT_WARM", "0")
    monkeypatch.setattr(runner, "Ledger", interrupt)
    with pytest.raises(KeyboardInterrupt):
        execute_plan(plan)
    assert list((project / "runs").iterdir()) == []


@pytest.fixture
def plan(project, monkeypatch):
    """Two stages that need nothing of each other, and one that needs both; nothing is warm."""
    monkeypatch.setenv("NBKIT_WARM", "0")
    for name in ("01_left", "02_right"):
        make_notebook(
            project / "notebooks" / f"{name}.ipynb", "import nbkit\nrun = nbkit.Run(run_dir)", "run.save('y', 1)"
        )
    loads = "run.load('01_left', 'y')\nrun.load('02_right', 'y')"
    make_notebook(project / "notebooks" / "03_join.ipynb", "import nbkit\nrun = nbkit.Run(run_dir)", loads)
    (project / "params" / "toy.yaml").write_text("")
    return plan_run(project, [project / "params" / "toy.yaml"], reuse="never")


def engage(monkeypatch, act):
    """Have `act` stand in for the engine."""
    monkeypatch.setattr(engine, "execute_stage", act)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("which", "kind", "code"), [("SIGINT", "interrupted", 130), ("SIGTERM", "terminated", 143)])
def test_stages_at_work_are_stopped_and_no_more_begin(plan, monkeypatch, jobs, which, kind, code):
    together = threading.Barrier(jobs + 1)

    def wait_for_the_end(task, kernel, on_late):
        together.wait(10)
        while not task.stop:
            time.sleep(0.01)
        return Ended("interrupted", task.stop).fill(task)

    def interrupt():
        together.wait(10)
        os.kill(os.getpid(), getattr(signal, which))

    engage(monkeypatch, wait_for_the_end)
    threading.Thread(target=interrupt).start()
    folder, record = execute_plan(plan, jobs=jobs)
    assert (record.status, record.exit) == ("interrupted", code)
    assert [each.status for each in record.stages] == [*["interrupted"] * jobs, *["pending"] * (3 - jobs)]
    assert record.stages[0].kind == kind
    assert read_record(folder) == record


def test_what_the_engine_did_not_foresee_fails_the_stage(plan, monkeypatch):
    def fail(task, kernel, on_late):
        raise ZeroDivisionError("by zero")

    engage(monkeypatch, fail)
    _, record = execute_plan(plan)
    assert (record.status, record.exit, record.stages[0].kind) == ("failed", 1, "system")
    assert record.stages[0].message == "ZeroDivisionError: by zero"
    assert [each.status for each in record.stages] == ["failed", "pending", "pending"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_as_many_as_asked_are_at_work_at_once(plan, monkeypatch, jobs):
    working, most, lock = set(), [], threading.Lock()
    together = threading.Barrier(jobs)

    def work(task, kernel, on_late):
        with lock:
            working.add(task.record.stage)
            most.append(len(working))
        if task.record.stage != "03_join":
            together.wait(10)
        with lock:
            working.remove(task.record.stage)
        glue(task.target, y=1)
        return Ended().fill(task)

    engage(monkeypatch, work)
    _, record = execute_plan(plan, jobs=jobs)
    assert record.status == "passed"
    assert max(most) == jobs
