"""What one execution of a stage was given, what it was seen to read, and what it handed over."""

import contextlib
import datetime as dt
import hashlib
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from nbkit.extend import import_from
from nbkit.kernels import read_imports
from nbkit.observe import installed_folders
from nbkit.pipeline.fingerprint import Memo, find_packages, list_versions
from nbkit.scraps import STORE, digest_scraps, list_artifacts, read_scraps
from nbkit.stages.notebooks import LONGEST, Stage

CHANGED = "changed while the stage ran"
UNKNOWN = "?"  # what a stage left outside of its run cannot be told
# what they import keeps results and makes none
HANDING_OVER = ("nbkit.run", "nbkit.scraps", "nbkit.formats", "nbkit.pictures", "nbkit.trust")
Handed = Mapping[str, "dict[str, str] | None"]


@dataclass(frozen=True)
class Trace:
    """What one execution of a stage was given, what it read, and what it handed over.

    Attributes
    ----------
    stage, run
        Which stage, and the run in which its notebook and its artifacts lie.
    python, threads, cells, parameters
        What it was given: the interpreter's version, the threads it computed with, one digest a code cell, the values.
    loads
        ``"05_features.train"`` to the digest of the value.
    files, modules
        Path (from the project's root where it lies below) to digest; ``"data/"`` to that of the names in a folder.
    packages
        Distribution to version.
    outside
        What it read that may change without anybody noticing.
    effects
        What it left outside of its run, as described when it had passed.
    saves
        Name to the digest of the value that it handed over.
    artifacts
        Key in the run's store to the sha256 of its bytes.
    notebook
        The sha256 of the executed notebook.
    """

    stage: str
    run: str
    python: str
    threads: int
    cells: list[str]
    parameters: dict[str, Any]
    loads: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    effects: str = ""
    saves: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    notebook: str = ""

    @property
    def key(self) -> str:
        """The digest of what it was given."""
        parameters = sorted(self.parameters.items())  # the order of a value's own keys counts
        given = [self.python, self.threads, self.cells, parameters]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:16]


def begin_trace(stage: Stage, parameters: dict[str, Any], threads: int) -> Trace:
    """Return what is known of a stage before it runs."""
    return Trace(stage.name, "", platform.python_version(), threads, list(stage.cells), parameters)


def finish_trace(
    now: Trace, stage: Stage, folder: Path, began: str, seen: Mapping[str, Any], handed: Handed, memo: Memo
) -> Trace:
    """Return the trace of a stage that has passed.

    Parameters
    ----------
    now, stage
        From `begin_trace`, and what it was called with.
    folder
        The run, in ``runs/`` of the project.
    began
        When it began, as in the record: what has changed since then may not be what it read.
    seen
        What was noted in its kernel (`nbkit.observe`).
    handed
        Earlier stage to the digests of what it handed over.
    memo
        What digests files.
    """
    root = folder.parents[1]
    notebook = folder / f"{stage.name}.ipynb"
    scraps = read_scraps(notebook)
    installed, started = installed_folders(), dt.datetime.fromisoformat(began).timestamp()
    own = [Path(path) for path in seen["modules"].values() if not path.startswith(installed)]
    computing = [stage.path, *(Path(path) for name, path in seen["modules"].items() if name not in HANDING_OVER)]
    named = {name.partition(".")[0] for name in seen["imports"]}
    named |= {name.partition(".")[0] for path in computing for name in read_imports(path)}
    texts = {*stage.file_names, *_list_texts(now.parameters)}
    opened = [Path(path) for path in seen["files"] if not _is_kept(path, stage, seen)]
    read = {path: _digest_settled(path, started, memo) for path in opened}
    mentioned = {path: _digest_settled(path, started, memo) for path in _find_named(texts, root, stage.path.parent)}
    read |= {path: digest for path, digest in mentioned.items() if digest != CHANGED}  # else it may have made it
    return replace(
        now,
        run=folder.name,
        loads={**dict(_list_loads(seen, handed)), **seen["loads"]},
        files={_name(path, root): digest for path, digest in read.items()}
        | {f"{_name(Path(path), root)}/": digest for path, digest in seen["folders"].items()},
        modules={_name(path, root): _digest_settled(path, started, memo) for path in own},
        packages=find_packages(named - sys.stdlib_module_names) | _own_version(),
        outside=seen["outside"],
        effects=describe_effects(stage, now.parameters, scraps, root),
        saves=digest_scraps(scraps),
        artifacts={key: memo.digest(folder / STORE / key) for key in list_artifacts(scraps)},
        notebook=memo.digest(notebook),
    )


def _is_kept(path: str, stage: Stage, seen: Mapping[str, Any]) -> bool:
    """Return whether a file belongs to a registry, which the stage's effects answer for: others write there as well."""
    return ":" in stage.effects and any(path.startswith(folder + os.sep) for folder in seen.get("kept", ()))


def describe_effects(stage: Stage, parameters: dict[str, Any], scraps: dict[str, Any], root: Path) -> str:
    """Describe what a stage left outside of its run, by the function that its notebook names.

    Returns
    -------
    str
        Empty if it leaves nothing; ``"?"`` if the function cannot tell, and the stage then runs each time.
    """
    module, colon, function = stage.effects.partition(":")
    if not colon:
        return ""
    import_from(root)
    try:
        return str(getattr(importlib.import_module(module), function)(parameters, scraps, root))
    except Exception:  # a function of the project's own may fail in any way
        return UNKNOWN


def _list_loads(seen: Mapping[str, Any], handed: Handed) -> Iterator[tuple[str, str]]:
    """Yield what was read past `run.load`: all of the notebooks that were read whole."""
    for stage, digests in handed.items():
        if stage in seen["notebooks"]:
            yield from ((f"{stage}.{name}", digest) for name, digest in (digests or {}).items())


def _find_named(texts: set[str], root: Path, folder: Path) -> Iterator[Path]:
    """Yield the files whose names stand in a cell or are a parameter's value: a library may read them unseen."""
    for name, base in product(sorted(texts), (root, folder)):
        path = Path(os.path.normpath(base / name))
        inside = path.is_relative_to(root / "runs") or path.suffix == ".ipynb"
        with contextlib.suppress(OSError, ValueError):  # a text may be no name at all
            if not inside and path.is_file():
                yield path


def _list_texts(value: Any) -> Iterator[str]:
    """Yield the texts in a parameter's value that could be names of files."""
    if isinstance(value, str):
        if 0 < len(value) < LONGEST and value.isprintable():
            yield value
    elif isinstance(value, dict):
        yield from (text for each in value.values() for text in _list_texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _list_texts(each))


def _digest_settled(path: Path, started: float, memo: Memo) -> str:
    """Digest what was read; nothing equals what was changed meanwhile."""
    with contextlib.suppress(OSError):
        facts = (path.stat(), path.lstat())  # a file that is moved to a place, or a link to it, keeps its st_mtime
        if max(max(each.st_mtime, each.st_ctime) for each in facts) < started:
            return memo.digest(path)
    return CHANGED


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _own_version() -> dict[str, str]:
    return {"nbkit": list_versions()["nbkit"]} if "nbkit" in list_versions() else {}
