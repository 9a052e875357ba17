"""Interruptions that wait for what must not be torn."""

import importlib
import signal
import sys
import threading
import time

import pytest

from nbkit.pipeline import crew, plan_run, runner
from nbkit.pipeline.signals import Terminated, catch_signals, hold_signals
from nbkit.pipeline.work import say_failed
from tests.conftest import make_notebook


class Listener:
    """Stands in for the work that is told how an execution went."""

    def conclude(self, step, entry, outcome):
        self.outcome = outcome


@pytest.mark.parametrize(("error", "kind"), [(KeyboardInterrupt, "interrupted"), (Terminated, "terminated")])
def test_a_process_that_an_interruption_ends_is_said_to_be_ended_by_that(error, kind):
    work, facts = Listener(), {"outcome": say_failed("the process that executed it was killed")}
    crew._note(work, None, None, {}, facts, error())
    assert (work.outcome["status"], work.outcome["kind"]) == ("interrupted", kind)
    crew._note(work, None, None, {}, facts, None)
    assert work.outcome["status"] == "failed"


def test_a_run_that_is_interrupted_before_it_begins_leaves_no_folder(project, monkeypatch):
    make_notebook(project / "notebooks" / "01_first.ipynb", "1")
    (project / "params" / "toy.yaml").write_text("")
    plan = plan_run(project, [project / "params" / "toy.yaml"])

    def interrupt(*given):
        raise KeyboardInterrupt

    monkeypatch.setenv("NBKIT_WARM", "0")
    monkeypatch.setattr(runner, "_begin", interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.execute_plan(plan)
    assert list((project / "runs").iterdir()) == []


@pytest.fixture(autouse=True)
def ctrl_c():
    """Let Ctrl-C interrupt, also where a shell that has put the tests into the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("which", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interruption_waits_for_the_end_of_the_block(which, error):
    done = []
    with pytest.raises(error), catch_signals():  # noqa: PT012
        with hold_signals():
            signal.raise_signal(which)
            signal.raise_signal(which)
            done.append(1)
        done.append(2)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_ignored_and_other_threads_hold_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hold_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    failed = []

    def hold():
        try:
            with hold_signals():
                pass
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert failed == []


@pytest.mark.parametrize(("which", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interruption_waits_for_the_end_of_an_import(tmp_path, monkeypatch, which, error):
    (tmp_path / "slowly.py").write_text(
        f"import signal\nsignal.raise_signal({int(which)})\nfor _ in range(100_000):\n    pass\ndone = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(error), catch_signals():  # noqa: PT012
        importlib.import_module("slowly")
        time.sleep(5)
    assert sys.modules.pop("slowly").done
    with catch_signals():
        time.sleep(0.05)  # nothing is left over


def test_an_interruption_that_waited_comes_at_the_latest_with_the_end_of_the_block(tmp_path, monkeypatch):
    (tmp_path / "quickly.py").write_text(f"import signal\nsignal.raise_signal({int(signal.SIGTERM)})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Terminated), catch_signals(), catch_signals():
        importlib.import_module("quickly")
    assert sys.modules.pop("quickly")
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_program_that_runs_while_it_is_imported_can_be_interrupted(tmp_path, monkeypatch):
    (tmp_path / "whole.py").write_text(
        "import signal, time\nfrom nbkit.pipeline.signals import catch_signals\n"
        "with catch_signals():\n    signal.raise_signal(signal.SIGINT)\n    time.sleep(5)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("whole")


def test_another_handler_of_ctrl_c_stays():
    def handle(number, frame):
        pass

    before = signal.signal(signal.SIGINT, handle)
    try:
        with catch_signals():
            assert signal.getsignal(signal.SIGINT) is handle
    finally:
        signal.signal(signal.SIGINT, before)
