"""Runs at any fsspec URL: copied there stage by stage, found there by other machines, and read back by hash.

Below the URL lie ``<run>/`` (record, notebooks, logs, report), ``artifacts/`` (the bytes of all runs, each kept once)
and ``.traces/``. A run's record is written after all that it speaks of, so what is found there is whole.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from nbkit.errors import BadParameter, StorageFailed
from nbkit.record import RECORD
from nbkit.scraps import STORE
from nbkit.store import Store, write_atomic

VARIABLE = "NBKIT_STORAGE"
FETCHED = ".fetched"  # where runs of other machines are put, below `runs/`
FOLDERS = {"file", "local", "sftp", "ssh", "smb", "hdfs"}  # where a reader could meet half of a file
WAITS = (0.0, 1.0, 4.0)  # seconds before each try

Result = TypeVar("Result")


class Storage:
    """Runs at a URL.

    Parameters
    ----------
    url
        Anything that fsspec knows, such as ``s3://bucket/team`` or ``/mnt/shared/runs``.
    runs
        The project's own ``runs/``.

    Raises
    ------
    BadParameter
        If nothing here speaks the URL's protocol.
    """

    def __init__(self, url: str, runs: Path) -> None:
        self.url = url.rstrip("/") if "://" in url else str(Path(url).resolve())
        self.runs = runs
        self._there: set[str] = set()
        self._pushed: dict[Path, int] = {}

    @cached_property
    def _fs(self) -> tuple[Any, str]:
        import fsspec

        try:
            fs, path = fsspec.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise BadParameter(f"{self.url} cannot be used to keep runs: {error}") from None
        return fs, path.rstrip("/")

    # --- writing

    def push(self, folder: Path, traces: Iterable[Path] = ()) -> None:
        """Copy of a run what is not there yet; its record last.

        Parameters
        ----------
        folder
            The run.
        traces
            What its stages left for later runs.

        Raises
        ------
        StorageFailed
            If it cannot be written, after several tries; what is there already stays.
        """
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
        record = folder / RECORD
        for path in files:
            place = path.relative_to(folder)
            if place.parts[0] == STORE:
                self._push_artifact(path, "/".join(place.parts[1:]))
            elif path != record:
                self._push_file(path, f"{folder.name}/{place.as_posix()}")
        for path in traces:
            self._push_file(path, f".traces/{path.parent.name}/{path.name}")
        self._push_file(record, f"{folder.name}/{RECORD}")

    def push_report(self, folder: Path) -> None:
        """Copy a run's report.

        Raises
        ------
        StorageFailed
            As `push`.
        """
        for path in sorted((folder / "report").rglob("*.*")):
            self._push_file(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")

    def _push_artifact(self, path: Path, key: str) -> None:
        if key not in self._there and not self.holds([key]):
            self._write(Store(path.parents[1]).get(key), f"{STORE}/{key}")
        self._there.add(key)

    def _push_file(self, path: Path, place: str) -> None:
        stamp = path.stat().st_mtime_ns
        if self._pushed.get(path) != stamp:
            self._write(path.read_bytes(), place)
            self._pushed[path] = stamp

    def _write(self, content: bytes, place: str) -> None:
        fs, base = self._fs
        target = f"{base}/{place}"
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)

        def write() -> None:
            if protocols.isdisjoint(FOLDERS):
                fs.pipe_file(target, content)
                return
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            fs.pipe_file(f"{target}.part", content)
            fs.mv(f"{target}.part", target)

        self._try(write, f"take {place}")

    def _try(self, act: Callable[[], Result], what: str) -> Result:
        for wait in WAITS:
            time.sleep(wait)
            try:
                return act()
            except FileNotFoundError:
                raise
            except Exception as error:  # each protocol has errors of its own
                last = error
        raise StorageFailed(f"{self.url} does not {what}: {type(last).__name__}: {last}") from last

    # --- reading

    def holds(self, keys: Iterable[str]) -> bool:
        """Return whether all of these artifacts are there."""
        fs, base = self._fs
        return self._try(lambda: all(fs.exists(f"{base}/{STORE}/{key}") for key in keys), "answer")

    def list_runs(self) -> list[str]:
        """Return the names of the runs that are there."""
        fs, base = self._fs
        fs.invalidate_cache()
        found = self._try(lambda: fs.glob(f"{base}/*/{RECORD}"), "answer")
        return sorted(str(path).split("/")[-2] for path in found)

    def fetch_run(self, name: str, files: Collection[str] = ()) -> Path:
        """Bring a run here, without its artifacts: they come when they are read.

        Parameters
        ----------
        name
            The run.
        files
            What to bring of it, as seen from its folder; all by default.

        Returns
        -------
        Path
            Its folder below ``runs/.fetched/``, or below ``runs/`` if it was made here.

        Raises
        ------
        FileNotFoundError
            If there is no such run.
        """
        if (self.runs / name / RECORD).is_file():
            return self.runs / name
        fs, base = self._fs
        folder = self.runs / FETCHED / name
        fs.invalidate_cache()
        for path in self._try(lambda: fs.find(f"{base}/{name}"), "answer"):
            place = str(path).removeprefix(f"{base}/{name}/")
            if place != RECORD and (not files or place in files):
                self._read(f"{name}/{place}", folder / place)
        self._read(f"{name}/{RECORD}", folder / RECORD)
        return folder

    def pull_traces(self, traces: Path, stage: str, key: str) -> None:
        """Bring the traces here that other machines have left of a stage that was given the same."""
        fs, base = self._fs
        fs.invalidate_cache()
        for path in self._try(lambda: fs.glob(f"{base}/.traces/{stage}/{key}-*.json"), "answer"):
            name = str(path).rpartition("/")[2]
            if not (traces / stage / name).is_file():
                self._read(f".traces/{stage}/{name}", traces / stage / name)

    def _read(self, place: str, target: Path) -> None:
        fs, base = self._fs
        write_atomic(target, self._try(lambda: fs.cat_file(f"{base}/{place}"), f"give {place}"))


def open_storage(root: Path, url: str = "") -> Storage | None:
    """Return the storage that is asked for, or that the environment variable ``NBKIT_STORAGE`` names, if any.

    Raises
    ------
    BadParameter
        If the URL lacks its colon: it would be a folder.
    """
    url = url or os.environ.get(VARIABLE, "")
    if found := re.match(r"(\w+)//", url):
        raise BadParameter(f"{url} is neither a URL nor a folder: did you mean {found[1]}://{url[found.end() :]}?")
    return Storage(url, root / "runs") if url else None
