"""The code of a notebook's cell as Python's syntax tree, whatever magics stand in it."""

import ast
import builtins
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

TRANSPARENT = {"time", "timeit", "capture", "prun"}  # cell magics whose body is Python that runs here
MAGIC_LINE = re.compile(r"^(\s*)[%!?].*$|^(\s*)[\w.]+\?\??\s*$")
MAGIC_VALUE = re.compile(r"^(\s*[\w.,\s]+=\s*)[%!].*$")


def parse_cell(source: str) -> ast.Module:
    r"""Parse a code cell; magics and shell lines count as nothing, a cell in another language as empty.

    Raises
    ------
    SyntaxError
        If it is no Python even so.

    Examples
    --------
    >>> [ast.unparse(node) for node in parse_cell("%matplotlib inline\nfiles = !ls\nx = 1").body]
    ['pass', 'files = None', 'x = 1']
    >>> parse_cell("%%bash\nls -l").body
    []
    """
    if source.lstrip().startswith("%%"):
        head, _, body = source.lstrip().partition("\n")
        return parse_cell(body) if (head[2:].split() or [""])[0] in TRANSPARENT else ast.Module([], [])
    try:
        return ast.parse(source)
    except SyntaxError:
        plain = [MAGIC_VALUE.sub(r"\1None", line) for line in source.splitlines()]
    try:
        return ast.parse("\n".join(MAGIC_LINE.sub(r"\1\2pass", line) for line in plain))
    except SyntaxError:  # a magic may be indented where `pass` may not
        return ast.parse("\n".join(MAGIC_LINE.sub("", line) for line in plain))


@lru_cache(4096)
def digest_cell(source: str) -> str:
    """Digest what a code cell does: the same for cells that differ in comments and formatting only.

    Examples
    --------
    >>> digest_cell("x = 1  # one") == digest_cell("x  =  1") != digest_cell("x = 2")
    True
    >>> digest_cell("!ls") != digest_cell("!ls -l")
    True
    """
    try:
        return digest_code(ast.parse(source))
    except SyntaxError:  # magics: their text is what they do
        return _digest(source.strip())


def digest_notebook(cells: Iterable[Mapping[str, Any]]) -> str:
    """Digest the code of a notebook, executed or not, from its cells."""
    return combine_digests(digest_cells(cells))


def digest_cells(cells: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a digest for each code cell; an empty one for the parameters, whose values count, not their text."""
    for cell in cells:
        tags = cell.get("metadata", {}).get("tags", [])
        if cell["cell_type"] == "code" and "injected-parameters" not in tags:
            bare = "parameters" in tags or "skip-execution" in tags
            yield "" if bare else digest_cell("".join(cell["source"]))


def combine_digests(digests: Iterable[str]) -> str:
    """Digest digests, in their order."""
    return hashlib.sha256("\0".join(digests).encode()).hexdigest()


def digest_code(tree: ast.Module) -> str:
    """Digest what code does."""
    return _digest(ast.dump(tree))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


@lru_cache(4096)  # asked for all cells that ran, at each save
def find_names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    r"""Find what a code cell needs of the cells before it, and which names it binds or changes.

    A name counts as changed if it is bound, deleted, or an item or attribute of it is set, or if one of the usual
    methods that change a thing in place is called on it; what a function does with its arguments is not seen.

    Returns
    -------
    tuple of frozenset
        Names that are read before the cell itself binds them, and names that it changes.

    Examples
    --------
    >>> reads, writes = find_names("import os\ny = [x for x in values]\nvalues.append(os.name)\nn += 1")
    >>> sorted(reads), sorted(writes)
    (['n', 'values'], ['n', 'os', 'values', 'y'])
    """
    try:
        tree = parse_cell(source)
    except SyntaxError:
        return frozenset(), frozenset()
    names = _Names()
    names.visit(tree)
    return frozenset(names.reads), frozenset(names.writes)


IN_PLACE = {"append", "extend", "insert", "pop", "remove", "clear", "add", "discard", "update", "setdefault", "sort"}
IN_PLACE |= {"reverse", "fit", "set_params", "partial_fit"}
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class _Names(ast.NodeVisitor):
    """Visits code in the order in which it is evaluated."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self._local: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> None:
        if any(node.id in names for names in self._local):
            return
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        elif self._local:
            self._local[-1].add(node.id)
        else:
            self.writes.add(node.id)

    def _read(self, name: str) -> None:
        if name not in self.writes and not hasattr(builtins, name):
            self.reads.add(name)

    def _change(self, node: ast.AST) -> None:
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name) and not any(node.id in names for names in self._local):
            self._read(node.id)
            self.writes.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self._change(node.target)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._change(target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node: ast.For) -> None:
        for each in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(each)

    def visit_Attribute(self, node: ast.Attribute | ast.Subscript) -> None:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self._change(node)

    visit_Subscript = visit_Attribute  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        inplace = any(each.arg == "inplace" for each in node.keywords)
        if isinstance(node.func, ast.Attribute) and (inplace or node.func.attr in IN_PLACE):
            self._change(node.func)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        bound = {(each.asname or each.name).split(".")[0] for each in node.names}
        (self._local[-1] if self._local else self.writes).update(bound)

    visit_ImportFrom = visit_Import  # noqa: N815

    def visit_FunctionDef(self, node: Function) -> None:
        arguments = node.args
        for each in (*getattr(node, "decorator_list", []), *arguments.defaults, *filter(None, arguments.kw_defaults)):
            self.visit(each)
        inner = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self._local.append({each.arg for each in inner if each})
        body = node.body if isinstance(node.body, list) else [node.body]
        for each in body:
            self.visit(each)
        self._local.pop()
        if not isinstance(node, ast.Lambda):
            self.visit_Name(ast.Name(node.name, ast.Store()))

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._local.append(set())
        self.generic_visit(node)
        self._local.pop()
        self.visit_Name(ast.Name(node.name, ast.Store()))

    def _visit_comprehension(self, node: Any) -> None:
        self._local.append(set())
        for each in node.generators:
            for part in (each.iter, each.target, *each.ifs):
                self.visit(part)
        for part in ("key", "value", "elt"):
            if hasattr(node, part):
                self.visit(getattr(node, part))
        self._local.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension  # noqa: N815
