"""What the names in the code of a notebook stand for."""

import ast
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Names:
    """What the names of a notebook stand for.

    Attributes
    ----------
    bound
        How often each name is given a value, anywhere.
    values
        The expression of a name that is bound once, by a plain assignment.
    choices
        The texts that a loop over literals gives a name that is bound once.
    modules
        An imported name to what it stands for, such as ``pd`` to ``pandas``.
    parameters
        A parameter's name to its annotation.
    """

    bound: Counter[str] = field(default_factory=Counter)
    values: dict[str, ast.expr] = field(default_factory=dict)
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


def read_names(trees: Iterable[ast.Module], parameters: dict[str, str]) -> Names:
    """Read what the names of a notebook stand for.

    Parameters
    ----------
    trees
        Its code cells.
    parameters
        Name to annotation, as in the parameters cell.
    """
    names = Names(parameters=parameters)
    for tree in trees:
        for node in ast.walk(tree):
            _bind(node, names)
    for known in (names.values, names.choices, names.modules):
        for name in [name for name in known if names.bound[name] > 1 or name in parameters]:
            del known[name]
    return names


def _bind(node: ast.AST, names: Names) -> None:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
            names.bound[name] += 1
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            names.bound[name] += 1
        case ast.Import(names=found) | ast.ImportFrom(names=found):
            origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for each in found:
                name = each.asname or each.name.split(".")[0]
                whole = origin + (each.name if each.asname or origin else name)
                names.bound[name] += names.modules.get(name) != whole  # the same import again changes nothing
                names.modules[name] = whole
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            names.values[name] = value
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            if len(targets) == len(values):
                names.values.update(
                    {each.id: value for each, value in zip(targets, values, strict=True) if isinstance(each, ast.Name)}
                )
        case (
            ast.For(target=ast.Name(id=name), iter=ast.Tuple(elts=values) | ast.List(elts=values))
            | ast.comprehension(target=ast.Name(id=name), iter=ast.Tuple(elts=values) | ast.List(elts=values))
        ):
            texts = [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if len(texts) == len(values):
                names.choices[name] = tuple(texts)


def find_origin(node: ast.expr, names: Names) -> str:
    """Return what a dotted name stands for, such as ``pandas.DataFrame`` for ``pd.DataFrame``; empty if unknown.

    Examples
    --------
    >>> names = read_names([ast.parse("import pandas as pd")], {})
    >>> find_origin(ast.parse("pd.DataFrame", mode="eval").body, names)
    'pandas.DataFrame'
    """
    if isinstance(node, ast.Attribute):
        base = find_origin(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    return names.modules.get(node.id, "") if isinstance(node, ast.Name) else ""
