"""The bytes of a registry: content-addressed files in a folder or at any fsspec URL."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbkit.errors import CorruptArtifact, StorageFailed
from nbkit.observe import note_kept
from nbkit.store import Store, write_atomic


class LocalFiles(Store):
    """Files in a folder, and beside them small notes that may change."""

    def read_note(self, name: str) -> bytes | None:
        """Return a note, or None where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write_note(self, name: str, content: bytes) -> None:
        """Replace a note in one step."""
        write_atomic(self.folder / name, content)

    def list_files(self) -> Iterator[Path]:
        """Yield the content-addressed files."""
        yield from (path for path in sorted(self.folder.glob("??/*")) if path.is_file())


class RemoteFiles:
    """Files at an fsspec URL, such as ``s3://models/nbkit``; each is verified when it is read.

    Parameters
    ----------
    url
        The folder.

    Raises
    ------
    StorageFailed
        The URL's protocol is unknown or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._fs, self._root = fsspec.url_to_fs(self.url)
        except (ImportError, ValueError, OSError) as error:
            raise StorageFailed(f"the registry's files at {url} cannot be reached: {error}") from error

    def put(self, content: bytes, suffix: str = "") -> str:
        """Keep bytes and return their key, as `nbkit.store.Store.put` does."""
        digest = hashlib.sha256(content).hexdigest()
        key = f"{digest[:2]}/{digest}{suffix}"
        if self._read(key) != content:
            self._write(key, content)
        return key

    def get(self, key: str) -> bytes:
        """Return the bytes of a key; `CorruptArtifact` where they are gone or were changed."""
        content = self._read(key)
        if content is None:
            raise CorruptArtifact(f"{self.url}/{key} is gone: register the model again, or put a backup back")
        if hashlib.sha256(content).hexdigest() != key.rpartition("/")[2].split(".")[0]:
            raise CorruptArtifact(f"{self.url}/{key} was changed after it was saved: register the model again")
        return content

    def read_note(self, name: str) -> bytes | None:
        """Return a note, or None where there is none."""
        return self._read(name)

    def write_note(self, name: str, content: bytes) -> None:
        """Replace a note."""
        self._write(name, content)

    def list_files(self) -> Iterator[Path]:
        """Yield nothing: what is at a URL is not tidied from here."""
        yield from ()

    def _locate(self, key: str) -> str:
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise CorruptArtifact(f"the key {key!r} points outside of {self.url}")
        return f"{self._root}/{key}"

    def _read(self, key: str) -> bytes | None:
        path = self._locate(key)
        try:
            content: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # each protocol has errors of its own
            raise StorageFailed(f"{self.url} cannot be read: {type(error).__name__}: {error}") from error
        return content

    def _write(self, key: str, content: bytes) -> None:
        path = self._locate(key)
        try:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(path, content)
        except Exception as error:  # each protocol has errors of its own
            raise StorageFailed(f"{self.url} cannot be written: {type(error).__name__}: {error}") from error


Files = LocalFiles | RemoteFiles


def open_files(place: str | os.PathLike[str]) -> Any:
    """Return the files at a folder or an fsspec URL."""
    text = os.fspath(place)
    if "://" in text:
        return RemoteFiles(text)
    note_kept(text)
    return LocalFiles(text)
