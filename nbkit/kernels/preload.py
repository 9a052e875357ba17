"""Which modules notebooks will import, read from their code without importing anything."""

import ast
import contextlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from nbkit.cells import parse_cell

FOR_RUN = ("msgspec", "pandas", "psutil", "scrapbook")  # what nbkit.Run imports, and what the other parts of nbkit may
FOR_PARTS = (
    "numpy.random", "pyarrow.compute", "scipy.special", "scipy.stats", "sklearn.model_selection",
    "sklearn.compose", "sklearn.ensemble", "sklearn.linear_model", "sklearn.metrics", "matplotlib.backends.backend_svg",
    "skops.io", "shap", "sqlalchemy", "sklearn.isotonic", "sklearn.inspection",
)  # fmt: skip
# importing these was tried: they start no Python thread, print nothing, ask for no kernel and work in a forked child
SAFE = frozenset(
    """IPython anyio debugpy fsspec ipykernel jedi jinja2 joblib lightgbm matplotlib mistune msgspec
    narwhals nbclient nbformat numba numpy pandas papermill prometheus_client psutil pyarrow pydantic requests
    ruamel scipy scrapbook shap skops sklearn sqlalchemy stack_data starlette threadpoolctl traitlets
    uvicorn""".split()  # noqa: SIM905
)


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
    """Return the modules of `SAFE` that notebooks will import, and those that the parts of nbkit may import for them.

    Parameters
    ----------
    notebooks
        ``.ipynb`` files; what is not one has no imports.
    """
    named = {name for notebook in notebooks for name in read_imports(notebook)}
    ours = any(name.partition(".")[0] == "nbkit" for name in named)
    sure = [name for name in sorted(named.union(FOR_RUN if ours else ())) if name.partition(".")[0] in SAFE]
    return sure, list(FOR_PARTS if ours else ())


@cache
def _read_imports(path: Path, changed: int) -> frozenset[str]:
    if path.suffix != ".ipynb":
        return frozenset(find_imports(ast.parse(path.read_bytes())))
    found: set[str] = set()
    for cell in json.loads(path.read_bytes())["cells"]:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # it will fail by itself
            found.update(find_imports(parse_cell("".join(cell["source"]))) if cell["cell_type"] == "code" else ())
    return frozenset(found)
