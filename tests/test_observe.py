"""What counts as read by a stage, and what is the machine's or its own."""

import contextlib
import glob
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from nbkit.observe import Notes, digest_names, list_names
from nbkit.project import find_notebooks


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """Notes of a stage of the project ``tmp_path / "p"``; temporary files lie in ``tmp_path / "tmp"``."""
    for name in ("p/runs/one", "p/data", "tmp", "home/.cache", "home/.config", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Notes(tmp_path / "p" / "runs" / "one" / ".notes.json", str(tmp_path / "p"))


def lay(path, age=60.0):
    path.write_text("a\n1\n")
    os.utime(path, (time.time() - age, time.time() - age))
    return str(path)


def read(notes, place, flags=os.O_RDONLY):
    notes.note_event("open", (place, None, flags))


@pytest.mark.parametrize("name", ["p/data/a.csv", "elsewhere/a.csv", "tmp/a.csv", "home/a.csv", "home/.cache/a.csv"])
def test_what_lay_there_counts_wherever_that_is(notes, tmp_path, name):
    place = lay(tmp_path / name)
    read(notes, place)
    assert notes.files == {place}


@pytest.mark.parametrize(
    "name", ["home/.config/a.csv", "p/runs/one/a.csv", "p/runs/a.csv", "p/data/a.pyc", "p/data/.git"]
)
def test_what_is_the_machines_or_the_runs_does_not(notes, tmp_path, name):
    read(notes, lay(tmp_path / name))
    assert notes.files == set()


@pytest.mark.parametrize("name", ["/proc/cpuinfo", "/etc/hosts", "/dev/null"])
def test_the_system_does_not(notes, name):
    read(notes, name)
    assert notes.files == set()


def test_what_a_stage_makes_for_itself_does_not(notes, tmp_path):
    read(notes, lay(tmp_path / "tmp" / "made by a library", age=-5))
    place = lay(tmp_path / "p" / "data" / "b.csv")
    read(notes, place, os.O_WRONLY)
    read(notes, place)
    assert notes.files == set()


@pytest.mark.parametrize("name", ["tmp/a.csv", "home/.config/a.csv", "p/data/a.csv", "p/data", "tmp"])
def test_what_a_stage_was_told_to_read_always_counts(notes, tmp_path, name):
    path = tmp_path / name
    place = str(path) if path.is_dir() else lay(path, age=-5)
    notes.note_file(place)
    notes.write()
    written = json.loads(notes.target.read_text())
    assert [*written["files"], *written["folders"]] == [place]


LISTED = {
    "listdir": lambda folder: os.listdir(folder),  # noqa: PTH208
    "scandir": lambda folder: list(os.scandir(folder)),
    "glob": lambda folder: glob.glob(f"{folder}/*.csv"),  # noqa: PTH207
    "pathlib": lambda folder: list(Path(folder).rglob("*.csv")),
    "walk": lambda folder: list(os.walk(folder)),
    "here": lambda folder: os.listdir(),  # noqa: PTH208
}


@pytest.fixture
def hooked(notes, tmp_path, monkeypatch):
    """The notes, told of what Python lists; the project's data are the current folder."""
    sys.addaudithook(notes.note_event)
    monkeypatch.chdir(tmp_path / "p" / "data")
    yield notes
    notes._always = ("/",)  # nobody can take a hook away


def written(notes):
    notes.write()
    return json.loads(notes.target.read_text())["folders"]


@pytest.mark.parametrize("how", LISTED)
def test_the_names_in_a_folder_that_the_stage_lists_count(hooked, tmp_path, how):
    folder = tmp_path / "p" / "data"
    lay(folder / "a.csv")
    LISTED[how](str(folder))
    subprocess.run(["touch", "b.csv"], cwd=folder, check=True)  # by somebody else
    LISTED[how](str(folder))
    assert written(hooked) == {str(folder): digest_names(["a.csv"])}  # as they were when it first looked


def test_what_the_stage_adds_to_a_folder_is_there_next_time(hooked, tmp_path):
    folder = tmp_path / "p" / "data"
    assert os.listdir(folder) == []  # noqa: PTH208
    assert written(hooked) == {str(folder): digest_names([])}
    lay(folder / "a.csv")
    (folder / "version_1").mkdir()
    assert written(hooked) == {str(folder): digest_names(["a.csv", "version_1"])}
    (folder / "a.csv").unlink()
    assert written(hooked) == {str(folder): digest_names(["version_1"])}
    (folder / "version_1").rmdir()
    subprocess.run(["touch", "b.csv"], cwd=folder, check=True)
    assert written(hooked) == {str(folder): digest_names([])}


def test_what_an_import_or_nbkit_lists_does_not_count(hooked, tmp_path):
    (tmp_path / "p" / "data" / "mine").mkdir()
    (tmp_path / "p" / "data" / "mine" / "some.py").write_text("")
    sys.path.insert(0, str(tmp_path / "p" / "data"))
    try:
        importlib.import_module("mine.some")
        importlib.metadata.version("pytest")
        find_notebooks(tmp_path / "p")
    finally:
        sys.path.pop(0)
        del sys.modules["mine.some"], sys.modules["mine"]
    assert hooked.folders == {}


def test_what_runs_add_to_a_project_is_no_input(tmp_path):
    for name in ("runs", "registry", "__pycache__", ".git", ".lock", "a.csv"):
        (tmp_path / name).mkdir()
    assert list_names(str(tmp_path)) == ["a.csv"]


def test_folders_that_are_not_there_and_descriptors_are_passed_over(hooked, tmp_path):
    with contextlib.suppress(OSError):
        os.listdir(tmp_path / "p" / "nothing")  # noqa: PTH208
    descriptor = os.open(tmp_path / "p" / "data", os.O_RDONLY)
    os.listdir(descriptor)  # noqa: PTH208
    os.close(descriptor)
    os.listdir(b".")  # noqa: PTH208
    assert sorted(written(hooked)) == [str(tmp_path / "p" / "data"), str(tmp_path / "p" / "nothing")]


def test_a_folder_whose_name_only_begins_like_the_systems_counts(notes, monkeypatch):
    monkeypatch.setattr(os.path, "isfile", lambda place: True)
    for place in ("/processed/x.csv", "/library/x.csv", "/developers/x.csv", "/srv/lib/x.csv"):
        assert not Path(place).exists()
        read(notes, place)
        assert place in notes.files
