"""Notebooks of a git revision and of the working copy, compared cell by cell: sources, never outputs."""

import bisect
import difflib
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import BadNotebook, BadParameter, UnknownStage
from nbkit.report.shell import find_template
from nbkit.stages.notebooks import Parameter, read_parameters
from nbkit.store import write_atomic
from nbkit.wording import suggest

ALIKE, SAME_ID = 0.6, 0.3  # how similar two texts are that count as one cell, edited; less will do with the same id
KINDS = {"markdown": "text", "raw": "raw"}
Cell = dict[str, Any]


@dataclass(frozen=True)
class CellChange:
    """What became of a cell.

    Attributes
    ----------
    what
        ``added``, ``removed``, ``changed``, ``moved`` or ``moved and changed``.
    kind
        ``code``, ``text`` or ``raw``.
    number, was
        Its place among all cells now and before, counted from 1; 0 where it is not.
    lines
        The difference of its source, as in a unified diff.
    """

    what: str
    kind: str
    number: int
    was: int
    lines: list[str]

    @property
    def title(self) -> str:
        """What became of which cell, in words."""
        before = f" (it was cell {self.was})" if self.what.startswith("moved") else ""
        return f"Cell {self.number or self.was} ({self.kind}) {self.what}{before}"


@dataclass(frozen=True)
class NotebookChange:
    """What became of a notebook: ``added``, ``removed`` or ``changed``, its parameters in words, and its cells."""

    path: str
    what: str
    notes: list[str] = field(default_factory=list)
    cells: list[CellChange] = field(default_factory=list)


def diff_notebooks(root: Path, revision: str = "HEAD", names: Sequence[str] = ()) -> list[NotebookChange]:
    """Compare notebooks of a revision with those of the working copy.

    Parameters
    ----------
    root
        The project.
    revision
        Anything that git understands as a commit.
    names
        Paths from `root`, or stages; by default all in ``notebooks/``.

    Returns
    -------
    list of NotebookChange
        Of those that differ.

    Raises
    ------
    BadParameter
        If there is no git, no repository, or no such revision.
    UnknownStage
        If a notebook is in neither.
    BadNotebook
        If one cannot be read.
    """
    _check_revision(root, revision)
    listed = (_ask_git(root, "ls-tree", "-r", "-z", "--name-only", revision, "--", ".") or "").split("\0")
    before = {path for path in listed if path.endswith(".ipynb")}
    now = {path.relative_to(root).as_posix() for path in root.glob("notebooks/*.ipynb")}
    now |= {name for name in names if (root / name).is_file()}
    home = {path for path in before | now if path.startswith("notebooks/") and path.count("/") == 1}
    found = [_compare(root, revision, path, before) for path in _choose(names, before | now, home, revision)]
    return [each for each in found if each]


def write_diff(changes: Sequence[NotebookChange], root: Path, revision: str, target: Path | None = None) -> Path:
    """Write what `diff_notebooks` found as a page: a file, or ``diff.html`` in a folder; here by default."""
    title = f"{root.name}: notebooks since {revision}"
    html = find_template("diff.html.j2").render(changes=changes, revision=revision, title=title, o={"name": root.name})
    target = target or Path()
    target = target / "diff.html" if target.is_dir() else target
    write_atomic(target, html.encode())
    return target


def find_notebook(name: str, paths: Sequence[str]) -> str:
    """Return the path that a name means: itself, ``06_train``, ``06`` or ``train``; empty if none."""
    stems = {path: path.rpartition("/")[2].removesuffix(".ipynb") for path in paths}
    return next((path for path, stem in stems.items() if name in (path, stem, *stem.split("_", 1))), "")


def _choose(names: Sequence[str], known: set[str], home: set[str], revision: str) -> Iterator[str]:
    if not names:
        yield from sorted(home)
    for name in names:
        if not (path := name if name in known else find_notebook(name, sorted(home))):
            near = suggest(name, [path.rpartition("/")[2].removesuffix(".ipynb") for path in home])
            raise UnknownStage(f"no notebook is called {name!r}, neither in {revision} nor in the working copy{near}")
        yield path


