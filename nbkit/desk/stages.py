"""Runs stages of the desk in fresh kernels: those that are stale where they lie, or a copy, to be compared."""

import os
import queue
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.cells import find_names
from nbkit.errors import CorruptArtifact, UnknownStage
from nbkit.freshness import Desk, explain_cells, list_notes
from nbkit.kernels import use_server
from nbkit.lifecycle import HOME
from nbkit.pipeline.pool import Pool
from nbkit.pipeline.task import Task
from nbkit.project import find_notebooks
from nbkit.record import StageRecord
from nbkit.scraps import STORE, find_scraps, is_page, read_notebook, read_scrap, write_notebook
from nbkit.scrub import Scrubber
from nbkit.stages import read_stages
from nbkit.stages.graph import build_graph
from nbkit.stages.notebooks import match_stage
from nbkit.threads import count_cores
from nbkit.values import TAG
from nbkit.wording import format_count, shorten

RELATIVE = 1e-9  # by how much two numbers may differ and still be called the same
TRACES = ("papermill", "nbkit")  # what an execution leaves in a notebook's metadata
Row = dict[str, Any]
OnCell = Callable[[str, int, int], None]


def find_stage(root: Path, name: str) -> str:
    """Return the stage that a name means: 07, evaluate or 07_evaluate.

    Raises
    ------
    UnknownStage
        If there is none, or more than one.
    """
    known = {path.stem: path for path in sorted(find_notebooks(root).glob("[0-9]*.ipynb"))}
    stage = match_stage(name, known)
    if stage == HOME and is_page(read_notebook(known[stage])):
        raise UnknownStage(f"{stage} is a page of the desk and no stage: Run All in it brings it up to date")
    return stage


def list_desk(root: Path) -> list[Row]:
    """List the stages of the desk: stage, where its latest result lies, when it was saved, why it is stale."""
    desk, rows = Desk(find_notebooks(root), root), []
    for name, stage in read_stages(find_notebooks(root)).items():
        if stage.cadence == "run":
            found = desk.find(name)
            saved = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.stat().st_mtime)) if found else ""
            where = "" if found is None else "desk" if found.parent == desk.folder else found.parent.name
            rows.append({"stage": name, "where": where, "saved": saved, "stale": desk.why_stale(name)})
    return rows


def refresh(root: Path, stage: str, on_cell: OnCell = lambda stage, number, total: None) -> Iterator[StageRecord]:
    """Run what is stale of a stage and of all that it loads from, in order, each in a fresh kernel where it lies.

    Parameters
    ----------
    root
        The project.
    stage
        Its name.
    on_cell
        Called with stage, number of the code cell that starts, and how many there are.

    Yields
    ------
    StageRecord
        How each went; the first that does not pass is the last.
    """
    folder = find_notebooks(root)
    paths = [folder / f"{name}.ipynb" for name in _list_upstream(folder, stage)]
    with use_server(paths):
        for path in paths:
            if why := Desk(folder, root).why_stale(path.stem):
                record = _execute(path, path, root, on_cell)
                record.why = why
                yield record
                if record.status != "passed":
                    return


def verify(root: Path, stage: str, on_cell: OnCell = lambda stage, number, total: None) -> list[Row]:
    """Compare what an author ran at the desk with what a fresh kernel makes of the same notebook and inputs.

    Parameters
    ----------
    root
        The project.
    stage
        Its name; it has been run and saved at the desk.
    on_cell
        As for `refresh`.

    Returns
    -------
    list of dict
        What is not the same: ``what`` (hidden state, input, error, value, table, artifact), ``where``, ``message``;
        empty if the desk equals the batch. Numbers may differ by `RELATIVE`, tables in no more than that; pictures
        and models are the same to the byte.

    Raises
    ------
    UnknownStage
        If it has not run at the desk.
    """
    folder = find_notebooks(root)
    path = folder / f"{stage}.ipynb"
    content = read_notebook(path)
    if not find_scraps(content):
        raise UnknownStage(f"{stage} has not run at the desk, or was not saved since: Run All, save, and try again")
    rows = [_say("hidden state", f"cell {number}", words) for number, words in _find_hidden(content)]
    if (stale := Desk(folder, root).why_stale(stage)) and not rows:
        rows.append(_say("input", stage, stale))
    with tempfile.TemporaryDirectory(dir=root, prefix=".nbkit-verify-") as made:
        copy = Path(made)
        for each in folder.iterdir():
            if each.name == STORE:
                shutil.copytree(each, copy / STORE, copy_function=os.link)
            elif each.is_file() and not each.name.startswith("."):
                shutil.copy2(each, copy)
        target = copy / f"{stage}.ipynb"
        record = _execute(target, target, root, on_cell)
        if record.status != "passed":
            return [*rows, _say("error", f"cell {record.cell}", record.message)]
        executed = read_notebook(target)
        return [*rows, *_compare(find_scraps(content), folder, find_scraps(executed), copy)]


