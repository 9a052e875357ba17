"""Tells whether what a stage handed over is what its notebook, inputs and parameters would give today.

Each `Run.save` also writes down, beside the scraps, what the kernel had read and executed by then: the digests of the
values that were loaded, of the cells that ran and in which order, of the project's modules, of the parameters. A result
is stale as soon as one of them is no longer what it was, or one of its inputs is stale itself.
"""

import ast
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nbkit.cells import digest_cell, digest_notebook, find_names
from nbkit.record import RunRecord, iterate_runs, read_record
from nbkit.scraps import ALL, STORE, digest_value, find_scraps, read_notebook
from nbkit.store import digest_file, write_atomic

MIME = "application/vnd.nbkit.read+json"
CHOSEN = "NBKIT_RUN"  # an environment variable: the run that the desk takes in place of the latest
UNKNOWN = -1  # when a cell ran that nobody has seen run
_loads: dict[str, str] = {}  # of this kernel: "05_features.train" to the digest of what was loaded last
_modules: dict[str, str] = {}  # path from the project's root to its sha256 when it was imported
_ids: dict[int, str] = {}  # execution count to the id that the notebook gives the cell
_seen: set[str] = set()  # names of modules that were looked at
_listening: list[Path] = []


class Desk:
    """The notebooks' folder of a project, where the latest of a stage may also be that of a batch run.

    Parameters
    ----------
    folder
        Where the notebooks lie.
    root
        The project.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        wanted = os.environ.get(CHOSEN, "")
        self._runs = [pair for pair in iterate_runs(root, points=False) if wanted in ("", pair[0].name)]
        self._read = cache(read_notebook)
        self._causes: dict[str, tuple[str, str] | None] = {}

    def find(self, stage: str) -> Path | None:
        """Return the executed notebook of a stage: its own, or that of the latest batch run if that is newer."""
        here = self.folder / f"{stage}.ipynb"
        passed = (folder / f"{stage}.ipynb" for folder, record in self._runs if record.has_passed(stage))
        there = next((path for path in passed if path.is_file()), None)
        ran_here = here.is_file() and bool(find_scraps(self._read(here)))
        return here if ran_here and (there is None or here.stat().st_mtime > there.stat().st_mtime) else there

    def find_record(self, stage: str) -> RunRecord:
        """Return the record of the latest batch run that knows what a stage is given; an empty one if there is none."""
        known = (record for _, record in self._runs if stage in record.parameters)
        leading = (each for each in known if any(ran.stage <= stage for ran in each.stages))  # a monitor begins later
        return next(leading, RunRecord())

    def why_stale(self, stage: str) -> str:
        """Say why what a stage handed over is not what it would hand over now; empty if nothing says so."""
        cause = self._find_cause(stage)
        return "" if cause is None else cause[1] if cause[0] == stage else f"{cause[0]} is stale: {cause[1]}"

    def _find_cause(self, stage: str) -> tuple[str, str] | None:
        """Return the stage with which it begins, and what is wrong with that."""
        if stage not in self._causes:
            self._causes[stage] = None  # a circle ends here
            own = next(self._find_reasons(stage), "")
            inherited = (self._find_cause(source) for source in self._list_sources(stage))
            self._causes[stage] = (stage, own) if own else next(filter(None, inherited), None)
        return self._causes[stage]

    def _find_reasons(self, stage: str) -> Iterator[str]:
        found, own = self.find(stage), self.folder / f"{stage}.ipynb"
        if unsaved := self._explain_unsaved(stage, found):
            yield unsaved
        if found is None:
            yield "it has not run"
            return
        executed, given = self._read(found), digest_given(self.find_record(stage), stage)
        if found != own and own.is_file():
            yield from _compare_with_sources(self._read(own)["cells"], read_record(found.parent), stage)
        for place, note in list_notes(executed):
            if found == own:
                yield from (words for _, words in explain_cells(executed["cells"][: place + 1], note["cells"]))
                if note["given"] != given:
                    yield "the latest run gives it other parameters"
            modules = note["modules"].items()
            yield from (f"{path} was changed" for path, was in modules if _digest(self.root / path) != was)
            yield from self._explain_loads(note["loads"])

    def _explain_loads(self, loads: Mapping[str, str]) -> Iterator[str]:
        for place, digest in loads.items():
            source, name = place.split(".", 1)
            notebook = self.find(source)
            scraps = find_scraps(self._read(notebook)) if notebook else {}
            if digest_value(sorted(scraps) if name == ALL else scraps.get(name)) != digest:
                yield f"{source} hands over another {name} now"

    def _list_sources(self, stage: str) -> list[str]:
        found = self.find(stage)
        notes = list_notes(self._read(found)) if found else ()
        return list(dict.fromkeys(place.split(".", 1)[0] for _, note in notes for place in note["loads"]))

    def _explain_unsaved(self, stage: str, found: Path | None) -> str:
        """Say that a kernel has handed over what its notebook's file does not hold yet."""
        marker = _mark(self.folder, stage)
        saved = _read_mark(marker)
        if not saved or (found and found.parent != self.folder and found.stat().st_mtime > marker.stat().st_mtime):
            return ""
        held = {name: digest_value(data) for name, data in (find_scraps(self._read(found)) if found else {}).items()}
        other = next((name for name, digest in saved.items() if held.get(name) != digest), "")
        return f"it handed over another {other} at the desk, and was not saved since (Ctrl-S)" if other else ""


