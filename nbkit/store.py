"""Bytes by key: a folder in which content is its own name and is verified on every read."""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nbkit.errors import CorruptArtifact

UNDER_WAY = 3600  # seconds in which a file without an owner may still get one


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones and a crash leaves no half.

    Parameters
    ----------
    path
        Where to; the folder is made if need be.
    content
        The whole file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def digest_file(path: Path) -> str:
    """Return the sha256 of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_settled(path: Path) -> bool:
    """Return whether a file was written so long ago that whoever wrote it would have made something of it by now."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > UNDER_WAY
    return False


class Store:
    """Content-addressed files in a folder.

    Parameters
    ----------
    folder
        Made on the first `put`.
    find_remote
        Returns the fsspec URL of a folder that holds the same keys, or an empty text: what is not here is brought from
        there, once.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp())
    >>> key = store.put(b"a,b", ".csv")
    >>> key[:9], store.get(key)
    ('1e/1eb7c5', b'a,b')
    """

    def __init__(self, folder: str | os.PathLike[str], find_remote: Callable[[], str] = str) -> None:
        self.folder = Path(folder)
        self.find_remote = find_remote

    def put(self, content: bytes, suffix: str = "") -> str:
        """Keep bytes and return their key, ``<2 hex>/<sha256><suffix>``; the same bytes are kept once."""
        digest = hashlib.sha256(content).hexdigest()
        key = f"{digest[:2]}/{digest}{suffix}"
        path = self.folder / key
        if not path.is_file() or path.read_bytes() != content:  # bytes that were changed are put right
            write_atomic(path, content)
        return key

    def path(self, key: str) -> Path:
        """Return where the bytes of a key lie, refusing keys that point outside of the folder."""
        folder = self.folder.resolve()
        path = (folder / key).resolve()
        if not path.is_relative_to(folder):
            raise CorruptArtifact(f"the key {key!r} points outside of {self.folder}")
        return path

    def get(self, key: str) -> bytes:
        """Return the bytes of a key.

        Raises
        ------
        CorruptArtifact
            If they are gone or are no longer the bytes that were put.
        """
        path = self.path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = self._fetch(key)
        if hashlib.sha256(content).hexdigest() != path.name.split(".")[0]:
            raise CorruptArtifact(f"{path} was changed after it was saved: run the stage that saved it again")
        return content

    def _fetch(self, key: str) -> bytes:
        """Bring bytes from the remote folder, and keep them if they are what the key says."""
        remote = self.find_remote()
        if not remote:
            raise CorruptArtifact(f"{self.folder / key} is gone: run the stage that saved it again")
        import fsspec

        try:
            fs, path = fsspec.url_to_fs(f"{remote}/{key}")
            content: bytes = fs.cat_file(path)
        except Exception as error:  # each protocol has errors of its own
            raise CorruptArtifact(f"{key} is not here, and {remote} does not give it: {error}") from None
        if hashlib.sha256(content).hexdigest() == Path(key).name.split(".")[0]:
            write_atomic(self.folder / key, content)
        return content
