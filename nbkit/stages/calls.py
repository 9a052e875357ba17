"""What a notebook loads and saves, call by call, as far as its code tells without running it."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbkit.stages.names import Names, find_origin, read_names

ANY = "*"  # stands for what is made when the notebook runs
READERS = {"scrapbook.read_notebook", "scrapbook.read_notebooks", "nbkit.run.read_value", "nbkit.run.read_scraps"}
VERBS = ("save", "load", "names", "headlines")
SHOWING = {"print", "repr", "str", "display", "type", "isinstance"}


@dataclass(frozen=True)
class Call:
    """One ``run.load`` or ``run.save``, or what comes to the same.

    Attributes
    ----------
    verb
        ``"load"``, ``"save"``, ``"read"`` (takes what is there: ``run.names``, ``run.headlines``), or ``"give"``: the
        run itself goes elsewhere, where anything may be loaded and saved with it.
    cell
        The code cell, counted from 1.
    stage
        Whom it loads from; `ANY` if that is not written there; empty for a save.
    name
        The value's name; `ANY` for each part that is not written there, as in ``window_*``.
    certain
        Of a save: it stands by itself in its cell, with no condition, loop or function around it. Of a load: nothing
        around it is there to catch that the value is missing.
    """

    verb: str
    cell: int
    stage: str = ""
    name: str = ANY
    certain: bool = True


def find_calls(trees: Sequence[ast.Module], parameters: dict[str, str]) -> Iterator[Call]:
    r"""Yield what a notebook loads and saves, in order; a loop over literal names gives a call for each.

    Parameters
    ----------
    trees
        Its code cells.
    parameters
        Name to annotation, as in the parameters cell.

    Examples
    --------
    >>> cell = ast.parse("for n in ('a', 'b'):\n    run.save(n, 1)\nx = run.load('01_a', f'w_{m}').columns")
    >>> [(call.verb, call.stage, call.name) for call in find_calls([cell], {})]
    [('save', '', 'a'), ('save', '', 'b'), ('load', '01_a', 'w_*')]
    """
    book = _Notebook(trees, read_names(trees, parameters))
    for number, tree in enumerate(trees, start=1):
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Call)]
        for node in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
            yield from _read_node(node, number, book)


class _Notebook:
    """The code of a notebook, with ways to look around from where one stands in it."""

    def __init__(self, trees: Sequence[ast.Module], names: Names) -> None:
        self.names = names
        self.parents: dict[int, ast.AST] = {}
        self.runs: set[str] = set()
        stored = False
        for node in (each for tree in trees for each in ast.walk(tree)):
            self.parents.update((id(child), node) for child in ast.iter_child_nodes(node))
            if isinstance(node, ast.Name):
                stored |= node.id == "run" and isinstance(node.ctx, ast.Store)
            elif isinstance(node, ast.Assign) and self.is_run(node.value):
                self.runs |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if not stored and "run" not in names.modules:
            self.runs.add("run")  # whatever it is in a notebook that does not say

    def parent(self, node: ast.AST | None) -> ast.AST | None:
        return self.parents.get(id(node))

    def is_within(self, node: ast.AST, kinds: tuple[type[ast.AST], ...]) -> bool:
        above = self.parent(node)
        while above is not None and not isinstance(above, kinds):
            above = self.parent(above)
        return above is not None

    def is_run(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and find_origin(node.func, self.names) in ("nbkit.Run", "nbkit.run.Run")


def _read_node(node: ast.Name | ast.Call, cell: int, book: _Notebook) -> Iterator[Call]:
    if book.is_run(node):
        yield from _follow(node, cell, book)
    elif isinstance(node, ast.Name):
        if node.id in book.runs and isinstance(node.ctx, ast.Load):
            yield from _follow(node, cell, book)
    elif (origin := find_origin(node.func, book.names)) in READERS:
        yield Call("load", cell, ANY)
    elif origin == "scrapbook.glue":
        yield from _read_call(node, "save", cell, book)


def _follow(run: ast.expr, cell: int, book: _Notebook) -> Iterator[Call]:
    """Yield what is done with a run where it stands."""
    use = book.parent(run)
    if isinstance(use, ast.Attribute):
        above = book.parent(use)
        if use.attr in VERBS and isinstance(above, ast.Call) and above.func is use:
            yield from _read_call(above, use.attr, cell, book)
        elif use.attr in VERBS:
            yield Call("give", cell, ANY)
        return
    shown = isinstance(use, ast.Call) and isinstance(use.func, ast.Name) and use.func.id in SHOWING
    named = isinstance(use, ast.Assign) and book.is_run(run)
    if not shown and not named and not isinstance(use, ast.Expr):
        yield Call("give", cell, ANY)


def _read_call(node: ast.Call, verb: str, cell: int, book: _Notebook) -> Iterator[Call]:
    if verb == "save":
        certain = isinstance(book.parent(book.parent(node)), ast.Module)
        for name in _read_saved(node, book):
            yield Call("save", cell, name=name, certain=certain)
        return
    certain = not book.is_within(node, (ast.Try, ast.With))
    asked: list[ast.expr | None] = list(node.args)
    asked += [each.value for each in node.keywords if each.arg in ("stage", "name")]
    if any(isinstance(each, ast.Starred) for each in asked) or not asked:
        asked = [None, None]
    for stage in _read_text(asked[0], book.names):
        names = [name for each in asked[1:] for name in _read_text(each, book.names)] if verb == "load" else [ANY]
        for name in names:
            yield Call(
                "load" if verb == "load" else "read", cell, ANY if ANY in stage else stage, name, certain=certain
            )


def _read_saved(node: ast.Call, book: _Notebook) -> Iterator[str]:
    """Yield the names that a ``run.save`` or ``scrapbook.glue`` gives: a text in front, or those of the keywords."""
    glue = find_origin(node.func, book.names) == "scrapbook.glue"
    if glue or node.args:
        given = node.args[0] if node.args else next((each.value for each in node.keywords if each.arg == "name"), None)
        yield from _read_text(None if isinstance(given, ast.Starred) else given, book.names)
    for each in node.keywords if not glue else ():
        match each.value if each.arg is None else None:
            case None:
                yield each.arg or ANY
            case ast.DictComp(key=key):
                yield from _read_text(key, book.names)
            case ast.Dict(keys=keys):
                yield from (name for key in keys for name in _read_text(key, book.names))
            case _:
                yield ANY


def _read_text(node: ast.expr | None, names: Names) -> tuple[str, ...]:
    """Return the texts that an argument may be."""
    match node:
        case ast.Constant(value=str(text)):
            return (text,)
        case ast.JoinedStr(values=parts):
            return ("".join(str(part.value) if isinstance(part, ast.Constant) else ANY for part in parts),)
        case ast.Name(id=name) if name in names.choices:
            return names.choices[name]
        case ast.Name(id=name) if name in names.values and not isinstance(names.values[name], ast.Name):
            return _read_text(names.values[name], names)
    return (ANY,)
