"""A stage notebook as data, read without a kernel: its parameters, what it loads and what it saves."""

import ast
import contextlib
import hashlib
import io
import json
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import BadNotebook

STAGE_NAME = re.compile(r"\d\d_\w+")
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?inf|"
RANGE = re.compile(rf"([\[(])\s*({NUMBER})\s*,\s*({NUMBER})\s*([\])])$")
MAGIC = re.compile(r"(\s*)([%!].*)")
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
        low = "" if self.low is None else f"{'at least' if self.closed[0] else 'more than'} {self.low:g}"
        high = "" if self.high is None else f"{'at most' if self.closed[1] else 'less than'} {self.high:g}"
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
    loads, saves
        What it reads as (stage, name), and the names that it hands over; only literal names count.
    dynamic
        Whether it also hands over names that are made when it runs.
    cadence
        ``"run"`` for a stage of ``nbkit run``, ``"window"`` for one that has its own.
    cells
        One digest a code cell: equal for cells that differ in comments and formatting only. Empty for the parameters
        cell, whose values count, not its text.
    imports
        The top-level modules that its cells import.
    effects
        Whether it changes something outside of its run, such as a registry: ``"module:function"`` that describes what
        it left there, ``"always"`` if nobody can tell, empty if it changes nothing.
    """

    name: str
    path: Path
    title: str
    question: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    loads: tuple[tuple[str, str], ...] = ()
    saves: tuple[str, ...] = ()
    dynamic: bool = False
    cadence: str = "run"
    cells: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    effects: str = ""

    @property
    def code(self) -> str:
        """The digest of all of its code."""
        return hashlib.sha256("\0".join(self.cells).encode()).hexdigest()


def read_stages(folder: Path) -> dict[str, Stage]:
    """Read every stage notebook of a folder, in order.

    Raises
    ------
    BadNotebook
        If there is none, or one cannot be read as a stage.
    """
    paths = [path for path in sorted(folder.glob("*.ipynb")) if STAGE_NAME.fullmatch(path.stem)]
    if not paths:
        raise BadNotebook(
            f"no stage notebooks (NN_name.ipynb) in {folder}: `nbkit new NAME --data FILE …` lays them there"
        )
    return {path.stem: read_stage(path) for path in paths}


def read_stage(path: Path) -> Stage:
    """Read one stage notebook.

    Raises
    ------
    BadNotebook
        If it is no notebook, or its parameters cell is missing, doubled or holds more than literals.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [
            {**cell, "cell_type": cell["cell_type"], "source": "".join(cell["source"])} for cell in notebook["cells"]
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadNotebook(f"{path} is not a notebook: {type(error).__name__}: {error}") from None
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise BadNotebook(f"{path} has {len(tagged)} cells tagged `parameters`; a stage has one")
    heading = next((cell["source"] for cell in cells if cell["cell_type"] == "markdown"), "")
    lines = [line for line in heading.splitlines() if line.strip()]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    trees = [_parse(cell["source"], path) for cell in code]
    calls = [call for tree in trees for call in _find_calls(tree)]
    own = notebook.get("metadata", {}).get("nbkit", {})
    return Stage(
        name=path.stem,
        path=path,
        title=lines[0].lstrip("# ") if lines else path.stem,
        question=next((line for line in lines[1:] if not line.startswith(("#", "-", "*"))), ""),
        parameters={each.name: each for each in _read_parameters(tagged[0]["source"], path)},
        loads=tuple(dict.fromkeys((a[0], a[1]) for verb, a in calls if verb == "load" and len(a) == 2 and all(a))),
        saves=tuple(dict.fromkeys(a[0] for verb, a in calls if verb == "save" and a and a[0])),
        dynamic=any(verb == "save" and a and not a[0] for verb, a in calls),
        cadence=own.get("cadence", "run"),
        cells=tuple("" if cell is tagged[0] else digest_code(tree) for cell, tree in zip(code, trees, strict=True)),
        imports=tuple(sorted({name for tree in trees for name in find_imports(tree)})),
        effects=str(own.get("effects", "")),
    )


def check_graph(stages: dict[str, Stage]) -> None:
    """Check that whatever a stage loads is handed over by an earlier one.

    Raises
    ------
    BadNotebook
        Naming each load that no earlier notebook saves.
    """
    wrong = []
    for stage in stages.values():
        for upstream, name in stage.loads:
            source = stages.get(upstream)
            if source is None:
                wrong.append(f"{stage.name} loads from {upstream}, and there is no such notebook")
            elif upstream >= stage.name:
                wrong.append(f"{stage.name} loads {name!r} from {upstream}, which comes after it")
            elif name not in source.saves and not source.dynamic:
                offered = ", ".join(source.saves) or "nothing"
                wrong.append(f"{stage.name} loads {name!r} from {upstream}, which saves {offered}")
    if wrong:
        raise BadNotebook("; ".join(wrong))


def digest_code(tree: ast.Module) -> str:
    """Digest what code does: the same for code that differs in comments and formatting only.

    Examples
    --------
    >>> digest_code(ast.parse("x = 1  # one")) == digest_code(ast.parse("x  =  1"))
    True
    """
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def find_imports(tree: ast.Module) -> set[str]:
    """Return the top-level modules that code imports, wherever in it.

    Examples
    --------
    >>> sorted(find_imports(ast.parse("import numpy.linalg; from pandas import concat")))
    ['numpy', 'pandas']
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _parse(source: str, path: Path) -> ast.Module:
    with contextlib.suppress(SyntaxError):
        return ast.parse(source)
    lines = [f"{found[1]}{found[2]!r}" if (found := MAGIC.fullmatch(line)) else line for line in source.splitlines()]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError as error:
        raise BadNotebook(
            f"{path}: a cell does not parse ({error.msg}): {(error.text or source[:80]).strip()}"
        ) from None


def _find_calls(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield each ``run.load(…)`` and ``run.save(…)`` with its literal names; an empty string for one that is not."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="run"), attr="load" | "save" as verb), args=args):
                names = args[:2] if verb == "load" else args[:1]
                yield verb, [str(arg.value) if isinstance(arg, ast.Constant) else "" for arg in names]


def _read_parameters(source: str, path: Path) -> Iterator[Parameter]:
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.parse(source).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                try:
                    default = ast.literal_eval(value)
                except (ValueError, TypeError):
                    raise BadNotebook(
                        f"{path}: the default of {name} is no literal; compute it in a later cell"
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
        return Parameter(
            name,
            annotation,
            default,
            meaning[: found.start()].strip(),
            low=float(low) if low else None,
            high=float(high) if high else None,
            closed=(left == "[", right == "]"),
        )
    return Parameter(name, annotation, default, meaning)
