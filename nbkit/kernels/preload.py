"""Reads from the source of notebooks which third-party modules they will import, without importing anything."""

import ast
import contextlib
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from nbkit.cells import parse_cell
from nbkit.observe import installed_folders

OWN = ("nbkit",)  # followed rather than preloaded, also where it is installed as a wheel: it may change between stages


def find_imports(source: str, package: str = "") -> set[str]:
    r"""Return the dotted names that a piece of code imports, at its top or in a function, and uses of what it imports.

    Parameters
    ----------
    source
        Python source. Lines of IPython (``%magic``, ``!shell``) are left out.
    package
        The package that the source lies in, for relative imports, which are left out without it.

    Returns
    -------
    set of str
        For ``import a.b as c``, ``a.b``, and ``a.b.x`` for each ``c.x`` in the code; for ``from a import b``, ``a.b``
        (nobody can tell without importing whether ``b`` is a module). What only type checkers import is left out.

    Raises
    ------
    SyntaxError
        If it is no Python.

    Examples
    --------
    >>> sorted(find_imports("import numpy as np\nfrom sklearn.svm import SVC\nnp.random.rand()"))
    ['numpy', 'numpy.random.rand', 'sklearn.svm.SVC']
    """
    now, later = _scan(parse_cell(source), package)
    return now | later


def read_imports(path: Path) -> frozenset[str]:
    """Return the top-level modules that a module or a notebook imports; none if it cannot be read."""
    try:
        return _read_imports(path, path.stat().st_mtime_ns)
    except OSError:
        return frozenset()


def find_preload(notebooks: Iterable[Path], root: Path) -> tuple[list[str], list[str]]:
    """Return the third-party modules that notebooks reach, through the project's modules and nbkit's.

    Parameters
    ----------
    notebooks
        ``.ipynb`` files; what is not one has no imports.
    root
        The project, whose modules are followed and never returned.

    Returns
    -------
    tuple of lists of str
        Modules that will be imported, and modules that may be: those that stand in a function of a module which the
        notebook does not name itself. Modules of the standard library, of the project and of nbkit are not among them.
    """
    search = (str(root), *sys.path)
    waiting = deque((name, 0, True) for notebook in notebooks for name in sorted(_read_notebook(notebook)))
    seen = {name for name, _, _ in waiting}
    found: dict[str, bool] = {}
    while waiting:
        name, depth, sure = waiting.popleft()
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        module, origin = _locate(name, search)
        if origin and _is_third_party(module, origin):
            found[module] = sure or found.get(module, False)
            continue
        for new, further, outside in _follow(name, search):
            step = (new, depth + further, sure and (outside or depth == 0))
            if new not in seen or (step[2] and not sure):
                seen.add(new)
                (waiting.append if further else waiting.appendleft)(step)
    return sorted(name for name, sure in found.items() if sure), sorted(
        name for name, sure in found.items() if not sure
    )


@cache
def _read_imports(path: Path, changed: int) -> frozenset[str]:
    names = _read_notebook(path) if path.suffix == ".ipynb" else set().union(*_read_module.__wrapped__(path, "")[0])
    return frozenset(name.partition(".")[0] for name in names)


def _scan(tree: ast.Module, package: str) -> tuple[set[str], set[str]]:
    """Return what code imports when it is imported itself, and what its functions import when they are called."""
    known: dict[str, tuple[str, int]] = {}
    found: tuple[set[str], set[str]] = (set(), set())
    chains = set()
    for node, inside in _walk(tree):
        if isinstance(node, ast.Attribute):
            chains.add(_read_chain(node))
        for name, bound, meaning in _read_import(node, package):
            found[inside].add(name)
            if bound:
                known[bound] = (meaning, inside)
    for chain in chains:
        head, _, rest = chain.partition(".")
        if head in known and not any(other.startswith(f"{chain}.") for other in chains):
            meaning, inside = known[head]
            found[inside].add(f"{meaning}.{rest}")
    return found


