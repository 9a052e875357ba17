"""What kind of value an expression gives, and whether it answers what is asked of it, as far as code alone tells.

Known are literals, text built of them, comprehensions, ``str(…)`` and the like, parameters by their annotation, names
that are bound once to any of these, ``pd.DataFrame``, ``pd.Series`` and pictures (``nbkit.plots.draw_…``). Everything
else is unknown (an empty string), and what is unknown never counts as wrong.
"""

import ast
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

BUILTINS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "flag": (bool,),
    "list": (list,),
    "dict": (dict,),
    "tuple": (tuple,),
    "set": (set, frozenset),
}
CONVERSIONS = {
    "str": "text", "repr": "text", "len": "number", "int": "number", "float": "number", "bool": "flag",
    "list": "list", "sorted": "list", "dict": "dict", "tuple": "tuple", "set": "set", "frozenset": "set",
}  # fmt: skip
DISPLAYS: dict[type, str] = {
    ast.JoinedStr: "text", ast.Dict: "dict", ast.DictComp: "dict", ast.List: "list", ast.ListComp: "list",
    ast.Tuple: "tuple", ast.Set: "set", ast.SetComp: "set",
}  # fmt: skip
TEXT_METHODS = {"join", "format", "strip", "lower", "upper", "replace", "title", "capitalize"}
CALLS = {"pandas.DataFrame": "table", "pandas.Series": "series", "matplotlib.pyplot.figure": "figure"}
MODEL_USES = {f".{name}()" for name in ("predict", "predict_proba", "decision_function", "fit", "get_params", "score")}
TABLE_USES = {
    ".loc", ".iloc", ".head()", ".tail()", ".groupby()", ".merge()", ".iterrows()", ".itertuples()", ".to_dict()",
    ".describe()", ".isna()", ".dropna()", ".set_index()", ".reset_index()", ".sort_values()", ".assign()",
}  # fmt: skip
CANNOT = {
    "table": MODEL_USES | {"()"},
    "series": MODEL_USES | {"()"},
    "array": MODEL_USES | {"()"},
    "figure": MODEL_USES | TABLE_USES | {"()", "[str]"},
    "model": TABLE_USES,
}
STEPS = 5  # names that are followed: far enough for people, and no cell can make it long
ANNOTATED = {"str": "text", "int": "number", "float": "number", "bool": "flag", "list": "list", "dict": "dict"}


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


def infer_kind(node: ast.expr, names: Names, steps: int = STEPS) -> str:
    """Return the kind of value that an expression gives; empty if its code does not tell within `steps` names.

    Examples
    --------
    >>> def kind(code): return infer_kind(ast.parse(code, mode="eval").body, Names(parameters={"rule": "list[str]"}))
    >>> kind("f'{n} rows'"), kind("[1, 2]"), kind("rule"), kind("fit(rule)")
    ('text', 'list', 'list', '')
    """
    match node:
        case ast.Constant(value=value):
            return next((kind for kind, types in BUILTINS.items() if type(value) in types), "")
        case ast.Name(id=name) if name in names.parameters:
            return ANNOTATED.get(names.parameters[name].partition("[")[0], "") if not names.bound[name] > 1 else ""
        case ast.Name(id=name) if name in names.values and steps:
            return infer_kind(names.values[name], names, steps - 1)
        case ast.BinOp(left=one, op=ast.Add(), right=other):  # a text and a column of texts make a column
            both = {infer_kind(each, names, steps) for each in (one, other)}
            return "text" if both == {"text"} else ""
        case ast.IfExp(body=one, orelse=other):
            both = {infer_kind(each, names, steps) for each in (one, other)}
            return both.pop() if len(both) == 1 else ""
        case ast.Call(func=func):
            return _infer_call(func, names, steps)
    return DISPLAYS.get(type(node), "")


def _infer_call(func: ast.expr, names: Names, steps: int) -> str:
    origin = find_origin(func, names)
    if origin.startswith("nbkit.plots.draw_"):
        return "figure"
    if isinstance(func, ast.Attribute) and func.attr in TEXT_METHODS:
        return "text" if infer_kind(func.value, names, steps) == "text" else ""
    if isinstance(func, ast.Name) and not names.bound[func.id]:
        return CONVERSIONS.get(func.id, "")
    return CALLS.get(origin, "")


def answers(kind: str, use: str) -> bool:
    """Tell whether a value of a kind answers a use; what is not known for certain counts as yes.

    Parameters
    ----------
    kind
        As `infer_kind` returns it, or as an artifact is kept.
    use
        ``".name"``, ``".name()"``, ``"[str]"`` (a text as key) or ``"()"`` (it is called).

    Examples
    --------
    >>> answers("text", ".columns"), answers("table", ".columns"), answers("", ".columns"), answers("list", "[str]")
    (False, True, True, False)
    """
    if kind not in BUILTINS:
        return use not in CANNOT.get(kind, ())
    if use.startswith("."):
        return any(hasattr(each, use[1:].removesuffix("()")) for each in BUILTINS[kind])
    return use == "[str]" and kind == "dict"