def _list_upstream(folder: Path, stage: str) -> list[str]:
    """Return a stage and all that it needs, in order."""
    graph, wanted = build_graph(read_stages(folder)), {stage}
    for name in reversed(list(graph.stages)):
        if name in wanted:
            wanted |= set(graph.upstream(name))
    return sorted(wanted)


def _execute(source: Path, target: Path, root: Path, on_cell: OnCell) -> StageRecord:
    """Execute a notebook in a fresh kernel, as at the desk, and write it without what an execution leaves in it."""
    name, given = source.stem, Desk(source.parent, root).find_record(source.stem)
    settings = read_notebook(source)["metadata"].get("nbkit")
    before = given.find(name)
    limits = {"cell_timeout": 0, "stage_timeout": 0, "memory_gb": 0, "retries": 0}
    limits["threads"] = (before.threads if before else 0) or count_cores()
    with tempfile.TemporaryDirectory(prefix="nbkit-") as made:
        task = Task(
            record=StageRecord(name, "running"),
            source=source,
            target=Path(made) / source.name,
            log=Path(made) / f"{name}.log",
            parameters={},
            limits=limits,
            scrubber=Scrubber.of(given.secrets),
            on_cell=lambda number, total: on_cell(name, number, total),
        )
        events: queue.Queue[Callable[[], None]] = queue.Queue()
        done: list[StageRecord] = []
        with use_server([source]), Pool(1, events.put) as pool:
            pool.begin(task, done.append)
            while not done:
                events.get()()
        if task.target.is_file():
            content = read_notebook(task.target)
            for trace in TRACES:
                content["metadata"].pop(trace, None)
            content["metadata"] |= {"nbkit": settings} if settings else {}
            for cell in content["cells"]:
                cell["metadata"].pop("papermill", None)
            write_notebook(target, content)
    return done[0]


def _find_hidden(content: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Say which cells rest on what the notebook does not show: once for each cell."""
    told: set[int] = set()
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    known: set[str] = {"get_ipython", "display", "__vsc_ipynb_file__"}
    found: list[tuple[int, str]] = []
    for number, cell in enumerate(code, 1):
        reads, writes = find_names("".join(cell["source"]))
        if missing := sorted(reads - known):
            found.append((number, f"code cell {number} needs {missing[0]}, which no cell above it makes"))
        if cell.get("outputs") and not cell.get("execution_count"):
            found.append((number, f"code cell {number} shows an output of an earlier kernel"))
        known |= reads | writes
    for place, note in list_notes(content):
        found += explain_cells(content["cells"][: place + 1], note["cells"])
    for number, words in found:
        if number not in told:
            told.add(number)
            yield number, words


def _say(what: str, where: str, message: str) -> Row:
    return {"what": what, "where": where, "message": message}


def _compare(desk: dict[str, Any], folder: Path, batch: dict[str, Any], copy: Path) -> Iterator[Row]:
    for name in sorted(desk.keys() | batch.keys()):
        if name not in batch or name not in desk:
            yield _say("value", name, "was saved only " + ("at the desk" if name in desk else "in the fresh kernel"))
        elif not _is_same(desk[name], batch[name]):
            try:
                values = read_scrap(desk[name], folder), read_scrap(batch[name], copy)
            except CorruptArtifact as error:
                yield _say("artifact", name, str(error))
                continue
            yield from _differ(name, *values)


def _differ(name: str, desk: Any, batch: Any) -> Iterator[Row]:
    if isinstance(desk, pd.DataFrame | pd.Series) and type(desk) is type(batch):
        try:
            check: Any = pd.testing.assert_frame_equal if desk.ndim == 2 else pd.testing.assert_series_equal
            check(desk, batch, rtol=RELATIVE, atol=0)
        except AssertionError as error:
            yield _say("table", name, _tell_shape(desk, batch) or " ".join(str(error).split())[:200])
    elif isinstance(desk, int | float | str | list | dict | tuple | bool):
        yield _say("value", name, f"{shorten(desk)} at the desk, {shorten(batch)} in a fresh kernel")
    else:
        yield _say("artifact", name, f"another {type(desk).__name__} in a fresh kernel")


def _tell_shape(desk: Any, batch: Any) -> str:
    """Say which columns and how many rows only one of two tables has; empty if they have the same."""
    ends, told = {"at the desk": desk, "in a fresh kernel": batch}, []
    names = {where: [str(name) for name in pd.DataFrame(table).columns] for where, table in ends.items()}
    for where, other in zip(names, reversed(names), strict=True):
        if own := [name for name in names[where] if name not in names[other]]:
            told.append(f"only {where}: {', '.join(own[:5])}{f' and {len(own) - 5} more' * (len(own) > 5)}")
    rows = ", ".join(f"{format_count(len(table), 'row')} {where}" for where, table in ends.items())
    return "; ".join([*told, rows] if len(desk) != len(batch) else told)


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two encoded values are the same, numbers up to `RELATIVE`."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.get(TAG) == "artifact" == other.get(TAG):
            return bool(one["value"]["sha256"] == other["value"]["sha256"])
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return one == other or abs(one - other) <= RELATIVE * max(abs(one), abs(other))
    return bool(one == other)