def _read_import(node: ast.AST, package: str) -> Iterator[tuple[str, str, str]]:
    """Yield what a statement imports: the dotted name, the name it binds, and what that name means."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield alias.name, alias.asname or top, alias.name if alias.asname else top
    elif isinstance(node, ast.ImportFrom):
        base = _resolve_base(node, package)
        for alias in node.names if base else ():
            name = base if alias.name == "*" else f"{base}.{alias.name}"
            yield name, alias.asname or alias.name, name
    elif isinstance(node, ast.Call) and (name := _read_import_call(node)):
        yield name, "", ""


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """Walk a tree without what stands under ``if TYPE_CHECKING``; 1 with what stands inside a function, else 0."""
    waiting = [(tree, 0)]
    while waiting:
        node, inside = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node, inside
        deeper = int(inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
        waiting += [(child, deeper) for child in ast.iter_child_nodes(node)][::-1]


def _resolve_base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    if not package or node.level > len(parts):
        return ""
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


def _read_import_call(node: ast.Call) -> str:
    """Return what ``importlib.import_module("a.b")`` names."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if name != "import_module" or not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return ""
    return first.value if first.value.replace(".", "_").isidentifier() and first.value[0] != "." else ""


def _read_chain(node: ast.expr) -> str:
    """Return ``a.b.c`` for such an expression, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := _read_chain(node.value)):
        return f"{head}.{node.attr}"
    return ""


def _read_notebook(path: Path) -> set[str]:
    try:
        cells = json.loads(path.read_bytes())["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    body = []
    for source in sources:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # it will fail by itself
            body += parse_cell(source).body
    now, later = _scan(ast.Module(body, []), "")
    return now | later


@cache
def _locate(name: str, search: tuple[str, ...]) -> tuple[str, str]:
    """Return the longest leading part of a dotted name that is a module, and its file; nothing is imported."""
    parent = name.rpartition(".")[0]
    if not parent:
        spec = PathFinder.find_spec(name, search)
    else:
        found = _locate(parent, search)
        if found[0] != parent or Path(found[1]).stem != "__init__":
            return found
        try:
            spec = PathFinder.find_spec(name, [str(Path(found[1]).parent)])
        except KeyError:  # a namespace within a package that is not imported: nobody can tell where it lies
            return found
        if spec is None:
            return found
    if spec is None:
        return "", ""
    folders = list(spec.submodule_search_locations or ())
    return name, spec.origin or (str(Path(folders[0], "__init__.py")) if folders else "")


@cache
def _find_homes() -> tuple[str, ...]:
    return tuple(home for home in installed_folders() if home.rstrip("/").endswith(("site-packages", "dist-packages")))


def _is_third_party(module: str, origin: str) -> bool:
    return origin.startswith(_find_homes()) and module.partition(".")[0] not in OWN


def _follow(name: str, search: tuple[str, ...]) -> Iterator[tuple[str, int, bool]]:
    """Yield what importing a local name imports: its lazy submodule, and its module's and its parents' imports.

    Each comes with 1 if it is further away from the notebook, and with whether it stands outside of functions.
    """
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        module, origin = _locate(".".join(parts[:length]), search)
        if module.count(".") != length - 1 or not origin.endswith(".py"):
            return
        (now, later), owners = _read_module(Path(origin), module)
        yield from ((new, 1, True) for new in sorted(now))
        yield from ((new, 1, False) for new in sorted(later))
        rest = parts[length:]
        if rest and rest[0] in owners:
            yield ".".join([module, owners[rest[0]], *rest]), 0, True


@cache
def _read_module(path: Path, module: str) -> tuple[tuple[set[str], set[str]], dict[str, str]]:
    """Return what a module imports, and which submodule a lazy package takes each of its names from."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    try:
        source = path.read_text(encoding="utf-8", errors="replace")
        return _scan(ast.parse(source), package), _read_attach(source) if "attach(" in source else {}
    except (OSError, SyntaxError, ValueError, RecursionError):
        return (set(), set()), {}


def _read_attach(source: str) -> dict[str, str]:
    """Return the names of a lazy package and the submodule of each, from its ``attach(__name__, {…})``."""
    owners: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _read_chain(node.func).rpartition(".")[2] == "attach":
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                if isinstance(argument, ast.Dict):
                    for submodule, names in ast.literal_eval(argument).items():
                        owners |= dict.fromkeys(names, submodule)
    return owners
