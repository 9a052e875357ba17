"""Which modules notebooks will import, read from their code without importing anything."""

import ast
import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from nbkit.cells import parse_cell
from nbkit.observe import installed_folders

FOR_RUN = ("msgspec", "pandas", "psutil", "scrapbook")  # what nbkit.Run imports, and what the other parts of nbkit may
FOR_PARTS = (
    "numpy.random", "pyarrow.compute", "scipy.special", "scipy.stats", "sklearn.model_selection",
    "sklearn.compose", "sklearn.ensemble", "sklearn.linear_model", "sklearn.metrics", "matplotlib.backends.backend_svg",
    "skops.io", "shap", "sqlalchemy", "sklearn.isotonic", "sklearn.inspection",
)  # fmt: skip


def find_imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that code names where it imports, at its top or in a function; relative ones are left out.

    Examples
    --------
    >>> sorted(find_imports(ast.parse("import numpy as np, a.b; from sklearn.svm import SVC; from . import c")))
    ['a.b', 'numpy', 'sklearn.svm']
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ) if not name.startswith("."):
                yield name


def read_imports(path: Path) -> frozenset[str]:
    """Return the modules that a module or a notebook imports; none if it cannot be read."""
    try:
        return _read_imports(path, path.stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, RecursionError):
        return frozenset()


def find_preload(notebooks: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Return the installed modules that notebooks will import, and those that the parts of nbkit may import for them.

    Parameters
    ----------
    notebooks
        ``.ipynb`` files; what is not one has no imports.
    """
    named = {name for notebook in notebooks for name in read_imports(notebook)}
    ours = any(name.partition(".")[0] == "nbkit" for name in named)
    sure = filter(_is_installed, sorted(named.union(FOR_RUN if ours else ())))
    return list(sure), list(FOR_PARTS if ours else ())


@cache
def _read_imports(path: Path, changed: int) -> frozenset[str]:
    if path.suffix != ".ipynb":
        return frozenset(find_imports(ast.parse(path.read_bytes())))
    found: set[str] = set()
    for cell in json.loads(path.read_bytes())["cells"]:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # it will fail by itself
            found.update(find_imports(parse_cell("".join(cell["source"]))) if cell["cell_type"] == "code" else ())
    return frozenset(found)


@cache
def _is_installed(name: str) -> bool:
    """Tell an installed package from the standard library, the project's own modules and nbkit, which may change."""
    top = name.partition(".")[0]
    if not top or top == "nbkit" or top in sys.stdlib_module_names:
        return False
    spec = find_spec(top)
    places = [spec.origin or "", *(spec.submodule_search_locations or ())] if spec else []
    homes = tuple(home for home in installed_folders() if home.rstrip("/").endswith(("site-packages", "dist-packages")))
    return any(place.startswith(homes) for place in places)