def listen(root: Path) -> None:
    """Begin to note, in a kernel, which cells run and which modules of the project they import."""
    shell = _find_shell()
    if shell is not None and not _listening:
        _listening.append(root)
        shell.events.register("pre_run_cell", _note_cell)
    _note_modules(root)


def note_read(stage: str, name: str, digest: str) -> None:
    """Note that a value was loaded."""
    _loads[f"{stage}.{name}"] = digest


def keep_notes(folder: Path, stage: str, record: RunRecord, saved: Mapping[str, Any] | None) -> None:
    """Write down beside what is saved what it was made of; at the desk, what is saved also beside the notebook.

    Parameters
    ----------
    folder
        Of the notebook.
    stage
        Its name, empty if nobody says.
    record
        Of the run that gave it its parameters.
    saved
        Name to encoded value, at the desk; None in a batch.
    """
    shell = _find_shell()
    if shell is None:
        return
    if _listening:
        _note_modules(_listening[0])
    note = {"loads": dict(_loads), "modules": dict(_modules), "cells": list(_list_cells(shell))}
    shell.display_pub.publish({MIME: note | {"given": digest_given(record, stage)}})
    if stage and saved is not None:
        marker = _mark(folder, stage)
        known = _read_mark(marker) | {name: digest_value(data) for name, data in saved.items()}
        write_atomic(marker, json.dumps(known).encode())


