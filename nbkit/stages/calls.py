"""What a notebook loads and saves, call by call, as far as its code tells without running it."""

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

ANY = "*"  # stands for what is made when the notebook runs
READERS = {"scrapbook.read_notebook", "scrapbook.read_notebooks", "nbkit.scraps.read_value", "nbkit.scraps.read_scraps"}
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


def find_calls(trees: Sequence[ast.Module], parameters: Collection[str] = ()) -> Iterator[Call]:
    r"""Yield what a notebook loads and saves, in order; a loop over literal names gives a call for each.

    Parameters
    ----------
    trees
        Its code cells.
    parameters
        The names of its parameters.

    Examples
    --------
    >>> cell = ast.parse("for n in ('a', 'b'):\n    run.save(n, 1)\nx = run.load('01_a', f'w_{m}').columns")
    >>> [(call.verb, call.stage, call.name) for call in find_calls([cell])]
    [('save', '', 'a'), ('save', '', 'b'), ('load', '01_a', 'w_*')]
    """
    book = _Notebook(trees, parameters)
    for number, tree in enumerate(trees, start=1):
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Call)]
        for node in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
            yield from book.read(node, number)


class _Notebook:
    """The code of a notebook: what its names stand for, and what stands around each piece of it."""

    def __init__(self, trees: Sequence[ast.Module], parameters: Collection[str]) -> None:
        self.parents: dict[int, ast.AST] = {}
        self.bound = Counter(list(parameters))  # how often each name is given a value, anywhere
        self.values: dict[str, ast.expr] = {}  # what stands on the right of a plain assignment
        self.choices: dict[str, tuple[str, ...]] = {}  # the texts that a loop over literals gives a name
        self.modules: dict[str, str] = {}  # such as pd to pandas
        for node in (each for tree in trees for each in ast.walk(tree)):
            self.parents.update((id(child), node) for child in ast.iter_child_nodes(node))
            self._bind(node)
        self.runs = {name for name, value in self.values.items() if self._is_run(value)}
        if not self.bound["run"]:
            self.runs.add("run")  # whatever it is in a notebook that does not say

    def _bind(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                self.bound[name] += 1
            case ast.Import(names=found) | ast.ImportFrom(names=found):
                origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for each in found:
                    name = each.asname or each.name.split(".")[0]
                    whole = origin + (each.name if each.asname or origin else name)
                    self.bound[name] += self.modules.get(name) != whole  # the same import again changes nothing
                    self.modules[name] = whole
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.values[name] = value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = zip(targets, values, strict=False)
                self.values.update({each.id: value for each, value in pairs if isinstance(each, ast.Name)})
            case (
                ast.For(target=ast.Name(id=name), iter=ast.Tuple(elts=values) | ast.List(elts=values))
                | ast.comprehension(target=ast.Name(id=name), iter=ast.Tuple(elts=values) | ast.List(elts=values))
            ):
                texts = [
                    each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)
                ]
                if len(texts) == len(values):
                    self.choices[name] = tuple(texts)

    def _origin(self, node: ast.expr) -> str:
        """Return what a dotted name stands for, such as ``pandas.DataFrame`` for ``pd.DataFrame``; empty if unknown."""
        if isinstance(node, ast.Attribute):
            base = self._origin(node.value)
            return f"{base}.{node.attr}" if base else ""
        return self.modules.get(node.id, "") if isinstance(node, ast.Name) and self.bound[node.id] == 1 else ""

    def _is_run(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and self._origin(node.func) in ("nbkit.Run", "nbkit.run.Run")

    def _is_within(self, node: ast.AST, kinds: tuple[type[ast.AST], ...]) -> bool:
        above = self.parents.get(id(node))
        return above is not None and (isinstance(above, kinds) or self._is_within(above, kinds))

    def read(self, node: ast.Name | ast.Call, cell: int) -> Iterator[Call]:
        """Yield what a name or a call loads and saves."""
        if isinstance(node, ast.Name):
            if node.id in self.runs and isinstance(node.ctx, ast.Load):
                yield from self._follow(node, cell)
        elif self._is_run(node):
            yield from self._follow(node, cell)
        elif (origin := self._origin(node.func)) in READERS:
            yield Call("load", cell, ANY)
        elif origin == "scrapbook.glue":
            yield from self._read_call(node, "save", cell)

    def _follow(self, run: ast.expr, cell: int) -> Iterator[Call]:
        """Yield what is done with a run where it stands."""
        use = self.parents.get(id(run))
        if isinstance(use, ast.Attribute):
            above = self.parents.get(id(use))
            if use.attr in VERBS and isinstance(above, ast.Call) and above.func is use:
                yield from self._read_call(above, use.attr, cell)
            elif use.attr in VERBS:
                yield Call("give", cell, ANY)
            return
        shown = isinstance(use, ast.Call) and isinstance(use.func, ast.Name) and use.func.id in SHOWING
        named = isinstance(use, ast.Assign) and self._is_run(run)
        if not shown and not named and not isinstance(use, ast.Expr):
            yield Call("give", cell, ANY)

    def _read_call(self, node: ast.Call, verb: str, cell: int) -> Iterator[Call]:
        if verb == "save":
            certain = isinstance(self.parents.get(id(self.parents.get(id(node)))), ast.Module)
            for name in self._read_saved(node):
                yield Call("save", cell, name=name, certain=certain)
            return
        certain = not self._is_within(node, (ast.Try, ast.With))
        asked: list[ast.expr | None] = list(node.args)
        asked += [each.value for each in node.keywords if each.arg in ("stage", "name")]
        if any(isinstance(each, ast.Starred) for each in asked) or not asked:
            asked = [None, None]
        names = [name for each in asked[1:] for name in self._read_text(each)] if verb == "load" else [ANY]
        for stage in self._read_text(asked[0]):
            for name in names:
                known = ANY if ANY in stage else stage
                yield Call("load" if verb == "load" else "read", cell, known, name, certain=certain)

    def _read_saved(self, node: ast.Call) -> Iterator[str]:
        """Yield the names that ``run.save`` or ``scrapbook.glue`` gives: a text in front, or those of the keywords."""
        glue = self._origin(node.func) == "scrapbook.glue"
        if glue or node.args:
            given = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "name")]
            yield from self._read_text(given[0] if given else None)
        for each in node.keywords if not glue else ():
            match each.value if each.arg is None else None:
                case None:
                    yield each.arg or ANY
                case ast.DictComp(key=key):
                    yield from self._read_text(key)
                case ast.Dict(keys=keys):
                    yield from (name for key in keys for name in self._read_text(key))
                case _:
                    yield ANY

    def _read_text(self, node: ast.expr | None) -> tuple[str, ...]:
        """Return the texts that an argument may be."""
        match node:
            case ast.Constant(value=str(text)):
                return (text,)
            case ast.JoinedStr(values=parts):
                return ("".join(str(part.value) if isinstance(part, ast.Constant) else ANY for part in parts),)
            case ast.Name(id=name) if self.bound[name] == 1 and name in self.choices:
                return self.choices[name]
            case ast.Name(id=name) if self.bound[name] == 1 and not isinstance(self.values.get(name), ast.Name):
                return self._read_text(self.values.get(name))
        return (ANY,)
