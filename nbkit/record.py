"""The record of a run, ``run.json``: the truth about each stage. Start here to understand `nbkit.pipeline`.

A run is a folder; its record says what was asked for, in which surroundings, and how each stage went. The runner writes
it whole after every step, so at any moment, also after a crash, it says what is true. Everybody else reads it with
`read_record` and asks for attributes. Fields that a newer nbkit has added are passed over; fields that an older one did
not write have their defaults.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from nbkit.lifecycle import MONITOR
from nbkit.store import write_atomic

RECORD = "run.json"
SWEEP = "sweep.json"
UNREADABLE = "unreadable"  # the status of a run whose record is damaged

Status = Literal["pending", "running", "passed", "failed", "refused", "interrupted"]


class StageRecord(msgspec.Struct):
    """How one stage of a run went.

    Attributes
    ----------
    stage
        Its name, such as ``"06_train"``.
    status
        ``"pending"`` (not begun), ``"running"``, ``"passed"`` (every code cell ran), ``"failed"``, ``"refused"`` (a
        gate or the contract said no) or ``"interrupted"``.
    kind
        Why it did not pass: a key of `nbkit.pipeline.outcome.SENTENCES`; empty if it passed.
    message
        The same as a sentence.
    cell, source, tail, traceback
        The code cell that ended it (counted from 1), its source, its last lines of output, the traceback. While it
        runs, `cell` is the one that runs, as it was at most a moment ago.
    cells
        How many code cells it has; 0 until one runs.
    why
        Why it was run or taken over.
    started, ended
        ISO 8601, UTC.
    seconds, peak_gb
        How long it took, and the most memory that its kernel was seen to hold.
    attempt
        Counted from 1; more if it was retried.
    threads
        How many threads it computed with.
    notebook
        Its source, relative to the project.
    code
        The digest of the code that was executed.
    headline
        What it handed over as ``headline``.
    traced
        Whether it left a trace, by which later runs take it over.
    borrowed
        The run that executed it, if this one took it over; else empty.
    """

    stage: str
    status: Status
    kind: str = ""
    message: str = ""
    cell: int = 0
    cells: int = 0
    source: str = ""
    tail: str = ""
    traceback: str = ""
    why: str = ""
    started: str = ""
    ended: str = ""
    seconds: float | None = None
    peak_gb: float = 0.0
    attempt: int = 0
    threads: int = 0
    notebook: str = ""
    code: str = ""
    headline: str = ""
    traced: bool = False
    borrowed: str = ""


class Git(msgspec.Struct):
    """The commit of the project, and how many files were changed since; `dirty` is None if git did not say in time."""

    commit: str = ""
    dirty: bool | None = None
    changed: int = 0


class Surroundings(msgspec.Struct):
    """What a run happened in: interpreter, machine, versions of packages, git commit."""

    python: str = ""
    platform: str = ""
    cores: int | None = None
    versions: dict[str, str] = {}
    git: Git = msgspec.field(default_factory=Git)


class Resumption(msgspec.Struct):
    """When a run was gone on with, and in which surroundings."""

    at: str = ""
    surroundings: Surroundings = msgspec.field(default_factory=Surroundings)


class RunRecord(msgspec.Struct):
    """What a run was asked to do, and how far it came.

    Attributes
    ----------
    run, project, root
        The folder's name, the params' name, the project's folder.
    status
        ``"running"``, ``"passed"``, ``"failed"``, ``"refused"`` or ``"interrupted"``; `UNREADABLE` if the file is
        damaged, empty if there is none.
    exit
        The exit code; None while the run is at work.
    started, ended
        ISO 8601, UTC.
    resumed
        One entry each time that the run was gone on with.
    pid
        The process that works on it.
    storage, not_stored
        The URL that it is copied to, and why not all of it could be; both may be empty.
    command, files, settings
        The command line, the params files and the ``--set`` texts.
    parameters, defaults
        Stage to the values it was given, and to those of its parameters cell.
    use
        Stage to the modules of the project that it imports first.
    modules
        The digest of each of these modules.
    secrets
        The names of the environment variables whose values are scrubbed.
    surroundings
        Where it began.
    stages
        In order.
    """

    run: str = ""
    project: str = ""
    root: str = ""
    status: str = ""
    exit: int | None = None
    started: str = ""
    ended: str | None = None
    resumed: list[Resumption] = []
    pid: int = 0
    storage: str = ""
    not_stored: str = ""
    command: list[str] = []
    files: list[str] = []
    settings: list[str] = []
    parameters: dict[str, dict[str, Any]] = {}
    defaults: dict[str, dict[str, Any]] = {}
    use: dict[str, list[str]] = {}
    modules: dict[str, str] = {}
    secrets: list[str] = []
    surroundings: Surroundings = msgspec.field(default_factory=Surroundings)
    stages: list[StageRecord] = []

    @property
    def is_look(self) -> bool:
        """Whether it is a run of the monitor, which looks at one window of a registered version."""
        return {each.stage for each in self.stages} == {MONITOR}

    @property
    def stopped(self) -> StageRecord | None:
        """The first stage that has begun and not passed, if any."""
        return next((each for each in self.stages if each.status not in ("passed", "pending")), None)

    @property
    def seconds(self) -> float:
        """The seconds of the stages that this run executed itself."""
        return sum(each.seconds or 0.0 for each in self.stages if not each.borrowed)

    @property
    def code(self) -> str:
        """The sha256 of the code of all stages that ran, and of the modules that they use; empty if none is known."""
        known = [f"{each.stage} {each.code}" for each in self.stages if each.code]
        text = "\n".join([*known, *(f"{name} {digest}" for name, digest in sorted(self.modules.items()))])
        return hashlib.sha256(text.encode()).hexdigest() if known else ""

    def find(self, stage: str) -> StageRecord | None:
        """Return the record of a stage, or None if the run does not have it."""
        return next((each for each in self.stages if each.stage == stage), None)

    def has_passed(self, stage: str) -> bool:
        """Return whether a stage has passed in this run."""
        found = self.find(stage)
        return found is not None and found.status == "passed"


class Listener:
    """Hears what happens in a run, in the order of time; a subclass overrides what it wants to hear."""

    def on_run_start(self, folder: Path, record: RunRecord) -> None:
        """The run begins."""

    def on_stage_taken(self, stage: StageRecord, why: str) -> None:
        """A stage that passed before, here or in another run, is taken as it is."""

    def on_stage_wait(self, stage: str) -> None:
        """Another run computes the same stage just now, so this one waits for it."""

    def on_edit_kept(self, stage: str, path: Path) -> None:
        """The run's copy of a notebook was edited after it ran; the edit is kept at `path`."""

    def on_stage_start(self, stage: str, attempt: int) -> None:
        """A kernel is started for a stage."""

    def on_cell(self, stage: str, number: int, total: int) -> None:
        """A code cell starts."""

    def on_step(self) -> None:
        """A moment has passed; called a few times a second."""

    def on_stage_end(self, stage: StageRecord, folder: Path) -> None:
        """The execution of a stage has ended."""

    def on_not_stored(self, why: str) -> None:
        """The run cannot be copied to its storage, and goes on."""

    def on_run_end(self, folder: Path, record: RunRecord) -> None:
        """The run is over."""


