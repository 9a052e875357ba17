"""What a notebook loads and saves, call by call, as far as its code tells without running it."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbkit.pipeline.kinds import Names, find_origin, infer_kind, read_names

ANY = "*"  # stands for what is made when the notebook runs
READERS = {"scrapbook.read_notebook", "scrapbook.read_notebooks", "nbkit.run.read_value", "nbkit.run.read_scraps"}
ARGUMENTS = {"save": ("name", "value"), "load": ("stage", "name"), "names": ("stage",), "headlines": ()}
MAYBE = (ast.If, ast.IfExp, ast.BoolOp, ast.Try, ast.While, ast.FunctionDef, ast.Lambda, ast.comprehension)
GUARDS = {"isinstance", "hasattr", "getattr", "type", "callable"}


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
    kind
        Of a saved value, as `infer_kind` tells it.
    uses
        What is asked of a loaded value, as `answers` takes it.
    always
        Whether it stands by itself in its cell: no condition, loop or function around it.
    """

    verb: str
    cell: int
    stage: str = ""
    name: str = ANY
    kind: str = ""
    uses: tuple[str, ...] = ()
    always: bool = True


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
    >>> [(call.verb, call.stage, call.name, call.kind, call.uses) for call in find_calls([cell], {})]
    [('save', '', 'a', 'number', ()), ('save', '', 'b', 'number', ()), ('load', '01_a', 'w_*', '', ('.columns',))]
    """
    names = read_names(trees, parameters)
    parents = {id(child): node for tree in trees for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    book = _Notebook(trees, names, parents)
    runs = {"run"} | {
        target.id
        for node in book.walk()
        if isinstance(node, ast.Assign) and _is_run(node.value, names)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for number, tree in enumerate(trees, start=1):
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Call)]
        for node in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
            if _is_run(node, names) or (isinstance(node, ast.Name) and node.id in runs):
                yield from _follow(node, number, book)
            elif isinstance(node, ast.Call):
                origin = find_origin(node.func, names)
                if origin in READERS:
                    yield Call("load", number, ANY)
                elif origin == "scrapbook.glue":
                    yield from _read_call(node, "save", number, book)


@dataclass(frozen=True)
class _Notebook:
    trees: Sequence[ast.Module]
    names: Names
    parents: dict[int, ast.AST]

    def walk(self) -> Iterator[ast.AST]:
        return (node for tree in self.trees for node in ast.walk(tree))


def _is_run(node: ast.AST, names: Names) -> bool:
    return isinstance(node, ast.Call) and find_origin(node.func, names) in ("nbkit.Run", "nbkit.run.Run")


def _follow(run: ast.AST, cell: int, book: _Notebook) -> Iterator[Call]:
    """Yield what is done with a run where it stands."""
    use = book.parents.get(id(run))
    above = book.parents.get(id(use))
    if isinstance(use, ast.Attribute):
        if use.attr not in ARGUMENTS:
            return
        if isinstance(above, ast.Call) and above.func is use:
            yield from _read_call(above, use.attr, cell, book)
            return
    if isinstance(use, ast.Attribute | ast.Call | ast.keyword | ast.Starred | ast.Dict | ast.List | ast.Tuple):
        yield Call("give", cell, ANY)


def _read_call(node: ast.Call, verb: str, cell: int, book: _Notebook) -> Iterator[Call]:
    given = dict(zip(ARGUMENTS[verb], node.args, strict=False))
    given |= {each.arg: each.value for each in node.keywords if each.arg}
    if any(isinstance(each, ast.Starred) for each in node.args):
        given = {}
    if verb == "save":
        kind = infer_kind(given["value"], book.names) if "value" in given else ""
        always = isinstance(book.parents.get(id(book.parents.get(id(node)))), ast.Module)
        for name in _read_text(given.get("name"), book.names):
            yield Call("save", cell, name=name, kind=kind, always=always)
        return
    uses = tuple(dict.fromkeys(_find_uses(node, book))) if verb == "load" else ()
    for stage in _read_text(given.get("stage"), book.names):
        for name in _read_text(given.get("name"), book.names) if verb == "load" else (ANY,):
            yield Call("load" if verb == "load" else "read", cell, ANY if ANY in stage else stage, name, uses=uses)


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


def _find_uses(node: ast.expr, book: _Notebook) -> Iterator[str]:
    """Yield what is asked of a loaded value: there and then, or under the one name that it is bound to."""
    yield from _name_use(node, book)
    bound = next((name for name, value in book.names.values.items() if value is node), "")
    found = [each for each in book.walk() if isinstance(each, ast.Name) and each.id == bound] if bound else []
    if not any(_is_guarded(each, book) for each in found):
        for each in found:
            yield from _name_use(each, book)


def _is_guarded(node: ast.AST, book: _Notebook) -> bool:
    """Tell whether code asks what a value is before it uses it."""
    parent = book.parents.get(id(node))
    return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in GUARDS


def _name_use(node: ast.expr, book: _Notebook) -> Iterator[str]:
    """Yield what is asked of a value, unless it may never be asked."""
    parent = above = book.parents.get(id(node))
    while above is not None:
        if isinstance(above, MAYBE):
            return
        above = book.parents.get(id(above))
    match parent:
        case ast.Attribute(value=value, attr=attr) if value is node:
            above = book.parents.get(id(parent))
            yield f".{attr}()" if isinstance(above, ast.Call) and above.func is parent else f".{attr}"
        case ast.Subscript(value=value, slice=ast.Constant(value=str())) if value is node:
            yield "[str]"
        case ast.Call(func=func) if func is node:
            yield "()"
