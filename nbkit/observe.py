"""What a stage reads while it runs, noted in its kernel: values of other stages, files, modules of the project.

The runner asks for it by the environment variables ``NBKIT_OBSERVE``, the file that the notes are to be written to, and
``NBKIT_ROOT``, the project, and loads this module as an IPython extension. Anywhere else its functions do nothing.
"""

import contextlib
import hashlib
import json
import os
import site
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

VARIABLE = "NBKIT_OBSERVE"
ROOT = "NBKIT_ROOT"
THREADS = "NBKIT_THREADS"
SYSTEM = (
    "/proc/", "/sys/", "/dev/", "/etc/", "/usr/lib/", "/usr/lib64/", "/usr/share/", "/lib/", "/lib64/", "/var/cache/"
)  # fmt: skip
PERSONAL = (".config", ".local", ".ipython", ".jupyter", ".matplotlib")
PASSING = ("/dev/shm/", "/var/tmp/")  # noqa: S108 - what lies there counts if the stage did not make it
HIDDEN = {".git", "__pycache__", ".ipynb_checkpoints"}
GROWING = {"__pycache__", "runs", "registry"}  # what runs add to a project is no input of theirs
LISTING = ("os.listdir", "os.scandir")
OWN = os.path.dirname(__file__) + os.sep  # noqa: PTH120
CODE = (".py", ".pyc", ".so")


class Notes:
    """What has been read so far.

    Attributes
    ----------
    loads
        ``"05_features.train"`` to the digest of the value.
    files
        Absolute paths that were opened for reading and not written before.
    folders
        Absolute paths of the folders that were listed, to the names that they held.
    notebooks
        Other stages of the run whose executed notebooks were read past nbkit: all that they hand over counts.
    imports
        Modules that were imported by a name which is a value.
    outside
        What was read that may change without anybody noticing, such as a database on a server.
    kept
        Folders of a registry's files, which stages change: their declared effects say whether that matters.
    """

    def __init__(self, target: Path, root: str) -> None:
        self.target = target
        self.loads: dict[str, str] = {}
        self.files: set[str] = set()
        self.folders: dict[str, list[str]] = {}
        self.imports: set[str] = set()
        self.notebooks: set[str] = set()
        self.outside: set[str] = set()
        self.kept: set[str] = set()
        self.pausing = False
        self._written: set[str] = set()
        self._modules: dict[str, str] = {}
        self._seen: dict[str, int] = {}
        self._root = root.rstrip(os.sep) + os.sep
        self._run = str(target.parent) + os.sep
        self._installed = installed_folders()
        self._always = (*self._installed, str(target.parent), os.path.join(root, "runs") + os.sep)  # noqa: PTH118
        self._elsewhere = (*SYSTEM, *_personal())
        self._passing = (*PASSING, tempfile.gettempdir() + os.sep)
        self._began = time.time()

    def note_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take note of a file that Python opens, and of a folder that it lists (an audit hook)."""
        if event == "open" and isinstance(arguments[0], str | bytes):
            self._note_open(*arguments)
        elif event in LISTING and _is_asked(sys._getframe(1), self._installed):
            with contextlib.suppress(TypeError, ValueError):  # a descriptor is not a name
                place = os.path.abspath(os.fsdecode(arguments[0] or "."))  # noqa: PTH100
                if self._counts(place + os.sep):
                    self._note_folder(place)
        elif event == "os.mkdir":
            with contextlib.suppress(TypeError, ValueError):
                self._written.add(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100

    def _note_open(self, path: str | bytes, _: Any, flags: int) -> None:
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - called for each file that is opened
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._written.add(place)
        elif place.startswith(self._run) and place.endswith(".ipynb"):
            if not self.pausing:
                self.notebooks.add(os.path.basename(place)[: -len(".ipynb")])  # noqa: PTH119
        elif self._counts(place) and os.path.isfile(place):  # noqa: PTH113
            self.files.add(place)

    def note_file(self, place: str) -> None:
        """Take note of a file or folder that the stage was told to read, unless it has made it itself."""
        if place.startswith(self._always):
            return
        if os.path.isdir(place):  # noqa: PTH112
            self._note_folder(place)
        elif place not in self._written and os.path.exists(place):  # noqa: PTH110
            self.files.add(place)

    def _note_folder(self, place: str) -> None:
        if place not in self.folders:
            self.folders[place] = list_names(place)

    def _settle(self, place: str, names: list[str]) -> list[str]:
        """Return the names in a folder with those that the stage has added itself: the next run finds them there."""
        now = list_names(place)
        added = {os.path.join(place, name) for name in set(now) - set(names)}  # noqa: PTH118
        return now if added <= self._written and set(names) <= set(now) else names

    def _counts(self, place: str) -> bool:
        """Return, judged by its name alone, whether a file matters: importing opens a thousand of them."""
        if place.endswith(CODE) or place.startswith(self._always) or place in self._written:
            return False
        if place.startswith(self._passing) and not place.startswith(self._root):
            return self._is_older(place)
        if not place.startswith(self._root) and place.startswith(self._elsewhere):
            return False
        return HIDDEN.isdisjoint(place.split("/"))

    def _is_older(self, place: str) -> bool:
        """Return whether a file existed before this stage started: an input, not something a library just wrote."""
        try:
            return os.stat(place).st_mtime < self._began  # noqa: PTH116
        except OSError:
            return False

    def write(self) -> None:
        """Write down everything noted so far."""
        content = {
            "loads": self.loads,
            "files": sorted(self.files - self._written),
            "folders": {place: digest_names(self._settle(place, names)) for place, names in self.folders.items()},
            "imports": sorted(self.imports),
            "notebooks": sorted(self.notebooks),
            "outside": sorted(self.outside),
            "kept": sorted(self.kept),
            "modules": self._find_modules(),
        }
        with contextlib.suppress(OSError):  # a stage without notes is one that runs again
            self.target.write_text(json.dumps(content), encoding="utf-8")

    def _find_modules(self) -> dict[str, str]:
        """Return the modules that are nobody's installed package, and nbkit's: name to file."""
        for name, module in list(sys.modules.items()):
            if self._seen.get(name) == id(module):  # thousands of them, after each cell
                continue
            self._seen[name] = id(module)
            file = getattr(module, "__file__", None)
            if not isinstance(file, str) or (file.startswith(self._installed) and not name.startswith("nbkit.")):
                continue
            if file.endswith(".py") and os.path.isabs(file):  # noqa: PTH117
                self._modules[name] = file
        return self._modules


_notes: Notes | None = None


def load_ipython_extension(shell: Any) -> None:
    """Begin to take notes in a kernel, and write them after each cell."""
    global _notes
    if "exit_now" in shell.trait_names():  # an end that no reply to the cell would tell of
        shell.observe(lambda _: shell.payload_manager.write_payload({"source": "ask_exit"}), "exit_now")
    if threads := os.environ.get(THREADS):
        from nbkit.threads import limit_threads

        limit_threads(int(threads))
    if target := os.environ.pop(VARIABLE, ""):
        _notes = Notes(Path(target), os.environ.get(ROOT, ""))
        sys.addaudithook(_notes.note_event)
        shell.events.register("post_run_cell", lambda *_: _notes.write() if _notes else None)


def take_notes(path: Path) -> dict[str, Any]:
    """Read and remove what a kernel noted; empty if it noted nothing, and the stage will run again next time."""
    try:
        notes = json.loads(path.read_bytes())
    except (OSError, ValueError):
        notes = {}
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    return dict(notes)


def note_load(stage: str, name: str, digest: str) -> None:
    """Take note of a value that was read from another stage."""
    if _notes:
        _notes.loads[f"{stage}.{name}"] = digest


@contextlib.contextmanager
def reading_notebook() -> Iterator[None]:
    """Read a notebook of the run without noting all of it: what is taken from it is noted by `note_load`."""
    if _notes:
        _notes.pausing = True
    try:
        yield
    finally:
        if _notes:
            _notes.pausing = False


def note_files(paths: "list[Path]") -> None:
    """Take note of files that a library reads without Python noticing, and of folders whose list of files counts."""
    for path in paths if _notes else ():
        _notes.note_file(str(path.absolute()))  # type: ignore[union-attr]


def note_import(module: str) -> None:
    """Take note of a module whose name stands in a parameter rather than in code."""
    if _notes:
        _notes.imports.add(module)


def note_outside(what: str) -> None:
    """Take note that something was read whose change nobody could notice."""
    if _notes:
        _notes.outside.add(what)


def note_kept(folder: str) -> None:
    """Take note of the folder of a registry's files."""
    if _notes:
        _notes.kept.add(os.path.abspath(folder))  # noqa: PTH100


