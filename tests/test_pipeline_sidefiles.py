"""Files of stages in a run's folder: which are theirs, which are new, and which are taken over."""

import os

import pytest

from nbkit.errors import CorruptArtifact
from nbkit.pipeline.fingerprint import Memo
from nbkit.pipeline.manifest import write_manifest
from nbkit.pipeline.sidefiles import find_written, list_side_files
from nbkit.pipeline.takeover import take_over
from nbkit.pipeline.trace import Execution, begin_trace, finish_trace
from nbkit.stages.notebooks import read_stage
from tests.conftest import glue, make_notebook


@pytest.fixture
def memo(tmp_path):
    return Memo(tmp_path / "files.json")


def lay(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_nbkit_puts_there_is_not_theirs(tmp_path):
    ours = [
        "run.json",
        "01_first.ipynb",
        "artifacts/ab/cd.parquet",
        "logs/01_first.log",
        "report/index.html",
        ".hidden",
    ]
    theirs = ["c.csv", "plots/roc.png", "plots/report/run.json", "ünï code.txt"]
    lay(tmp_path, dict.fromkeys([*ours, *theirs, ".git/x", "plots/.part", "all.log"], "x"))
    (tmp_path / "link.csv").symlink_to(tmp_path / "c.csv")
    os.mkfifo(tmp_path / "pipe")
    assert sorted(list_side_files(tmp_path)) == sorted(theirs)


def test_new_is_what_was_written_since(tmp_path, memo):
    lay(tmp_path, {"old.csv": "1", "rewritten.csv": "1", "gone.csv": "1"})
    before = list_side_files(tmp_path)
    lay(tmp_path, {"rewritten.csv": "2", "new/c.csv": "1"})
    (tmp_path / "gone.csv").unlink()
    assert list(find_written(tmp_path, before, memo.digest)) == ["new/c.csv", "rewritten.csv"]


def run_with(root, name, **files):
    """Lay a run whose stages wrote files: stage to {path: text}; the last writer of a path is the one who counts."""
    folder, memo, entries = root / "runs" / name, Memo(root / "files.json"), []
    for stage, written in files.items():
        glue(folder / f"{stage}.ipynb", y=1)
        lay(folder, written)
        digests = {path: memo.digest(folder / path) for path in written}
        entries.append({"stage": stage, "status": "passed", "files": digests})
    write_manifest(folder, {"run": name, "status": "passed", "stages": entries})
    return folder


def test_files_are_taken_over_unless_they_were_changed(tmp_path, memo):
    source = run_with(tmp_path, "a", s01={"c.csv": "1", "deep/d.csv": "1"}, s02={"c.csv": "12"})
    target = run_with(tmp_path, "b")
    entry = {"stage": "s01"}
    take_over(source, target, "s01", entry, memo)
    assert (target / "c.csv").read_text() == "12"  # as the run left it
    (target / "c.csv").write_text("mine")
    assert (source / "c.csv").read_text() == "12"  # copied, not linked
    assert set(entry["files"]) == {"c.csv", "deep/d.csv"}
    (source / "deep" / "d.csv").write_text("2")
    with pytest.raises(CorruptArtifact, match=r"d\.csv is gone or was changed: run s01 again"):
        take_over(source, target, "s01", entry, memo)


def test_what_another_stage_of_this_run_wrote_stays(tmp_path, memo):
    source = run_with(tmp_path, "a", s01={"c.csv": "old"})
    target = run_with(tmp_path, "b", s02={"c.csv": "new"})
    take_over(source, target, "s01", {"stage": "s01"}, memo)
    assert (target / "c.csv").read_text() == "new"


@pytest.mark.parametrize(
    ("cell", "opened", "counts"),
    [
        ("read()", ["c.csv"], True),
        ("pd.read_parquet(f'{run_dir}/c.csv')", [], True),
        ("read()", ["d.csv"], False),
        ("read()", [], False),
    ],
)
def test_a_file_of_another_stage_counts_if_it_was_opened_or_its_name_stands_in_a_cell(
    tmp_path, memo, cell, opened, counts
):
    folder = run_with(tmp_path, "a", s01={"c.csv": "1"})
    glue(folder / "s02.ipynb", z=1)
    stage = read_stage(make_notebook(tmp_path / "notebooks" / "s02.ipynb", cell))
    seen = {"loads": {}, "files": [], "modules": {}, "imports": [], "outside": [], "beside": opened, "notebooks": []}
    handed = {"s01": {"y": "5", "/c.csv": "9f"}, "s00": None}
    execution = Execution(folder, "2026-01-01T00:00:00+00:00", seen, handed, {"own.csv": "77"})
    trace = finish_trace(begin_trace(stage, {}, 1), stage, execution, tmp_path, memo)
    assert trace.loads == ({"s01./c.csv": "9f"} if counts else {})
    assert trace.files_written == {"own.csv": "77"}
