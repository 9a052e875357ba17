"""A sweep from plan to table without a kernel: what a failed point leaves, and what the same sweep does once more."""

import json
import os
import shutil
import signal

import pytest

from nbkit.errors import RunInUse
from nbkit.pipeline import list_runs
from nbkit.sweep import execute_sweep
from tests.sweep_helpers import execute, fake, plan, read_statuses, toy

__all__ = ["fake", "toy"]


def test_each_point_is_an_ordinary_run_in_one_table(project, toy, fake):
    found = execute(plan(project, "02.k=1,5,6"))
    assert fake == ["s-001", "s-002", "s-003"]
    assert (found["sweep"], found["status"], found["exit"], found["best"]) == ("s", "passed", 0, "s-002")
    assert [row["params"] for row in found["rows"]] == [{"02.k": "5"}, {"02.k": "6"}, {"02.k": "1"}]
    best = found["rows"][0]
    assert (best["run"], best["metric"], best["value"], best["low"], best["high"]) == ("s-002", "mae", 2.0, 0.5, 3.5)
    assert best["seconds"] == 1.0  # not those of the stage that was taken over
    assert found["claim"].startswith("s-002 is best of 3 points: mae 2.0 (0.5 to 3.5).")
    assert {row["run"] for row in list_runs(project)} == {"s-001", "s-002", "s-003"}
    kept = json.loads((project / "runs" / "s" / "sweep.json").read_text())
    assert kept["rows"] == found["rows"]
    assert kept["files"] == ["params/toy.yaml"]


def test_a_failed_point_stops_no_other_and_the_same_sweep_runs_it_alone(project, toy, fake):
    rows = []
    found = execute(plan(project, "02.k=3,4,5,6"), rows.append)
    assert (found["status"], found["exit"]) == ("failed", 1)
    assert [row["point"] for row in rows] == [1, 2, 3, 4]
    assert read_statuses(project) == {1: "failed", 2: "failed", 3: "passed", 4: "passed"}
    assert [row["headline"] for row in rows[:2]] == ["three is one too many", "its process was killed (SIGKILL)"]
    del fake[:]
    again = execute(plan(project, "02.k=3,4,5,6"))
    assert fake == ["s-001.2", "s-002"]  # the killed one left no folder
    assert [row["run"] for row in again["rows"]] == ["s-003", "s-004", "s-001.2", "s-002"]
    assert execute(plan(project, "02.k=3,4,5,6"))["rows"][2]["run"] == "s-001.3"


def test_a_name_belongs_to_one_sweep(project, toy, fake):
    execute(plan(project, "02.k=5,6"))
    with pytest.raises(RunInUse, match="another sweep is called s: take another --name"):
        execute(plan(project, "02.k=1,2"))
    (project / "runs" / "t").mkdir()
    with pytest.raises(RunInUse, match="t exists: take another --name"):
        execute(plan(project, "02.k=1,2", name="t"))
    assert execute(plan(project, "02.k=5,6", name=""))["sweep"].startswith("toy-sweep-")


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_points_are_told_and_the_rest_is_not_begun(project, toy, fake, which, code):
    class Pool:
        """Does the first point, is interrupted, and never ends the others."""

        def submit(self, sweep, number):
            return Future(sweep.name_point(number))

        def cancel(self, futures):
            self.cancelled = [future.name for future in futures]

    class Future:
        def __init__(self, name):
            self.name = name

        def done(self):
            if self.name == "s-003":
                os.kill(os.getpid(), which)
            return self.name == "s-001"

        def result(self):
            shutil.copytree(project / "runs" / "t-001", project / "runs" / "s-001")
            return "s-001", ""

    execute(plan(project, "02.k=5,6", name="t"))
    pool = Pool()
    found = execute_sweep(plan(project, "02.k=5,6,1"), pool)
    assert (found["status"], found["exit"]) == ("interrupted", code)
    assert pool.cancelled == ["s-002", "s-003"]
    assert read_statuses(project) == {1: "passed", 2: "pending", 3: "pending"}
    assert "s-001 is best of 3 points" in found["claim"]


def test_what_a_worker_did_elsewhere_or_could_not_do_fails_its_point(project, toy, fake):
    class Pool:
        def submit(self, sweep, number):
            return self

        def done(self):
            return True

        def result(self):
            return "s-007", ""

    found = execute_sweep(plan(project, "02.k=5,6"), Pool())
    assert found["claim"] == "No point has a score."
    assert "all workers must share the project's folder" in found["rows"][0]["headline"]

    class Gone(Pool):
        def result(self):
            raise ConnectionError("no scheduler")

    found = execute_sweep(plan(project, "02.k=5,6"), Gone())
    assert found["rows"][0]["headline"] == "its worker gave it up: ConnectionError: no scheduler"
    assert found["exit"] == 1


def test_a_metric_that_is_not_there_fails_the_points_in_words(project, toy, fake):
    found = execute(plan(project, "02.k=5,6", metric="rmse"))
    assert found["exit"] == 1
    assert "has no score 'rmse'; it has mae" in found["rows"][0]["headline"]
    assert found["claim"] == "No point has a score."
