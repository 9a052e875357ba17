"""What counts as read by a stage, and what is the machine's or its own."""

import json
import os
import tempfile
import time
from pathlib import Path

import pytest

from nbkit.observe import Notes


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
    notes.note_open("open", (place, None, flags))


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


@pytest.mark.parametrize("name", ["tmp/a.csv", "home/.config/a.csv", "p/data/a.csv", "p/data"])
def test_what_a_stage_was_told_to_read_always_counts(notes, tmp_path, name):
    path = tmp_path / name
    place = str(path) if path.is_dir() else lay(path, age=-5)
    notes.note_file(place)
    notes.write()
    assert json.loads(notes.target.read_text())["files"] == [place]


def test_a_folder_whose_name_only_begins_like_the_systems_counts(notes, monkeypatch):
    monkeypatch.setattr(os.path, "isfile", lambda place: True)
    for place in ("/processed/x.csv", "/library/x.csv", "/developers/x.csv", "/srv/lib/x.csv"):
        assert not Path(place).exists()
        read(notes, place)
        assert place in notes.files
