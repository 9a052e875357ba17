"""The record of a run: written whole, read with types, old ones and newer ones too."""

import json
import math

import pytest

from nbkit.record import UNREADABLE, RunRecord, StageRecord, iterate_runs, read_record, write_record


def test_what_is_written_is_read(tmp_path):
    stage = StageRecord("06_train", "failed", kind="error", message="no", cell=3, seconds=1.5)
    record = RunRecord(
        run="a", exit=1, parameters={"06_train": {"grid": {1: [0.1]}, "day": "2013-01-01"}}, stages=[stage]
    )
    write_record(tmp_path, record)
    found = read_record(tmp_path)
    assert found.stages == [stage]
    assert found.parameters == {"06_train": {"grid": {"1": [0.1]}, "day": "2013-01-01"}}
    assert found.stopped == stage
    assert not found.has_passed("06_train")
    assert found.find("07_evaluate") is None


def test_numbers_that_json_lacks_are_kept(tmp_path):
    write_record(tmp_path, RunRecord(parameters={"a": {"x": float("inf"), "y": float("nan")}}))
    found = read_record(tmp_path).parameters["a"]
    assert found["x"] == math.inf
    assert math.isnan(found["y"])


def test_fields_of_a_newer_nbkit_are_passed_over_and_those_of_an_older_one_are_enough(tmp_path):
    old = {"project": "toy", "status": "passed", "exit": 0, "ended": None, "surroundings": {"git": {}}, "resumed": [{"at": "x", "python": "3"}],
           "stages": [{"stage": "01_first", "status": "passed", "seconds": 1, "news": {"of": "tomorrow"}}]}  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(old | {"news": [1]}))
    found = read_record(tmp_path)
    assert (found.status, found.seconds, found.surroundings.git.dirty) == ("passed", 1.0, None)
    assert found.has_passed("01_first")


@pytest.mark.parametrize("damage", ['{"stages": [{"stage": "01"}]}', '{"status": 5}', "[]", "{", ""])
def test_a_damaged_one_is_unreadable_and_one_that_is_not_there_empty(tmp_path, damage):
    assert read_record(tmp_path) == RunRecord()
    (tmp_path / "run.json").write_text(damage)
    assert read_record(tmp_path) == RunRecord(status=UNREADABLE)


def test_a_status_that_no_stage_has_is_damage(tmp_path):
    (tmp_path / "run.json").write_text('{"stages": [{"stage": "01", "status": "odd"}]}')
    assert read_record(tmp_path).status == UNREADABLE


def test_the_newest_run_comes_first(tmp_path):
    for name, started in (("b", "2026-01-01"), ("a", "2026-01-02"), ("c", "2025-01-01")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        write_record(tmp_path / "runs" / name, RunRecord(run=name, started=started))
    assert [record.run for _, record in iterate_runs(tmp_path)] == ["a", "b", "c"]
