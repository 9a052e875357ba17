"""Files of stages in a run's folder: which are theirs, which they wrote, which count and which are taken over."""

import os

import pytest

from nbkit.errors import CorruptArtifact
from nbkit.pipeline.fingerprint import Memo
from nbkit.pipeline.manifest import write_manifest
from nbkit.pipeline.sidefiles import ALL, digest_files, find_changed, find_tampered, find_written, list_side_files
from nbkit.pipeline.takeover import take_over
from nbkit.pipeline.trace import Execution, begin_trace, finish_trace
from nbkit.stages.notebooks import read_stage
from tests.conftest import glue, make_notebook

OURS = [
    "run.json",
    "01_first.ipynb",
    "artifacts/ab/cd.parquet",
    "logs/x",
    "report/index.html",
    ".lock",
    ".01.notes.json",
]
THEIRS = ["c.csv", "plots/roc.png", "plots/report/run.json", "ünï code.txt", ".hidden", "plots/.part"]


@pytest.fixture
def memo(tmp_path):
    return Memo(tmp_path / "files.json")


def lay(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_nbkit_puts_there_and_logs_are_not_theirs(tmp_path, memo):
    folder = tmp_path / "run"
    lay(folder, dict.fromkeys([*OURS, *THEIRS, "all.log"], "x"))
    (folder / "link.csv").symlink_to(folder / "c.csv")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff.csv")).write_text("x")
    assert sorted(list_side_files(folder, memo)) == sorted([*THEIRS, "link.csv"])


def test_a_comment_in_a_module_that_a_stage_writes_is_a_change(tmp_path, memo):
    lay(tmp_path / "run", {"made.py": "x = 1"})
    before = list_side_files(tmp_path / "run", memo)
    lay(tmp_path / "run", {"made.py": "x = 1  # one"})
    assert list_side_files(tmp_path / "run", memo) != before


def test_what_others_have_left_was_not_written():
    others = [{"files": {"a": "1", "b": "1"}}, {}, {"files": {"b": "2", "gone": ""}}]
    assert find_written({"a": "1", "b": "2"}, others) == {}
    assert find_written({"a": "1", "b": "1", "c": "3"}, others) == {"b": "1", "c": "3"}
    assert find_written({"b": "2"}, others) == {"a": ""}
    assert digest_files({}) == ""
    assert digest_files({"a": "1"}) != digest_files({"a": "2"}) != digest_files({"b": "2"})


def run_with(root, name, **files):
    """Lay a run whose stages wrote files, one after the other: stage to {path: text}; None removes one."""
    folder, memo, entries = root / "runs" / name, Memo(root / "files.json"), []
    for stage, written in files.items():
        glue(folder / f"{stage}.ipynb", y=1)
        lay(folder, {path: text for path, text in written.items() if text is not None})
        for path in [path for path, text in written.items() if text is None]:
            (folder / path).unlink()
        found = find_written(list_side_files(folder, memo), entries)
        entries.append({"stage": stage, "status": "passed", "files": found})
    write_manifest(folder, {"run": name, "status": "passed", "stages": entries})
    return folder, entries


def test_what_a_later_stage_changed_holds_where_it_is_and_is_not_taken_elsewhere(tmp_path, memo):
    source, entries = run_with(tmp_path, "a", s01={"n": "1", "tmp": "1", "own": "1"}, s02={"n": "10", "tmp": None})
    first, second = (entry["files"] for entry in entries)
    assert list(second) == ["n", "tmp"]
    assert second["tmp"] == ""
    assert find_changed(source, first, memo) == "n"
    assert find_tampered(source, first, memo) == find_changed(source, second, memo) == ""
    target, _ = run_with(tmp_path, "b")
    with pytest.raises(CorruptArtifact, match="n is not as s01 left it: begin with s01"):
        take_over(source, target, "s01", {"stage": "s01"}, memo)
    lay(target, {"n": "1", "tmp": "1"})
    entry = {"stage": "s02"}
    take_over(source, target, "s02", entry, memo)
    assert (target / "n").read_text() == "10"
    assert not (target / "tmp").exists()
    assert entry["files"] == second
    lay(source, {"n": "11"})
    assert find_tampered(source, first, memo) == find_tampered(source, second, memo) == "n"


def test_files_are_copied(tmp_path, memo):
    source, _ = run_with(tmp_path, "a", s01={"c.csv": "1", "deep/d.csv": "1"})
    target, _ = run_with(tmp_path, "b")
    take_over(source, target, "s01", {"stage": "s01"}, memo)
    assert (target / "deep" / "d.csv").read_text() == "1"
    (target / "c.csv").write_text("mine")
    assert (source / "c.csv").read_text() == "1"


def test_all_that_the_stages_before_wrote_counts_and_that_it_was_nothing(tmp_path, memo):
    folder, _ = run_with(tmp_path, "a", s01={})
    glue(folder / "s02.ipynb", z=1)
    stage = read_stage(make_notebook(tmp_path / "notebooks" / "s02.ipynb", "1"))
    seen = {"loads": {}, "files": [], "folders": {}, "modules": {}, "imports": [], "outside": [], "notebooks": []}
    handed = {"s00": {"y": "5", ALL: ""}, "s01": {"y": "5", ALL: "9f"}, "s03": None}
    execution = Execution(folder, "2026-01-01T00:00:00+00:00", seen, handed, {"own.csv": "77"})
    trace = finish_trace(begin_trace(stage, {}, 1), stage, execution, tmp_path, memo)
    assert trace.loads == {"s00../": "", "s01../": "9f"}
    assert trace.written == {"own.csv": "77"}
    assert trace.saves[ALL] == digest_files({"own.csv": "77"})