def list_names(folder: str) -> list[str]:
    """List the names that a folder holds, without what is hidden and what runs add; none if there is no such folder."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []
    return [name for name in names if name[0] != "." and name not in GROWING]


def digest_names(names: list[str]) -> str:
    """Digest the names that `list_names` has listed.

    Examples
    --------
    >>> digest_names(["a.csv"]) == digest_names(["a.csv", "b.csv"])
    False
    """
    return hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()


def _is_asked(frame: FrameType | None, installed: tuple[str, ...]) -> bool:
    """Return whether a cell or a module of the project has a folder listed, rather than an import or nbkit itself."""
    while frame:
        file = frame.f_code.co_filename
        if file.startswith(("<frozen importlib", OWN)) or "/importlib/" in file:
            return False
        if not file.startswith(("<frozen", *installed)):
            return True
        frame = frame.f_back
    return False


def installed_folders() -> tuple[str, ...]:
    """Return the folders that hold installed packages and the standard library, each with a slash at its end."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    folders |= {folder for folder in sys.path if folder.rstrip(os.sep).endswith(("site-packages", "dist-packages"))}
    return tuple(folder.rstrip(os.sep) + os.sep for folder in sorted(folders))


def _personal() -> tuple[str, ...]:
    home = os.path.expanduser("~")  # noqa: PTH111
    return tuple(os.path.join(home, name) + os.sep for name in PERSONAL)  # noqa: PTH118
