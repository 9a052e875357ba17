"""Notebooks of a git revision and of the working copy, compared cell by cell: sources, never outputs."""

import bisect
import contextlib
import difflib
import json
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from nbkit.errors import BadNotebook, BadParameter, UnknownStage
from nbkit.report.shell import find_template
from nbkit.stages.notebooks import Parameter, read_parameters, spell_stage
from nbkit.store import write_atomic
from nbkit.wording import suggest

ALIKE, SAME_ID = 0.6, 0.3  # how similar two texts are that count as one cell, edited; less will do with the same id
Row = dict[str, Any]


def diff_notebooks(root: Path, revision: str = "HEAD", names: Sequence[str] = ()) -> list[Row]:
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
    list of dict
        Of those that differ: path, what (``added``, ``removed`` or ``changed``), notes (how many cells, or how the
        parameters differ, in words), cells (see `compare_cells`).

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
    return [row for path in _choose(names, before | now, revision) if (row := _compare(root, revision, path, before))]


def write_diff(changes: Sequence[Row], root: Path, revision: str, target: Path | None = None) -> Path:
    """Write what `diff_notebooks` found as a page: a file, or ``diff.html`` in a folder; here by default."""
    title = f"{root.name}: notebooks since {revision}"
    html = find_template("diff.html.j2").render(changes=changes, revision=revision, title=title, o={"name": root.name})
    place = target / "diff.html" if target and target.is_dir() else target or Path("diff.html")
    write_atomic(place, html.encode())
    return place


def find_notebook(name: str, paths: Collection[str]) -> str:
    """Return the path that a name means: itself, ``06_train``, ``06`` or ``train``; empty if none."""
    return next((path for path in paths if name in (path, *spell_stage(Path(path).stem))), "")


def _choose(names: Sequence[str], known: set[str], revision: str) -> Iterator[str]:
    home = sorted(path for path in known if Path(path).parent == Path("notebooks"))
    yield from () if names else home
    for name in names:
        if not (path := name if name in known else find_notebook(name, home)):
            near = suggest(name, [Path(each).stem for each in home])
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


def _compare(root: Path, revision: str, path: str, before: set[str]) -> Row | None:
    was = _read(_ask_git(root, "show", f"{revision}:./{path}") or "", f"{path} in {revision}") if path in before else {}
    now = _read((root / path).read_text("utf-8", errors="replace"), path) if (root / path).is_file() else {}
    if not was or not now:
        notes, what = [f"{len((was or now)['cells'])} cells"], "removed" if was else "added"
        return {"path": path, "what": what, "notes": notes, "cells": []}
    notes, cells = list(_compare_notes(was, now, path)), compare_cells(was["cells"], now["cells"])
    return {"path": path, "what": "changed", "notes": notes, "cells": cells} if cells or notes else None


def _read(text: str, where: str) -> Row:
    try:
        content = json.loads(text)
        return {"metadata": content.get("metadata", {}), "cells": [_spell(cell) for cell in content["cells"]]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadNotebook(f"{where} is not a notebook: {type(error).__name__}: {error}") from None


def _spell(cell: Row) -> Row:
    """Reduce a cell to what counts; its tags stand as a line above its source."""
    tags = cell.get("metadata", {}).get("tags", [])
    source = "".join(cell["source"])
    text = "".join(f"[tags: {', '.join(tags)}]\n" for _ in tags[:1]) + source
    return {"type": cell["cell_type"], "id": cell.get("id"), "text": text, "source": source, "tags": tags}


def _compare_notes(was: Row, now: Row, path: str) -> Iterator[str]:
    """Say in words how parameters and nbkit's own metadata differ."""
    old, new = _read_parameters(was, path), _read_parameters(now, path)
    for name in [name for name in old | new if old.get(name) != new.get(name)]:
        if name not in old or name not in new:
            yield f"parameter {name} " + (f"is new: {new[name].default!r}" if name in new else "is gone")
        elif old[name].default != new[name].default:
            yield f"parameter {name}: {new[name].default!r} instead of {old[name].default!r}"
        else:
            yield f"parameter {name}: its type, meaning or range is another"
    if was["metadata"].get("nbkit") != now["metadata"].get("nbkit"):
        yield "what its metadata tell nbkit (cadence, effects) is another"


def _read_parameters(notebook: Row, path: str) -> dict[str, Parameter]:
    tagged = [cell["source"] for cell in notebook["cells"] if "parameters" in cell["tags"]]
    with contextlib.suppress(BadNotebook):  # the difference of the cell shows it
        return {each.name: each for source in tagged for each in read_parameters(source, Path(path))}
    return {}


def compare_cells(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Say what became of each cell, by its place: that of now, or that where it stood if it is gone.

    Equal cells are paired first, then the most similar ones. An id alone proves nothing: nbstripout numbers cells anew.

    Returns
    -------
    list of dict
        what (``added``, ``removed``, ``changed``, ``moved``, ``moved and changed``), place, title (both in words),
        lines (the difference of its source, as in a unified diff).
    """
    pairs = _pair(old, new)
    staying = _find_staying(sorted(pairs.items()))
    found = [_describe("removed", old[place], None, place) for place in range(len(old)) if place not in pairs]
    found += [_describe("added", None, new[place], place) for place in range(len(new)) if place not in pairs.values()]
    for before, after in pairs.items():
        one, two = old[before], new[after]
        if what := " and ".join(["moved"] * (before not in staying) + ["changed"] * (one["text"] != two["text"])):
            found.append(_describe(what, one, two, after, before))
    return sorted(found, key=lambda each: (each["place"], each["what"]))


def _pair(old: Sequence[Row], new: Sequence[Row]) -> dict[int, int]:
    """Return which cell of now each of before is: the same in the same order, then by how similar they are."""
    before, now = ([(cell["type"], cell["text"]) for cell in cells] for cells in (old, new))
    blocks = difflib.SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks()
    pairs = {block.a + step: block.b + step for block in blocks for step in range(block.size)}
    rated = []
    for here in set(range(len(old))) - set(pairs):
        for there in set(range(len(new))) - set(pairs.values()):
            one, two = old[here], new[there]
            matcher = difflib.SequenceMatcher(None, one["source"], two["source"], autojunk=False)
            least = SAME_ID if one["id"] is not None and one["id"] == two["id"] else ALIKE
            if one["type"] == two["type"] and matcher.quick_ratio() >= least and matcher.ratio() >= least:
                rated.append((-matcher.ratio(), abs(here - there), here, there))
    for _, _, here, there in sorted(rated):
        if here not in pairs and there not in pairs.values():
            pairs[here] = there
    return pairs


def _find_staying(pairs: Sequence[tuple[int, int]]) -> set[int]:
    """Return the cells that keep their order: the longest row of pairs that rises in both."""
    ends: list[int] = []
    chains: list[list[int]] = [[]]
    for before, after in pairs:
        place = bisect.bisect_left(ends, after)
        ends[place : place + 1] = [after]
        chains[place + 1 : place + 2] = [[*chains[place], before]]
    return set(chains[-1])


def _describe(what: str, one: Row | None, two: Row | None, place: int, was: int = 0) -> Row:
    before, now = (each["text"].splitlines() if each else [] for each in (one, two))
    kind = (two or one or {})["type"].replace("markdown", "text")
    title = f"Cell {place + 1} ({kind}) {what}" + f" (it was cell {was + 1})" * what.startswith("moved")
    lines = list(difflib.unified_diff(before, now, lineterm="", n=1))[2:]
    return {"what": what, "place": place, "title": title, "lines": lines}
