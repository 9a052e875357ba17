"""Sweeps on a real Dask cluster: two worker processes, one of which is killed, a scheduler that does not answer."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from model_helpers import BINARY, binary_recipe, make_binary, make_candidate
from sklearn.model_selection import GridSearchCV

from nbkit import formats
from nbkit.errors import BadParameter, NoCluster
from nbkit.model import Scorer, fit_each
from nbkit.sweep import open_pool
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


@pytest.fixture
def toy(project):
    return lay_toy(project)


def find_dask_workers(process):
    """Return the worker processes of a sweep's own cluster: what runs points below them is no worker."""
    below = psutil.Process(process.pid).children(recursive=False)
    return [each for each in below if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_loses_no_point(project, toy):
    words = ["--grid", "02.k=1,3,5,6", "--set", "02.nap=3", "--name", "s", "--workers", "2", "--cluster", "local"]
    process = start(project, "params/toy.yaml", *words)
    wait_until(lambda: is_at_work(project, "s-001"), process)
    (point,) = find_workers(project, "s-001")
    workers = find_dask_workers(process)
    assert len(workers) == 2
    next(each for each in workers if each.pid == point.ppid()).send_signal(signal.SIGKILL)
    code, said = finish(process)
    assert code == 1, said
    assert read_statuses(project) == {1: "passed", 2: "failed", 3: "passed", 4: "passed"}
    assert read_rows(project)[2]["headline"] == "AssertionError: three is one too many"
    values = {number: row["value"] for number, row in read_rows(project).items() if "value" in row}
    assert values == {1: 6, 3: 2, 4: 3}


@pytest.mark.slow
def test_ctrl_c_interrupts_the_points_on_a_cluster(project, toy):
    words = ["--grid", "02.k=1,5", "--set", "02.nap=40", "--name", "s", "--workers", "2", "--cluster", "local"]
    process = start(project, "params/toy.yaml", *words)
    wait_until(lambda: is_at_work(project, "s-001") and is_at_work(project, "s-002"), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    code, said = finish(process)
    assert code == 130, said
    assert read_statuses(project) == {1: "interrupted", 2: "interrupted"}
    assert not find_workers(project, "s-0")


@pytest.mark.slow
def test_a_scheduler_elsewhere_outlives_the_sweep_and_ends_its_points_when_it_is_killed(project, toy):
    with Scheduler(project) as address:
        code, said = sweep(project, "params/toy.yaml", "--grid", "02.k=5,6", "--name", "s", "--cluster", address)
        assert code == 0, said
        words = ["--grid", "02.k=1,5", "--set", "02.nap=40", "--name", "t", "--cluster", address]
        process = start(project, "params/toy.yaml", *words)
        wait_until(lambda: is_at_work(project, "t-001"), process)
        (point,) = find_workers(project, "t-001")
        process.kill()
        process.communicate()
        point.wait(60)  # nobody wants its answer any more


class Scheduler:
    """A scheduler and one worker, as they would stand on other machines."""

    def __init__(self, project):
        self.project = project

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"tcp://127.0.0.1:{port}"
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        worker = [
            "worker",
            address,
            "--nworkers",
            "1",
            "--nthreads",
            "2",
            "--no-dashboard",
            "--local-directory",
            str(self.project / "dask"),
        ]
        self.processes = [self._start(scheduler)]
        wait_for_port(port)
        self.processes.append(self._start(worker))
        return address

    def _start(self, words):
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)


def wait_for_port(port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("no scheduler")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://no-such-host.invalid:8786", "nonsense://here"])
def test_an_address_that_does_not_answer_is_told_in_seconds(project, toy, address):
    started = time.monotonic()
    code, said = sweep(project, "params/toy.yaml", "--grid", "02.k=5,6", "--cluster", address)
    assert time.monotonic() - started < 60
    assert code == 2
    assert f"no Dask scheduler answers at {address}" in said
    assert not (project / "runs").exists()


@pytest.mark.slow
def test_what_answers_may_be_no_scheduler(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(NoCluster, match="no Dask scheduler answers"), open_pool(1, address):
            pass


def test_what_is_no_address_is_refused():
    with pytest.raises(BadParameter, match="write local or tcp://"), open_pool(1, "here"):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of distributed's own sockets
def test_a_search_on_a_cluster_finds_what_it_finds_here(project, monkeypatch):
    """Also boosted trees, which depend on the number of threads: the workers' own is another one."""
    helpers = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([helpers, os.environ.get("PYTHONPATH", "")]))
    rows = make_binary(1000)
    spaces = {"boosting": {"model__learning_rate": [0.05, 0.3]}, "forest": {"model__n_estimators": [5, 10]}}
    cut = {"cv": BINARY.folds(rows, 3), "scoring": Scorer(BINARY)}
    searches = {
        name: GridSearchCV(make_candidate(name, binary_recipe()), space, **cut) for name, space in spaces.items()
    }
    found = []
    with Scheduler(project) as address:
        for where in ("", address):
            monkeypatch.setenv("NBKIT_CLUSTER", where)
            found.append(fit_each(searches, rows, BINARY))
    pd.testing.assert_frame_equal(found[0].trials, found[1].trials)
    assert formats.dump(found[0].models["boosting"])[2] == formats.dump(found[1].models["boosting"])[2]