def _ask_git(root: Path, *words: str) -> str | None:
    """Return what git answers; None where it says no."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, encoding="utf-8", errors="replace")  # noqa: S607
    except FileNotFoundError:
        raise BadParameter("git is not installed, so there is nothing to compare with") from None
    return None if done.returncode else done.stdout


def _check_revision(root: Path, revision: str) -> None:
    if _ask_git(root, "rev-parse", "--git-dir") is None:
        raise BadParameter(f"{root} is in no git repository: git init, and commit what is to be compared with")
    if _ask_git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}") is None:
        if revision == "HEAD":
            raise BadParameter("nothing is committed here yet: git add and git commit, first")
        raise BadParameter(f"no revision and no notebook is called {revision!r}: `git log --oneline` lists revisions")


def _compare(root: Path, revision: str, path: str, before: set[str]) -> NotebookChange | None:
    was = _read(_ask_git(root, "show", f"{revision}:./{path}") or "", f"{path} in {revision}") if path in before else {}
    file = root / path
    now = _read(file.read_text(encoding="utf-8", errors="replace"), path) if file.is_file() else {}
    old, new = was.get("cells", []), now.get("cells", [])
    what = "added" if path not in before else "changed" if file.is_file() else "removed"
    cells = list(compare_cells(old, new)) if what == "changed" else []
    notes = [f"{len(new or old)} cells"] if what != "changed" else list(_compare_notes(was, now, path))
    return NotebookChange(path, what, notes, cells) if cells or notes else None


def _read(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
        return {"metadata": content.get("metadata", {}), "cells": [_spell(cell) for cell in content["cells"]]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadNotebook(f"{where} is not a notebook: {type(error).__name__}: {error}") from None


def _spell(cell: Cell) -> Cell:
    """Reduce a cell to what counts; its tags stand as a line above its source."""
    tags = cell.get("metadata", {}).get("tags", [])
    source = "".join(cell["source"])
    text = "".join(f"[tags: {', '.join(tags)}]\n" for _ in tags[:1]) + source
    return {"type": cell["cell_type"], "id": cell.get("id"), "text": text, "source": source, "tags": tags}


def _compare_notes(was: dict[str, Any], now: dict[str, Any], path: str) -> Iterator[str]:
    """Say in words how parameters and nbkit's own metadata differ."""
    old, new = _read_parameters(was, path), _read_parameters(now, path)
    for name in old | new:
        if name not in new:
            yield f"parameter {name} is gone; it was {old[name].default!r}"
        elif name not in old:
            yield f"parameter {name} is new: {new[name].default!r}"
        elif old[name].default != new[name].default:
            yield f"parameter {name}: {new[name].default!r} instead of {old[name].default!r}"
        elif old[name] != new[name]:
            yield f"parameter {name}: its type, meaning or range is another"
    if was["metadata"].get("nbkit") != now["metadata"].get("nbkit"):
        yield "what its metadata tell nbkit (cadence, effects) is another"


def _read_parameters(notebook: dict[str, Any], path: str) -> dict[str, Parameter]:
    try:
        tagged = [cell["source"] for cell in notebook["cells"] if "parameters" in cell["tags"]]
        return {each.name: each for source in tagged for each in read_parameters(source, Path(path))}
    except BadNotebook:
        return {}  # the difference of the cell shows it


def compare_cells(old: Sequence[Cell], new: Sequence[Cell]) -> Iterator[CellChange]:
    """Say what became of each cell, in the order of now; one that is gone stands where it stood.

    Equal cells are paired first, then the most similar ones. An id alone proves nothing: nbstripout numbers cells anew.
    """
    pairs = _pair_equal(old, new)
    pairs |= _pair_similar(old, new, pairs)
    staying = _find_staying(sorted(pairs.items()))
    back = {after: before for before, after in pairs.items()}
    gone = [place for place in range(len(old)) if place not in pairs]
    for place, cell in enumerate(new):
        if place not in back:
            yield _describe("added", None, cell, 0, place + 1)
            continue
        before = back[place]
        while gone and gone[0] < before and before in staying:
            yield _describe("removed", old[gone[0]], None, gone.pop(0) + 1, 0)
        moved, edited = before not in staying, old[before]["text"] != cell["text"]
        if what := " and ".join(["moved"] * moved + ["changed"] * edited):
            yield _describe(what, old[before], cell, before + 1, place + 1)
    for place in gone:
        yield _describe("removed", old[place], None, place + 1, 0)


def _pair_equal(old: Sequence[Cell], new: Sequence[Cell]) -> dict[int, int]:
    keys = [[(cell["type"], cell["text"]) for cell in cells] for cells in (old, new)]
    blocks = difflib.SequenceMatcher(None, *keys, autojunk=False).get_matching_blocks()
    pairs = {block.a + step: block.b + step for block in blocks for step in range(block.size)}
    taken, free = set(pairs.values()), defaultdict(list)
    for place, key in enumerate(keys[1]):
        if place not in taken:
            free[key].append(place)
    return pairs | {place: free[key].pop(0) for place, key in enumerate(keys[0]) if place not in pairs and free[key]}


def _pair_similar(old: Sequence[Cell], new: Sequence[Cell], pairs: dict[int, int]) -> dict[int, int]:
    taken, rated = set(pairs.values()), []
    for before in [place for place in range(len(old)) if place not in pairs]:
        for after in [place for place in range(len(new)) if place not in taken]:
            one, two = old[before], new[after]
            matcher = difflib.SequenceMatcher(None, one["source"], two["source"], autojunk=False)
            least = SAME_ID if one["id"] is not None and one["id"] == two["id"] else ALIKE
            if one["type"] == two["type"] and matcher.quick_ratio() >= least and matcher.ratio() >= least:
                rated.append((-matcher.ratio(), abs(before - after), before, after))
    found: dict[int, int] = {}
    for _, _, before, after in sorted(rated):
        if before not in found and after not in found.values():
            found[before] = after
    return found


def _find_staying(pairs: Sequence[tuple[int, int]]) -> set[int]:
    """Return the cells that keep their order: the longest row of pairs that rises in both."""
    ends: list[int] = []
    chains: list[list[int]] = []
    for before, after in pairs:
        place = bisect.bisect_left(ends, after)
        ends[place:place + 1] = [after]  # fmt: skip
        chains[place:place + 1] = [[*(chains[place - 1] if place else []), before]]  # fmt: skip
    return set(chains[-1]) if chains else set()


def _describe(what: str, one: Cell | None, two: Cell | None, was: int, number: int) -> CellChange:
    texts = [cell["text"].splitlines() if cell else [] for cell in (one, two)]
    lines = list(difflib.unified_diff(*texts, lineterm="", n=1))[2:]
    kind = (two or one or {})["type"]
    return CellChange(what, KINDS.get(kind, kind), number, was, lines)