def list_notes(notebook: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what was written down by `keep_notes`, with the place of its cell."""
    for place, cell in enumerate(notebook.get("cells", [])):
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                yield place, output["data"][MIME]


def digest_given(record: RunRecord, stage: str) -> str:
    """Digest the parameters that a run gives a stage."""
    return digest_value(json.loads(json.dumps(record.parameters.get(stage, {}), default=str)))


def _list_cells(shell: Any) -> Iterator[list[Any]]:
    """Yield the last execution of each cell: its count, id, digest, and for each name that it read who had bound it."""
    last: dict[str, list[Any]] = {}
    writers: dict[str, int] = {}
    for count, source in enumerate(shell.user_ns.get("In", [])):
        if source.strip():
            digest = digest_cell(source)
            reads, writes = _find_names(source, writers)
            key = _ids.get(count) or digest
            last.pop(key, None)
            last[key] = [count, _ids.get(count, ""), digest, {name: writers[name] for name in reads if name in writers}]
            writers |= dict.fromkeys(writes, count)
    yield from last.values()


def _find_names(source: str, known: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Find what a cell reads and writes; one that gives away `globals` has all of them changed, as parameters are."""
    reads, writes = find_names(source)
    everything = frozenset(known if "globals()" in source else ())
    return reads | everything, writes | everything


def explain_cells(cells: list[Mapping[str, Any]], ran: list[list[Any]]) -> Iterator[tuple[int, str]]:
    """Say where what ran is not what a notebook says from top to bottom.

    Parameters
    ----------
    cells
        Of the notebook, up to the one that saved.
    ran
        From `_list_cells`.

    Yields
    ------
    tuple
        The code cell, counted from 1, and a sentence that begins with it.
    """
    by_id = {each[1]: each for each in ran if each[1]}
    by_digest = {each[2]: each for each in ran if not each[1]}
    code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    writers: dict[str, tuple[int, int]] = {}
    for number, cell in enumerate(code, 1):
        source = "".join(cell["source"])
        found = by_id.get(cell.get("id", "")) or by_digest.get(digest_cell(source)) or [UNKNOWN, "", "", {}]
        count, _, digest, read = found
        if digest != digest_cell(source):
            yield number, f"code cell {number} was changed and has not run since"
        reads, writes = _find_names(source, writers)
        for name in sorted(reads & (read.keys() | writers.keys())):
            above, place = writers.get(name, (0, 0))
            if (was := read.get(name, 0)) < above:
                yield number, f"code cell {number} has not run since code cell {place} did, which makes {name}"
            elif was > above != UNKNOWN:
                yield number, f"code cell {number} got {name} from a cell that does not stand above it"
        writers |= dict.fromkeys(writes, (count, number))


def _compare_with_sources(cells: list[Mapping[str, Any]], record: RunRecord, stage: str) -> Iterator[str]:
    """Say whether a notebook is another than that which a batch run executed."""
    ran = record.find(stage)
    if ran and ran.code and ran.code != digest_notebook(cells):
        yield f"its code was changed since {record.run}"
    defaults = record.defaults.get(stage, {})
    for name, value in _read_defaults(cells).items():
        if name in defaults and json.dumps(value, default=str) != json.dumps(defaults[name], default=str):
            yield f"its parameter {name} was changed since {record.run}"


def _read_defaults(cells: list[Mapping[str, Any]]) -> dict[str, Any]:
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    try:
        lines = ast.parse("".join(tagged[0]["source"])).body if tagged else []
        return {each.target.id: ast.literal_eval(each.value) for each in lines if isinstance(each, ast.AnnAssign)}  # type: ignore[union-attr,arg-type]
    except (SyntaxError, ValueError):
        return {}


def _note_cell(info: Any) -> None:
    """Note the id of a cell that is about to run; JupyterLab and VS Code tell it."""
    if cell_id := getattr(info, "cell_id", None):
        _ids[len(_find_shell().user_ns["In"])] = cell_id
    _note_modules(_listening[0])


def _note_modules(root: Path) -> None:
    """Note the project's own modules, as they are when they have just been imported."""
    home, new = str(root) + "/", sys.modules.keys() - _seen  # thousands are there, before each cell
    _seen.update(new)
    for name in new:
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and file.startswith(home) and file.endswith(".py"):
            path = file.removeprefix(home)
            if path not in _modules and "site-packages" not in path:
                _modules[path] = _digest(Path(file))


def _find_shell() -> Any:
    interactive = sys.modules.get("IPython")
    return interactive.get_ipython() if interactive else None


def _mark(folder: Path, stage: str) -> Path:
    return folder / STORE / f".{stage}.json"


def _read_mark(marker: Path) -> dict[str, str]:
    try:
        return dict(json.loads(marker.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def _digest(path: Path) -> str:
    return digest_file(path) if path.is_file() else ""
