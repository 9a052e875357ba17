import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbkit.errors import CorruptArtifact
from nbkit.store import Store, write_atomic


@given(content=st.binary())
def test_what_is_put_is_got(tmp_path_factory, content):
    store = Store(tmp_path_factory.mktemp("store"))
    key = store.put(content, ".bin")
    assert store.get(key) == content
    assert store.put(content, ".bin") == key


def test_changed_bytes_are_refused(tmp_path):
    store = Store(tmp_path)
    key = store.put(b"abc")
    store.path(key).write_bytes(b"abd")
    with pytest.raises(CorruptArtifact, match="was changed after it was saved"):
        store.get(key)
    assert store.get(store.put(b"other")) == b"other"


def test_lost_bytes_are_named(tmp_path):
    store = Store(tmp_path)
    key = store.put(b"abc")
    store.path(key).unlink()
    with pytest.raises(CorruptArtifact, match="is gone"):
        store.get(key)


def test_half_a_file_is_mended_by_putting_again(tmp_path):
    store = Store(tmp_path)
    key = store.put(b"abcdef")
    store.path(key).write_bytes(b"abc")
    assert store.get(store.put(b"abcdef")) == b"abcdef"


def test_a_key_cannot_leave_the_folder(tmp_path):
    with pytest.raises(CorruptArtifact, match="outside"):
        Store(tmp_path / "store").get("../secret")


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomic(path, b"old")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_a_writer_that_is_killed_leaves_old_or_new(tmp_path):
    path = tmp_path / "run.json"
    code = (
        "import sys; from pathlib import Path; from nbkit.store import write_atomic\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1; write_atomic(Path(sys.argv[1]), str(n % 10).encode() * 200_000)\n"
        "    print(n, flush=True)\n"
    )
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        for _ in range(20):
            writer.stdout.readline()
        writer.kill()
        writer.wait()
        writer.stdout.close()
        content = path.read_bytes()
        assert len(content) == 200_000
        assert len(set(content)) == 1


def test_two_writers_of_one_file_never_mix(tmp_path):
    path = tmp_path / "run.json"
    code = (
        "import sys; from pathlib import Path; from nbkit.store import write_atomic\n"
        "for _ in range(200): write_atomic(Path(sys.argv[1]), sys.argv[2].encode() * 50_000)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "ab"]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert set(Path(path).read_bytes()) in ({ord("a")}, {ord("b")})
    assert all(writer.returncode == 0 for writer in writers)
