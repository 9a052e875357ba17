"""What a project adds to nbkit: the modules that it names in `use`, and the entries that their decorators make."""

import ast
import contextlib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nbkit.cells import digest_code
from nbkit.errors import BadParameter
from nbkit.wording import suggest

_owners: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}  # kind, name of an entry -> its module and its table
_files: dict[str, Path] = {}  # what was imported for `use`, and what that imports of the project
imported: dict[str, str] = {}  # module of `use` -> its digest when this process imported it


def claim(kind: str, name: str, function: Callable[..., Any], table: dict[str, Any]) -> None:
    """Reserve a name in one of nbkit's tables for a decorated function; its own module may define it again.

    Parameters
    ----------
    kind
        What it is called in errors, such as ``metric``.
    name
        The entry.
    function
        What was decorated.
    table
        Name to entry.

    Raises
    ------
    BadParameter
        If the name is one of nbkit's own, or of another module.
    """
    module = function.__module__
    if module.startswith("nbkit."):
        return
    holder = _owners.get((kind, name), ("nbkit" if name in table else module, table))[0]
    if holder == "nbkit" or (holder != module and "__main__" not in (holder, module)):  # a notebook may try others out
        raise BadParameter(f"{module} defines a {kind} {name!r}, and {holder} has one of that name: rename yours")
    _owners[kind, name] = module, table


def first_line(function: Callable[..., Any], name: str) -> str:
    """Return what a function says of itself in the first line of its docstring; its name if it has none."""
    lines = (function.__doc__ or "").strip().splitlines()
    return lines[0].strip() if lines else name.replace("_", " ")


def import_from(root: Path) -> None:
    """Let this process import modules of a project: a model, a metric or a stage's effects may need them."""
    if str(root) not in sys.path:
        sys.path.insert(1, str(root))


def import_modules(names: Iterable[str], root: Path) -> dict[str, str]:
    """Import modules of a project, so that their decorators are heard; one that has changed is imported again.

    Parameters
    ----------
    names
        Such as ``my_checks`` (``my_checks.py``) or ``checks.gates``, seen from the project's root.
    root
        The project.

    Returns
    -------
    dict
        Module to the sha256 of what it does, with all that it imports of the project; comments don't count.

    Raises
    ------
    BadParameter
        If there is no such module in the project, or it cannot be imported.
    """
    import_from(root)
    return {name: _import_module(name, root) for name in dict.fromkeys(names)}


def _import_module(name: str, root: Path) -> str:
    found = _find_parts(name, root)
    parts = {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in found}
    lines = sorted(f"{part} {found[file]}" for part, file in parts.items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    if imported.get(name) == digest and parts.items() <= _files.items():
        return digest
    _forget(parts)
    importlib.invalidate_caches()
    for file in found:  # Python takes the bytecode of an edit of the same size within the same second for this one's
        with contextlib.suppress(OSError):
            Path(importlib.util.cache_from_source(str(file))).unlink()
    _files.update(parts)
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a module of the project's own may fail in any way
        _forget(parts)
        trace = traceback.extract_tb(error.__traceback__)
        where = [f" ({Path(each.filename).name}, line {each.lineno})" for each in trace if Path(each.filename) in found]
        said = f"{type(error).__name__}: {error}{''.join(where[-1:])}"
        raise BadParameter(f"{name} cannot be imported: {said}") from None
    imported[name] = digest
    return digest


def _forget(parts: dict[str, Path]) -> None:
    """Undo an earlier import of modules of a project; refuse to touch a module of that name that is none."""
    for name, file in parts.items():
        known = getattr(sys.modules.get(name), "__file__", None)
        if name in sys.modules and name not in _files and Path(str(known)) != file:
            raise BadParameter(f"{name} is the name of another module ({known or 'Python itself'}): rename {file.name}")
        for kind, key in [entry for entry, (owner, _) in _owners.items() if owner == name]:
            _owners.pop((kind, key))[1].pop(key, None)
        if _files.pop(name, None):
            imported.pop(name, None)
            sys.modules.pop(name, None)


def _find_parts(name: str, root: Path) -> dict[Path, str]:
    """Return the files of a module and of all that it imports of the project, with the digest of their code."""
    place = root.joinpath(*name.split("."))
    if not name.replace(".", "_").isidentifier() or not (place.with_suffix(".py").is_file() or place.is_dir()):
        near = suggest(name, [path.stem for path in sorted(root.glob("*.py"))])
        raise BadParameter(f"there is no {name.replace('.', '/')}.py in {root}, where params/ lies{near}")
    found: dict[Path, str] = {}
    waiting = [name.partition(".")[0]]
    while waiting:
        top = waiting.pop()
        for file in [root / f"{top}.py", *sorted((root / top).rglob("*.py"))]:
            if file.is_file() and file not in found:
                found[file], imports = _read_module(file.read_bytes())
                waiting += imports
    return found


def _read_module(content: bytes) -> tuple[str, list[str]]:
    """Return the digest of a module's code and the top-level modules that it imports."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):  # importing it says what is wrong
        return hashlib.sha256(content).hexdigest(), []
    nodes = list(ast.walk(tree))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return digest_code(tree), [each.partition(".")[0] for each in names]