def now() -> str:
    """Return the time as ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def read_record(folder: Path) -> RunRecord:
    """Read ``run.json`` of a run's folder; an empty record where there is none, one that is `UNREADABLE` if damaged."""
    try:
        return msgspec.convert(json.loads((folder / RECORD).read_bytes()), RunRecord)  # json: NaN may be a parameter
    except (FileNotFoundError, NotADirectoryError):
        return RunRecord()
    except (OSError, ValueError, RecursionError):
        return RunRecord(status=UNREADABLE)


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` so that no reader ever meets half of it."""
    write_atomic(folder / RECORD, json.dumps(to_plain(record), indent=1, ensure_ascii=False).encode())


def to_plain(record: msgspec.Struct) -> dict[str, Any]:
    """Return a record as plain values for JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(record, enc_hook=str)
    return plain


def name_sweep(folder: Path) -> str:
    """Return the sweep that a run is a point of; empty if it is none."""
    sweep = folder.name.rpartition("-")[0]
    return sweep if sweep and (folder.parent / sweep / SWEEP).is_file() else ""


def iterate_runs(root: Path, *, points: bool = True) -> Iterator[tuple[Path, RunRecord]]:
    """Yield the project's runs with their records, newest first; without `points`, none that is a point of a sweep."""
    folders = (path.parent for path in (root / "runs").glob(f"*/{RECORD}"))
    found = [(folder, read_record(folder)) for folder in folders if points or not name_sweep(folder)]
    yield from sorted(found, key=lambda pair: (pair[1].started, pair[0].name), reverse=True)
