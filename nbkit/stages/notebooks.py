"""A stage notebook as data, read without a kernel: its parameters, what it loads and what it saves."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.cells import combine_digests, digest_cells, parse_cell
from nbkit.errors import BadNotebook, UnknownStage
from nbkit.lifecycle import DESK, HOME, STAGE_NAME
from nbkit.stages.calls import Call, find_calls
from nbkit.wording import suggest

FILE_NAME = re.compile(r"[\w./~+-]+\.\w+")
ERROR_TAG = "papermill-error-cell-tag"  # of the banners that papermill puts into a notebook that failed
TAGS = re.compile(r"</?[A-Za-z][^<>]*>")
LONGEST = 250  # characters of a file's name
CADENCES = ("run", "window", DESK)
SETTINGS = ("cadence", "effects", "only_reads")
ALWAYS = "always"
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?inf|"
RANGE = re.compile(rf"([\[(])\s*({NUMBER})\s*,\s*({NUMBER})\s*([\])])$")
CHOICES = re.compile(r"\{([^{}]*)\}$")


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell.

    Attributes
    ----------
    name, annotation, default, meaning
        As written: ``name: annotation = default  # meaning``.
    choices
        What is allowed, from a meaning that ends in ``{a, b}``; empty if anything is.
    low, high, closed
        The range, from a meaning that ends in ``[low, high]`` or ``(low, high)``; `closed` says which ends belong.
    """

    name: str
    annotation: str
    default: Any
    meaning: str = ""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    closed: tuple[bool, bool] = (True, True)

    @property
    def allowed(self) -> str:
        """What is allowed, in words; empty if anything of the type is."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        low = "" if self.low is None else f"{'at least' if self.closed[0] else 'more than'} {self.low:.10g}"
        high = "" if self.high is None else f"{'at most' if self.closed[1] else 'less than'} {self.high:.10g}"
        return " and ".join(filter(None, (low, high)))


@dataclass(frozen=True)
class Stage:
    """A stage notebook.

    Attributes
    ----------
    name, path
        ``06_train`` and where it lies.
    title, question
        The heading and the paragraph under it.
    parameters
        By name, in the order of the cell.
    calls
        What it loads and saves.
    cadence
        ``"run"`` for a stage of ``nbkit run``, ``"window"`` for one that has its own, ``"desk"`` for a page of the
        desk, which is no stage.
    cells
        One digest a code cell: equal for cells that differ in comments and formatting only. Empty for the parameters
        cell, whose values count, not its text.
    effects
        Whether it changes something outside of its run, such as a registry: ``"module:function"`` that describes what
        it left there, ``"always"`` if nobody can tell, empty if it changes nothing.
    only_reads
        Whether it changes nothing there, and what it describes is what it read.
    file_names
        What stands in its code cells and could be the name of a file, magics and SQL included.
    """

    name: str
    path: Path
    title: str
    question: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    cadence: str = "run"
    cells: tuple[str, ...] = ()
    effects: str = ""
    only_reads: bool = False
    file_names: frozenset[str] = frozenset()

    @property
    def code(self) -> str:
        """The digest of all of its code."""
        return combine_digests(self.cells)

    @property
    def loads(self) -> tuple[tuple[str, str], ...]:
        """What it loads, as (stage, name); `ANY` stands for what is made when it runs."""
        return tuple(dict.fromkeys((call.stage, call.name) for call in self.calls if call.verb in ("load", "read")))

    @property
    def saves(self) -> tuple[str, ...]:
        """The names that it hands over; `ANY` stands for what is made when it runs."""
        return tuple(dict.fromkeys(call.name for call in self.calls if call.verb == "save"))


def read_stages(folder: Path) -> dict[str, Stage]:
    """Read every stage notebook of a folder, in order; the pages of the desk are none.

    Raises
    ------
    BadNotebook
        If there is none, or one cannot be read as a stage.
    """
    found = {path.stem: read_stage(path) for path in list_stages(folder)}
    return {name: stage for name, stage in found.items() if stage.cadence != DESK}


def spell_stage(name: str) -> tuple[str, ...]:
    """Return how a stage may be called: by its name, its number, or the word after it.

    Examples
    --------
    >>> spell_stage("06b_ensemble")
    ('06b_ensemble', '06b', 'ensemble')
    """
    return name, *name.split("_", 1)


def match_stage(name: str, stages: Iterable[str]) -> str:
    """Find a stage by its name, its number or the word after it.

    Raises
    ------
    UnknownStage
        If there is none, or more than one.

    Examples
    --------
    >>> match_stage("07", ["06_train", "07_evaluate"])
    '07_evaluate'
    """
    known = list(stages)
    found = [each for each in known if name in spell_stage(each)]
    if len(found) > 1:
        raise UnknownStage(f"{name!r} may be {' or '.join(found)}: write out which")
    if not found:
        raise UnknownStage(f"no stage is called {name!r}{suggest(name, known)}")
    return found[0]


def list_stages(folder: Path) -> list[Path]:
    """List the stage notebooks of a folder, in order, and the pages of the desk among them.

    Raises
    ------
    BadNotebook
        If there is none.
    """
    paths = [path for path in sorted(folder.glob("*.ipynb")) if STAGE_NAME.fullmatch(path.stem)]
    if {path.stem for path in paths} <= {HOME}:
        raise BadNotebook(
            f"no stage notebooks (NN_name.ipynb) in {folder}: `nbkit new NAME --data FILE …` lays them there"
        )
    return paths


def read_stage(path: Path) -> Stage:
    """Read one stage notebook.

    Raises
    ------
    BadNotebook
        If it is not a notebook, or its parameters cell is missing, doubled or holds more than literals.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        settings = dict(notebook.get("metadata", {}).get("nbkit", {}))
        cells = [
            {
                "cell_type": cell["cell_type"],
                "source": "".join(cell["source"]),
                "tags": list(cell.get("metadata", {}).get("tags", [])),
            }
            for cell in notebook["cells"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadNotebook(f"{path} is not a notebook: {type(error).__name__}: {error}") from None
    tagged = [cell for cell in cells if "parameters" in cell["tags"]]
    if len(tagged) != 1:
        raise BadNotebook(f"{path} has {len(tagged)} cells tagged `parameters`; a stage has one")
    prose = [cell["source"] for cell in cells if cell["cell_type"] == "markdown" and ERROR_TAG not in cell["tags"]]
    lines = [line for line in (TAGS.sub("", line).strip() for line in prose[0].splitlines()) if line] if prose else []
    code = [cell for cell in cells if cell["cell_type"] == "code" and "injected-parameters" not in cell["tags"]]
    parameters = {each.name: each for each in read_parameters(tagged[0]["source"], path)}
    trees = [_parse(cell["source"], path) for cell in code]
    calls = tuple(find_calls(trees, parameters))
    return Stage(
        name=path.stem,
        path=path,
        title=lines[0].lstrip("# ") if lines else path.stem,
        question=next((line for line in lines[1:] if not line.startswith(("#", "-", "*"))), ""),
        parameters=parameters,
        calls=calls,
        cells=tuple(digest_cells(notebook["cells"])),
        file_names=frozenset(_find_file_names([cell["source"] for cell in code])),
        **_read_settings(settings, path),
    )


def _find_file_names(sources: list[str]) -> Iterator[str]:
    for name in [name for source in sources for name in FILE_NAME.findall(source) if len(name) < LONGEST]:
        yield from (name, name.lstrip("/"))  # what stands before a slash may be a folder in braces


def _read_settings(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    """Read what ``metadata.nbkit`` says, and refuse what is misspelt there: it would never count."""
    unknown = [key for key in settings if key not in SETTINGS]
    if unknown and "status" not in settings:  # in an executed notebook the engine has written more
        raise BadNotebook(f"{path}: metadata.nbkit holds {unknown[0]!r}{suggest(unknown[0], SETTINGS)}")
    cadence, effects = str(settings.get("cadence", "run")), str(settings.get("effects", ""))
    if cadence not in CADENCES:
        raise BadNotebook(f"{path}: metadata.nbkit.cadence is {cadence!r}{suggest(cadence, CADENCES)}")
    if effects not in ("", ALWAYS) and not FUNCTION.fullmatch(effects):
        raise BadNotebook(f"{path}: metadata.nbkit.effects is {effects!r}; give 'module:function', or {ALWAYS!r}")
    return {"cadence": cadence, "effects": effects, "only_reads": settings.get("only_reads", False) is True}


def _parse(source: str, path: Path, parse: Callable[[str], ast.Module] = parse_cell) -> ast.Module:
    try:
        return parse(source)
    except SyntaxError as error:
        where = (error.text or source[:80]).strip()
        raise BadNotebook(f"{path}: a cell does not parse ({error.msg}): {where}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a zero byte, half a character, a thousand brackets
        raise BadNotebook(f"{path}: a cell does not parse ({error or type(error).__name__})") from None


def read_parameters(source: str, path: Path) -> Iterator[Parameter]:
    """Read the lines of a parameters cell.

    Raises
    ------
    BadNotebook
        If it does not parse, or holds more than literals with a name and a type.
    """
    body = _parse(source, path, ast.parse).body
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for node in body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                try:
                    default = ast.literal_eval(value)
                except (ValueError, TypeError):
                    raise BadNotebook(
                        f"{path}: the default of {name} is not a literal; compute it in a later cell"
                    ) from None
                last = node.end_lineno or node.lineno
                meaning = comments.get(last) or comments.get(node.lineno, "")
                yield _bound(name, ast.unparse(annotation), default, meaning)
            case _:
                raise BadNotebook(
                    f"{path}: the parameters cell holds `{ast.unparse(node)[:60]}`; each line reads "
                    "`name: type = literal  # meaning`"
                )


def _bound(name: str, annotation: str, default: Any, meaning: str) -> Parameter:
    if "dict" not in annotation and (found := CHOICES.search(meaning)):
        choices = tuple(choice.strip() for choice in found.group(1).split(","))
        return Parameter(name, annotation, default, meaning[: found.start()].strip(), choices)
    if found := RANGE.search(meaning):
        left, low, high, right = found.groups()
        lowest, highest = (float(each) if each else None for each in (low, high))
        meaning, closed = meaning[: found.start()].strip(), (left == "[", right == "]")
        return Parameter(name, annotation, default, meaning, (), lowest, highest, closed)
    return Parameter(name, annotation, default, meaning)
